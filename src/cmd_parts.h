/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_parts.h - what several commands share */
#ifndef CMD_PARTS_H
#define CMD_PARTS_H

#include <stdbool.h>

#include "chain.h"
#include "cmd.h"
#include "store.h"

/* A chain, and which of its steps are meant: from first to last. */
struct selection {
	struct chain chain;
	unsigned first, last;
	bool many; /* the chain has several: say which one it is */
};

/*
 * Open the chain and understand --step. 0, or an exit status, and the reason
 * is told. End with chain_close(&s->chain).
 */
int select_steps(
	struct selection *s, const struct invocation *in, const char *id);

/* A generation, as it was named; like select_steps(). */
int select_generation(const char *text, unsigned *gen);

/*
 * What is wrong with a generation that is damaged, without saying so; NULL if
 * it is something else that failed.
 */
const char *damage_of(const struct err *err, unsigned gen);

/*
 * Write it to standard output, for programs, as --json of all commands does
 * with one value. 0, or an exit status, and the reason is told.
 */
int print_for_programs(const json_t *j);

/* Of an object that was made for that; NULL: it has none of this name. */
static inline const char *text_of(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

/* Bytes of all streams. */
uint64_t bytes_of(const struct store_reader *r);

#endif
