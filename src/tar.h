/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tar.h - whole trees of files to a descriptor, and back */
#ifndef TAR_H
#define TAR_H

#include <stdbool.h>

#include "err.h"
#include "store.h"

/*
 * GNU tar, with all directories and archives given as descriptors. An own
 * program and not a library: an archive must hold sparse files, hard links,
 * extended attributes and an overlay's whiteouts, and GNU tar is on every
 * system.
 */
struct tar {
	bool user_ns; /* in a user namespace: only one owner can be given */
	int dir;      /* that names are relative to */
	int archive;  /* a pipe or a file */
	/*
	 * What to archive: a file of names with a NUL behind each, and of the
	 * directories nothing but themselves; -1: all that is in dir.
	 */
	int names;
	/* sed(1) command for names while they are put back, or NULL */
	const char *rename;
};

/*
 * Write the archive. With names, files may change or vanish meanwhile: others
 * may use them, too. -1 with *err.
 */
int tar_create(const struct tar *t, struct err *err);

/*
 * Put back what is in a stream of the generation; archive and names are not
 * looked at. Nothing, if there is no such stream or it is empty. -1 with *err.
 */
int tar_extract(const struct tar *t, struct store_reader *generation,
	const char *stream, struct err *err);

#endif
