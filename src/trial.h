/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trial.h - a command in a capsule for a while: run, dumped, restored, ended */
#ifndef TRIAL_H
#define TRIAL_H

#include <stdbool.h>

#include "chain.h"
#include "keeper.h"
#include "relay.h"
#include "scratch.h"

/*
 * What the supervisor does with a step, but one thing after the other, and
 * waiting for each with interrupt_wait() of interrupt.h: a signal ends any of
 * these functions with -1 and EINTR.
 */
struct trial {
	struct keeper keeper;
	struct keeper_plan plan;
	struct relay relay;
	struct scratch scratch;
	bool silent;    /* the command's output goes nowhere */
	bool has_chain; /* the step is that of a temporary chain */
	bool made_base; /* nor was the checkpoint directory there */
	struct chain chain;
	struct step step;
	int null; /* /dev/null, or -1 */

	char note[600]; /* what the user should know of the capsule, or "" */
	bool ready;     /* there was a capsule to start the command in */
	bool running;
	int status; /* how the command ended, as of waitpid(2) */
};

/*
 * Prepare it. With prove, a temporary chain is made in the checkpoint
 * directory, for trial_dump() and trial_restore(). trial_end() must follow in
 * any case.
 */
int trial_begin(struct trial *t, const struct config *cfg, char *const *argv,
	const char *cwd, bool prove, struct err *err);

/*
 * Start the command, in the isolation that the configuration says: where auto
 * falls back to none, that is in note.
 */
int trial_start(struct trial *t, struct err *err);

/* Let it run so many seconds, or until it ends; running tells which. */
int trial_watch(struct trial *t, double seconds, struct err *err);

/*
 * Dump it, and leave it stopped. It may take so many seconds, 0: any. Fills *r.
 */
int trial_dump(struct trial *t, double seconds, struct worker_result *r,
	struct err *err);

/* Kill it, restore it from that dump; the same. */
int trial_restore(struct trial *t, double seconds, struct worker_result *r,
	struct err *err);

/* Send it SIGTERM and wait so many seconds for its end. */
int trial_terminate(struct trial *t, double seconds, struct err *err);

/* Kill what is left of it, remove the chain, release all. */
void trial_end(struct trial *t);

#endif
