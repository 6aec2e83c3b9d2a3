/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched.h - what a scheduler must do for us */
#ifndef SCHED_H
#define SCHED_H

#include <stdbool.h>
#include <sys/types.h>

#include "chain.h"
#include "config.h"
#include "err.h"
#include "findings.h"
#include "guard.h"

/* Why the leg is asked to end. */
enum ending {
	ENDING_LIMIT,     /* the time limit: continue in a successor */
	ENDING_PREEMPTED, /* continue in a successor */
	ENDING_REQUEUED,  /* the scheduler itself brings the job back */
	ENDING_STOPPED,   /* a person wants a checkpoint and no successor */
	ENDING_CANCELLED, /* a person wants it gone */
};

struct sched_job {
	/* This leg in the scheduler's words, unique for ever; owned. */
	char *key;
	/* The job in the words of its users, or NULL; owned. */
	char *id;
	/* Name for a new chain, if the scheduler has a good one; owned. */
	char *chain;
	/* Where the batch script has begun, if that is known; owned. */
	char *dir;
	/* End of the allocation, CLOCK_REALTIME seconds; 0: none known. */
	double end;
	/* How long the whole leg may last, seconds; 0: no limit known. */
	double limit;
	/* The files of the job's output and errors, or NULL; owned. */
	char *output[2];
	/* Is it to be asked why() now and then, as nobody else will tell? */
	bool watch;
};

/* What submit() is to know of the leg that leaves. */
struct sched_next {
	const char *chain;
	unsigned leg;    /* of the successor */
	bool elsewhere;  /* on another node than this */
	bool unanswered; /* an earlier try may have been accepted */
};

/* What left() is to know. */
struct sched_leaving {
	char *const *argv; /* the supervisor's command line */
	const struct chain *chain;
	const char *successor; /* what submit() has told, or "" */
	bool still_wanted;     /* the scheduler will take the job back, but has
				  not yet: it must not end before */
	const struct guard *guard;
};

#define SCHED_NAME 64

/* What is known of a job, whoever asks. */
struct sched_seen {
	bool runs, waits; /* else it is over */
	char state[24];   /* "pending", "running", "completed", ... */
	char why[128];    /* why it waits, or "" */
	char nodes[128];  /* where it runs, or "" */
	double start; /* or is expected to, seconds after 1970; 0: unknown */
	double end;   /* of its time; 0: unknown */
};

struct sched {
	const char *name;

	/* Is this process part of one of its jobs? Cheap, asks nobody. */
	bool (*here)(void);

	/*
	 * The facts about this leg. May block (a helper calls it, but at the
	 * start). Fills *job, which the caller releases with sched_job_free().
	 * Fails too for a kind of job that cannot be continued.
	 */
	int (*facts)(const struct config *cfg, struct sched_job *job,
		struct err *err);

	/*
	 * The end of the allocation as it is by now; -1 with *err. May block.
	 * NULL if it never moves.
	 */
	double (*end)(const struct config *cfg, struct err *err);

	/* The process that runs the batch script, 0: there is no script. */
	pid_t (*shell)(void);

	/* Do others send it signals that it must not get? */
	bool guards_shell;

	/* Does the script's file vanish with the leg? Then it is copied. */
	bool script_vanishes;

	/*
	 * Asked when the job is to end. May block. If the controller cannot
	 * be reached, -1 with *err.
	 */
	int (*why)(const struct config *cfg, enum ending *why, struct err *err);

	/*
	 * Does submit() itself end the whole leg? Then it is only called when
	 * no other step is at work.
	 */
	bool (*submit_ends_leg)(const struct config *cfg);

	/*
	 * Submit the successor of this leg, which continues the chain. May
	 * block. 0 only when the successor is accepted for certain; its name
	 * goes to name, or "" if it has none. err->num is EAGAIN if there was
	 * no answer.
	 */
	int (*submit)(const struct config *cfg, const struct sched_next *next,
		char name[SCHED_NAME], struct err *err);

	/* May the end of a job kill its processes one by one, in any order? */
	bool kills_all;

	/* Can a successor come to another node? */
	bool has_nodes;

	/* May the job's output files be emptied when it comes again? */
	bool empties_output;

	/* Will a successor run the batch script again from its top? */
	bool (*reruns_script)(void);

	/*
	 * The leg has left: the successor is accepted, no step is at work any
	 * more. Called last, in the supervisor itself; may not return. The
	 * status is what the supervisor ends with.
	 */
	int (*left)(const struct sched_leaving *leaving);

	/*
	 * End the batch script with this status, as of waitpid(2), instead of
	 * going on to its next line. Returns only if that cannot be done.
	 */
	int (*end_script)(
		const struct guard *guard, int status, struct err *err);

	/* The step has ended otherwise. Called last, in the supervisor. */
	void (*ended)(void);

	/*
	 * Show the state where users look for the job. May block; NULL if
	 * there is no such place.
	 */
	int (*show)(const struct config *cfg, const char *chain, unsigned leg,
		const char *state, struct err *err);

	/*
	 * Of a job by its id, asked from anywhere: what becomes of it; and
	 * send a signal to its batch shell as the scheduler itself would. May
	 * block: see sched_look(). NULL if it has no such jobs.
	 */
	int (*look)(const char *id, struct sched_seen *seen, struct err *err);
	int (*signal)(const char *id, int sig, struct err *err);

	/*
	 * Does it answer, and are its settings good for us? Adds findings.
	 * Called inside a job or outside of any, in a process of its own; may
	 * block. False, and no finding, if this machine does not use it. NULL
	 * if there is nothing to find out.
	 */
	bool (*check)(const struct config *cfg, struct findings *f);
};

/* The scheduler this process runs under: the first that is here(). */
const struct sched *sched_find(void);

/*
 * Is this part of a job of a batch system that is not built in? Then what that
 * means and what to do goes to text, for somebody who is to be warned.
 */
bool sched_is_missing(char *text, size_t size);

/*
 * check() of the schedulers that have one, up to the first that this machine
 * uses: that one, or the local one.
 */
const struct sched *sched_check(const struct config *cfg, struct findings *f);

/* The one with this name; NULL if it is not built in. */
const struct sched *sched_named(const char *name);

/*
 * look() and signal() in a process of their own, which is not waited for
 * longer than moments. -1 with *err, also if s is NULL or cannot do it.
 */
int sched_look(const struct sched *s, const char *id, struct sched_seen *seen,
	struct err *err);
int sched_signal(
	const struct sched *s, const char *id, int sig, struct err *err);

void sched_job_free(struct sched_job *job);

extern const struct sched sched_local;
#ifdef HAVE_SLURM
extern const struct sched sched_slurm;
#endif

#endif
