/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report_rows.h"

#include "util.h"

static bool is_wait(const struct span *s)
{
	return s->kind == SPAN_QUEUE || s->kind == SPAN_PAUSED;
}

const struct span *row_spans(
	const struct report *r, const struct report_row *row, size_t *n)
{
	const struct leg *first = &r->legs[row->leg];
	const struct leg *last = first + row->n_legs - 1;

	*n = last->spans + last->n_spans - first->spans;
	return r->spans + first->spans;
}

/* The first visit of a leg that has something to show; NO_VISIT: none. */
static size_t first_shown(const struct report *r, const struct leg *l)
{
	for (size_t i = l->visits; i < l->visits + l->n_visits; i++)
		if (r->visits[i].state)
			return i;
	return NO_VISIT;
}

bool row_has(const struct report *r, const struct report_row *row,
	const struct span *s)
{
	if (row->visit == NO_VISIT || s->visit == row->visit)
		return true;
	return s->visit == NO_VISIT &&
	       row->visit == first_shown(r, &r->legs[row->leg]);
}

/* The row is new: where it begins and ends, but for the place of its wait. */
static void measure(const struct report *r, struct report_row *row)
{
	const struct leg *last = &r->legs[row->leg + row->n_legs - 1];
	size_t n;
	const struct span *s = row_spans(r, row, &n);

	row->from = r->legs[row->leg].from;
	row->to = last->to;
	if (row->visit != NO_VISIT) {
		row->from = r->visits[row->visit].from;
		row->to = r->visits[row->visit].to;
	}
	row->waited = n && is_wait(&s[0]) ? s[0].to - s[0].from : 0;
	for (size_t i = 0; i < n; i++)
		if (row_has(r, row, &s[i]) && s[i].to > row->to)
			row->to = s[i].to;
}

static void add_row(struct report_rows *rows, const struct report *r,
	size_t leg, size_t n_legs, size_t visit)
{
	struct report_row *row = &rows->row[rows->n++];

	*row = (struct report_row){
		.leg = leg, .n_legs = n_legs, .visit = visit};
	measure(r, row);
}

static void add_leg(struct report_rows *rows, const struct report *r, size_t at)
{
	const struct leg *l = &r->legs[at];

	if (first_shown(r, l) == NO_VISIT)
		add_row(rows, r, at, 1, NO_VISIT);
	for (size_t i = l->visits; i < l->visits + l->n_visits; i++)
		if (r->visits[i].state)
			add_row(rows, r, at, 1, i);
}

/* A wait is shown as long as the longest row at most. */
static void place(const struct report *r, struct report_rows *rows)
{
	double longest = 0, span, begin;

	for (size_t i = 0; i < rows->n; i++) {
		begin = r->legs[rows->row[i].leg].from;
		span = rows->row[i].to - begin;
		longest = span > longest ? span : longest;
	}
	rows->longest = longest > 0 ? longest : 1;
	for (size_t i = 0; i < rows->n; i++) {
		struct report_row *row = &rows->row[i];
		double waited = row->waited < longest ? row->waited : longest;

		row->origin = r->legs[row->leg].from - waited;
		span = row->to - row->origin;
		rows->longest = span > rows->longest ? span : rows->longest;
	}
}

struct report_rows report_rows(const struct report *r, size_t legs)
{
	struct report_rows rows = {
		.row = xcalloc(r->n_legs + r->n_visits + 1, sizeof(*rows.row)),
	};

	for (size_t i = 0; i < r->n_legs; i += legs) {
		size_t rest = r->n_legs - i;

		if (legs == 1)
			add_leg(&rows, r, i);
		else
			add_row(&rows, r, i, rest < legs ? rest : legs,
				NO_VISIT);
	}
	place(r, &rows);
	return rows;
}
