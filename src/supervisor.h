/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supervisor.h - the libev loop that watches over one step */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "chain.h"
#include "config.h"
#include "guard.h"
#include "sched.h"

struct supervision {
	const struct config *cfg;
	const struct sched *sched;
	struct sched_job *job;
	struct chain *chain;
	struct step *step;
	char *const *argv; /* the command */
	const char *cwd;
	char *const *self_argv; /* this program's own command line */
	sigset_t mask;          /* signal mask for the command */
	struct guard guard;     /* of the batch shell */
	bool whole_script;      /* the step is the batch script itself */
	bool short_leg;         /* has a smaller margin than is usual */
};

/* Exit statuses that are not the command's own; see checkpointer(1). */
#define EXIT_CANNOT_RESTORE 69 /* EX_UNAVAILABLE */
#define EXIT_LOST           70 /* EX_SOFTWARE */
#define EXIT_STOPPED        75 /* EX_TEMPFAIL: checkpointed, can go on */

/*
 * This leg's successor is accepted and nothing of this step runs here: wait
 * for the other steps, and end the leg; still_wanted as in sched.h. Returns the
 * exit status, or not.
 */
int leave_leg(const struct supervision *s, bool still_wanted);

/*
 * Run or restore the step until it ends or leaves. Returns the exit status;
 * if the command died of a signal, so does this process.
 */
int supervise(const struct supervision *s);

#endif
