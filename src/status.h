/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status.h - how a chain stands now: facts as JSON, and as text for people */
#ifndef STATUS_H
#define STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "chain_facts.h"
#include "err.h"

/*
 * The chain that is meant by a word: its own name, or the number of one of its
 * jobs. Owned by the caller; NULL with *err.
 */
char *status_find(const char *base, const char *word, struct err *err);

/*
 * What the journal's lines tell of a chain that stands so (chain_facts.h). The
 * fields are in checkpointer(1); those that need more than the journal are for
 * the caller to add: "progress" of a step, what is known of "successor".
 */
json_t *status_of(const char *id, const json_t *lines, enum chain_state state);

/* Make the state of the whole again from those of its steps. */
void status_settle(json_t *status);

/* Is this the name of this machine? */
bool status_is_here(const char *name);

/* Is any leg at work, or one to come? */
bool status_is_at_work(const json_t *status);

/* All that is known, in some lines; terminal: with colours and a bar. */
void status_print(const json_t *status, double now, bool terminal, FILE *out);

/* Many chains, a line each. */
void status_print_table(
	const json_t *list, double now, bool terminal, FILE *out);

/* "dumping 40 %": the state, in a few words. Owned. */
char *status_word(const json_t *status);

#endif
