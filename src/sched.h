/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched.h - what a scheduler must do for us */
#ifndef SCHED_H
#define SCHED_H

#include <stdbool.h>

#include "config.h"
#include "err.h"

/* Why the leg is asked to end. */
enum ending {
	ENDING_LIMIT,     /* the time limit: continue in a successor */
	ENDING_PREEMPTED, /* continue in a successor */
	ENDING_REQUEUED,  /* the scheduler itself brings the job back */
	ENDING_CANCELLED, /* a person wants it gone: no successor */
};

struct sched_job {
	/* This leg in the scheduler's words, unique for ever; owned. */
	char *key;
	/* Name for a new chain, if the scheduler has a good one; owned. */
	char *chain;
	/* End of the allocation, CLOCK_REALTIME seconds; 0: none known. */
	double end;
	/* How long the whole leg may last, seconds; 0: no limit known. */
	double limit;
};

struct sched {
	const char *name;

	/* Is this process part of one of its jobs? Cheap, asks nobody. */
	bool (*here)(void);

	/*
	 * The facts about this leg. May block (a helper calls it). Fills *job,
	 * which the caller releases with sched_job_free().
	 */
	int (*facts)(const struct config *cfg, struct sched_job *job,
		struct err *err);

	/* Asked when SIGTERM arrives. May block. */
	int (*why)(const struct config *cfg, enum ending *why, struct err *err);

	/*
	 * Submit the successor of this leg, which continues the chain. May
	 * block. 0 only when the successor is accepted for certain.
	 */
	int (*submit)(
		const struct config *cfg, const char *chain, struct err *err);

	/* Will a successor run the batch script again from its top? */
	bool (*reruns_script)(void);

	/*
	 * The leg has left (the successor is accepted, nothing runs any more).
	 * Called last, in the supervisor itself, with its command line; may
	 * not return. The status is what the supervisor ends with.
	 */
	int (*left)(char *const argv[], const char *chain);

	/* The step has ended otherwise. Called last, in the supervisor. */
	void (*ended)(void);
};

/* The scheduler this process runs under: the first that is here(). */
const struct sched *sched_find(void);

void sched_job_free(struct sched_job *job);

extern const struct sched sched_local;
#ifdef HAVE_SLURM
extern const struct sched sched_slurm;
#endif

#endif
