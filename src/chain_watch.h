/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chain_watch.h - waiting until something in a chain's directory changes */
#ifndef CHAIN_WATCH_H
#define CHAIN_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "chain.h"
#include "err.h"

/*
 * inotify(7) tells what processes of this machine do. What those of others do
 * to a shared directory nobody tells: who waits for it has to look.
 */
struct chain_watch {
	const struct chain *chain;
	int inotify;
	off_t size; /* of the journal, when it was last looked at */
};

/* -1 with *err. */
int chain_watch_begin(
	struct chain_watch *w, const struct chain *c, struct err *err);

/* Also watch for the progress of this step. */
void chain_watch_step(struct chain_watch *w, unsigned step);

enum watched {
	WATCH_TIME,    /* nothing, for so many seconds */
	WATCH_CHANGED, /* something may have changed */
	WATCH_FD,      /* the descriptor can be read */
};

/*
 * Wait for one of these, the last one first; seconds < 0: without limit, fd -1:
 * for none.
 */
enum watched chain_watch_wait(struct chain_watch *w, int fd, double seconds);

/* Has the journal grown since this was asked last? */
bool chain_watch_grown(struct chain_watch *w);

void chain_watch_end(struct chain_watch *w);

#endif
