/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report_facts.h - what a chain's journal tells of its legs, for `report' */
#ifndef REPORT_FACTS_H
#define REPORT_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "chain.h"
#include "chain_facts.h"
#include "err.h"

/*
 * The time of steps, and that between legs, is in spans. Where steps run side
 * by side, so do their spans; then what stands first here counts for the sums.
 */
enum span_kind {
	SPAN_RUN,
	SPAN_DUMP,
	SPAN_RESTORE,
	SPAN_OTHER,   /* set up, or stopped while the successor is submitted;
			 in the sums also what a script does between steps */
	SPAN_QUEUE,   /* between legs: the next one is submitted */
	SPAN_PAUSED,  /* between legs: until somebody began the next one */
	SPAN_UNKNOWN, /* the leg died without a word, at some time in it */
	N_SPAN_KINDS
};

extern const char *const span_name[N_SPAN_KINDS];

#define NO_VISIT ((size_t)-1)

struct span {
	enum span_kind kind;
	size_t visit; /* NO_VISIT between legs */
	double from, to;
	/* Of a dump or a restore: */
	unsigned gen;       /* 0: it came to nothing */
	const char *reason; /* why it came to nothing, or NULL */
	double seconds;
	double frozen, bytes, memory, fresh; /* of a dump; see store.h */
	double work; /* what the step had computed before the dump, seconds */
};

/* What one leg did with one step. */
struct visit {
	unsigned leg, step;
	double from, to;
	const char *state;  /* the last one; NULL: it was passed over */
	const char *reason; /* of state failed, or NULL */
	int status;         /* of state finished */
	unsigned dumps;
	double bytes, dump, restore; /* of the last dump, of the restore */
	bool moved;                  /* this node could not restore it */
	bool died;                   /* without a word */
	size_t open;                 /* its newest span; NO_VISIT: none */
};

struct leg {
	unsigned number;
	const char *host, *key, *scheduler; /* NULL: not known */
	const char *successor;              /* NULL: none; "": without a name */
	double from, to;
	size_t visits, n_visits; /* its part of report.visits */
	size_t spans, n_spans;   /* of report.spans; that of the wait first */
};

struct report_step {
	const json_t *argv;
	const char *cwd;
	double work, unsure; /* computed so far; perhaps, before a crash */
};

/* Seconds by wall clock. Lost work is counted under computing, too. */
struct report_sums {
	double total, of[N_SPAN_KINDS];
	double frozen;
	double lost, lost_at_most;
	unsigned dumps, failed_dumps, restores, failed_restores, moves, deaths;
};

struct report {
	const char *id, *program;
	enum chain_state state;
	bool running; /* a leg is at work now */
	double now;
	unsigned damaged; /* lines that were left out */
	struct leg *legs;
	struct visit *visits;
	struct span *spans;
	struct report_step *steps; /* steps[1] to steps[n_steps] */
	size_t n_legs, n_visits, n_spans, n_steps;
	struct report_sums sums;
	json_t *lines; /* all texts belong to these */
};

/* Read the journal, and find out whether a leg runs. */
int report_read(struct report *r, const struct chain *c, struct err *err);

/* The same from lines, which it takes over; the time is now. */
void report_from(struct report *r, json_t *lines, bool running, double now);

void report_free(struct report *r);

/* "resubmitted", "moved", "finished (3)", "finished (SIGTERM)", "died" */
const char *visit_end(const struct visit *v, char buf[32]);

/* The same of the chain; of several steps, the last one's status. */
const char *report_end(const struct report *r, char buf[32]);

#endif
