/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chain_parts.h - what the files of chain.h share; nobody else includes it */
#ifndef CHAIN_PARTS_H
#define CHAIN_PARTS_H

#include "chain.h"

/* A new line of the journal, with the time and the leg. */
json_t *chain_line(const struct chain *c, const char *event);

bool chain_is_event(const json_t *line, const char *event);

/* A small number of a line, 0 if it is none. */
unsigned chain_number(const json_t *line, const char *key);

/* Open a directory that must belong to the caller alone. */
int chain_private_dir(int parent, const char *name, const char *path,
	bool create, struct err *err);

#endif
