/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump_wish.h - what becomes of a wish for a checkpoint, by the journal; pure
 */
#ifndef DUMP_WISH_H
#define DUMP_WISH_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

enum wish {
	WISH_EARLY,  /* the step does not run yet, or again */
	WISH_READY,  /* it may be asked */
	WISH_HEARD,  /* a dump is under way */
	WISH_DONE,   /* the checkpoint is committed; with leave, it has left */
	WISH_FAILED, /* why */
};

struct dump_wish {
	unsigned leg, step;
	bool leave;
	/* Who is to be asked, and how. */
	pid_t pid;
	unsigned long long born;
	const char *host, *job; /* of the journal's lines; job may be NULL */
	int sig;                /* 0: it listens to none */
	bool by_shell;          /* the batch shell may get it, too */

	enum wish is;
	bool leaving; /* the dump that is under way is the last one */
	struct {
		unsigned gen; /* 0: none yet */
		double bytes, seconds;
	} made;
	bool stopped; /* it has left without a successor */
	char why[512];
};

/*
 * The step's present state, by these lines, which must live as long. False if
 * it is not at work in that leg.
 */
bool dump_wish_begin(struct dump_wish *w, const json_t *lines, unsigned leg,
	unsigned step, bool leave);

/* One line more. */
void dump_wish_follow(struct dump_wish *w, const json_t *line);

/* Is it done, or has it failed? */
bool dump_wish_over(const struct dump_wish *w);

#endif
