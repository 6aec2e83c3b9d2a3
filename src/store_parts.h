/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_parts.h - what the files of the store share, and nobody else includes
 */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#define MANIFEST_VERSION 2

/* What is said when struct store_options has too little room. */
#define NO_ROOM                                                                \
	"the checkpoint is larger than [checkpoint] max_size leaves room "     \
	"for"

/* The name of a generation's manifest. */
void manifest_name(unsigned gen, char buf[24]);

#endif
