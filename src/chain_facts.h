/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chain_facts.h - which chains there are, and how they stand */
#ifndef CHAIN_FACTS_H
#define CHAIN_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "chain.h"
#include "err.h"

/* Of several that are true of a chain's steps, the first here counts. */
enum chain_state {
	CHAIN_RUNNING,     /* a leg holds the lease */
	CHAIN_RESUBMITTED, /* the last leg has left, and has a successor */
	CHAIN_DIED,        /* the last leg ended without a word */
	CHAIN_FAILED,
	CHAIN_STOPPED,  /* after a checkpoint, without a successor */
	CHAIN_FINISHED, /* all steps that ever began */
	CHAIN_EMPTY,    /* no step ever began */
	N_CHAIN_STATES
};

extern const char *const chain_state_name[N_CHAIN_STATES];

struct chain_facts {
	enum chain_state state;
	unsigned legs, steps;
	double last; /* time of the newest line */
};

/* What the journal's lines tell. */
struct chain_facts chain_facts(const json_t *lines, bool running);

/*
 * How does the chain stand? With keep, and unless a leg runs, none can begin
 * until chain_close().
 */
int chain_look(const struct chain *c, bool keep, struct chain_facts *f,
	struct err *err);

/* The same, and the journal's lines (json_decref), as chain_read(). */
json_t *chain_look_at(const struct chain *c, bool keep, struct chain_facts *f,
	unsigned *damaged, struct err *err);

/*
 * The names of all chains below base, sorted, NULL at the end; none if there
 * is no such directory, NULL with *err if it cannot be read.
 */
char **chain_names(const char *base, struct err *err);
void chain_names_free(char **names);

/* The directory of a step; -1 with *err (num ENOENT) if there is none. */
int chain_open_step(const struct chain *c, unsigned step, struct err *err);

#endif
