/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report_rows.h - the timeline of a chain, as rows of one scale */
#ifndef REPORT_ROWS_H
#define REPORT_ROWS_H

#include "report_facts.h"

/*
 * A row is what one leg did with one step, behind the wait for that leg; or
 * several legs with all of their steps.
 */
struct report_row {
	size_t leg, n_legs;
	size_t visit; /* NO_VISIT: all of these legs, or the only leg had none
		       */
	/*
	 * The row's time 0: the end of the leg before, or later, where the wait
	 * was so long that it would dwarf the rest.
	 */
	double origin;
	double from, to; /* without the wait */
	double waited;   /* all of it */
};

struct report_rows {
	struct report_row *row;
	size_t n;
	double longest; /* of to - origin; above 0 */
};

/* So many legs a row. Release with free(rows.row). */
struct report_rows report_rows(const struct report *r, size_t legs);

/* Does this span belong to the row? The wait does to the first of its leg. */
bool row_has(const struct report *r, const struct report_row *row,
	const struct span *s);

/* The spans of the row's legs; *n of them. */
const struct span *row_spans(
	const struct report *r, const struct report_row *row, size_t *n);

#endif
