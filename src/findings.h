/* SPDX-License-Identifier: GPL-2.0-or-later */
/* findings.h - what `check' has to tell: a list of findings */
#ifndef FINDINGS_H
#define FINDINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "err.h"

enum finding {
	FINDING_OK,
	FINDING_WARNING, /* checkpoints work, but less well than they could */
	FINDING_PROBLEM, /* none would be made, or none restored */
	N_FINDINGS
};

/*
 * Each is an object with "level", "topic", "text" and, unless it is ok,
 * "advice": what to do about it.
 */
struct findings {
	json_t *list;
	size_t shown; /* so many are printed */
};

void findings_begin(struct findings *f);
void findings_end(struct findings *f);

/* What is in order. */
void finding_ok(struct findings *f, const char *topic, const char *fmt, ...)
	PRINTF(3, 4);

/*
 * What is not. NULL for the advice: it is in the text, behind its first ": " or
 * in parentheses at its end, as errors of this program have it.
 */
void finding_add(struct findings *f, enum finding level, const char *topic,
	const char *advice, const char *fmt, ...) PRINTF(5, 6);

/* One more member of the newest finding; takes over the value. */
void finding_set(struct findings *f, const char *key, json_t *value);

/* How many are there of this level? */
unsigned findings_count(const struct findings *f, enum finding level);

/*
 * Print those that are not printed yet and have at least this level, one line
 * each.
 */
void findings_print(
	struct findings *f, enum finding level, bool colour, FILE *out);

/*
 * Call work(f, arg) in a child, and take over what it has found. What it does
 * may block: when it has not ended after so many seconds, it is killed with
 * all its process group, and that is a problem of this topic; so is its sudden
 * end. -1 if a signal came meanwhile, see interrupt.h: then it has been ended.
 */
int findings_from(struct findings *f, const char *topic, double seconds,
	void (*work)(struct findings *f, void *arg), void *arg);

#endif
