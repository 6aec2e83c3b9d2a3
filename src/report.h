/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report.h - a chain's facts, for people and for programs */
#ifndef REPORT_H
#define REPORT_H

#include <stdio.h>

#include "report_facts.h"

/* A line for each leg and step. */
void report_table(const struct report *r, FILE *to);

/* Bars of one scale, so many columns wide with all else, and the sums. */
void report_timeline(
	const struct report *r, unsigned width, bool colour, FILE *to);

/* One page that needs nothing else. */
void report_html(const struct report *r, FILE *to);

/* The caller's; documented in checkpointer(1). */
json_t *report_json(const struct report *r);

#endif
