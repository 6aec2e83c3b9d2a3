/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report_text.c - a chain's legs on a terminal */
#include <string.h>
#include <time.h>

#include "report.h"
#include "report_rows.h"
#include "util.h"

/* --- the table --- */

static void show_time(double t, char buf[16])
{
	time_t s = (time_t)t;
	struct tm tm;

	localtime_r(&s, &tm);
	strftime(buf, 16, "%H:%M:%S", &tm);
}

static void show_seconds(double s, char *buf, size_t size)
{
	if (s > 0)
		snprintf(buf, size, "%.2f s", s);
	else
		snprintf(buf, size, "-");
}

static void print_visit(const struct visit *v, FILE *to)
{
	char from[16], until[16], dump[16], restore[16], mb[24] = "-", how[32];

	show_time(v->from, from);
	show_time(v->to, until);
	show_seconds(v->dump, dump, sizeof(dump));
	show_seconds(v->restore, restore, sizeof(restore));
	if (v->dumps)
		snprintf(mb, sizeof(mb), "%.1f", v->bytes / 1e6);
	fprintf(to, "%4u %5u  %8s  %8s  %6u %9s %9s %9s  %s\n", v->leg, v->step,
		from, until, v->dumps, mb, dump, restore, visit_end(v, how));
}

void report_table(const struct report *r, FILE *to)
{
	fprintf(to, "chain %s\n", r->id);
	fprintf(to, "%4s %5s  %8s  %8s  %6s %9s %9s %9s  %s\n", "leg", "step",
		"from", "to", "dumps", "MB", "dump", "restore", "end");
	/* A step that had finished before has no state in a later leg. */
	for (size_t i = 0; i < r->n_visits; i++)
		if (r->visits[i].state)
			print_visit(&r->visits[i], to);
}

/* --- bars --- */

/* Of one column: its letter, and its colour as of SGR. */
struct look {
	char letter;
	const char *colour, *meaning;
};

/* In the order of the legend; the first ones are those of span_kind. */
enum {
	LOOK_FAILED = N_SPAN_KINDS,
	N_LOOKS
};

static const struct look looks[N_LOOKS] = {
	[SPAN_RUN] = {'=', "32", "computing"},
	[SPAN_DUMP] = {'#', "36", "checkpoint"},
	[SPAN_RESTORE] = {'r', "35", "restore"},
	[SPAN_OTHER] = {'-', "2", "starting, stopping"},
	[SPAN_QUEUE] = {'.', "2", "in the queue"},
	[SPAN_PAUSED] = {',', "2", "until it was continued"},
	[SPAN_UNKNOWN] = {'?', "33", "died in this time"},
	[LOOK_FAILED] = {'x', "31", "failed, died"},
};

struct column {
	double of[N_SPAN_KINDS]; /* seconds */
	bool begins[N_SPAN_KINDS];
	bool failed;
};

struct bar {
	struct column *column;
	unsigned width;
	double origin, seconds; /* that a column stands for */
};

static unsigned column_at(const struct bar *b, double t)
{
	double at = (t - b->origin) / b->seconds;

	if (!(at > 0))
		return 0;
	return at < b->width - 1 ? (unsigned)at : b->width - 1;
}

static void add_to_bar(struct bar *b, const struct span *s)
{
	double from = s->from > b->origin ? s->from : b->origin;
	unsigned first = column_at(b, from), last = column_at(b, s->to);

	b->column[first].begins[s->kind] = true;
	for (unsigned i = first; i <= last; i++) {
		double left = b->origin + i * b->seconds;
		double right = left + b->seconds;

		left = from > left ? from : left;
		right = s->to < right ? s->to : right;
		b->column[i].of[s->kind] += right - left;
	}
	if (s->reason)
		b->column[last].failed = true;
}

/*
 * What is shown of a column: what failed; a checkpoint or a restore, however
 * short, unless there are so many that one would see nothing else; else what
 * took most of its time.
 */
static int look_of(const struct column *c, bool marks)
{
	int best = -1;

	if (c->failed)
		return LOOK_FAILED;
	if (marks && c->begins[SPAN_RESTORE])
		return SPAN_RESTORE;
	if (marks && c->begins[SPAN_DUMP])
		return SPAN_DUMP;
	for (int k = 0; k < N_SPAN_KINDS; k++)
		if (c->of[k] > (best < 0 ? 0 : c->of[best]))
			best = k;
	return best;
}

static void print_bar(const struct bar *b, bool marks, bool colour,
	bool seen[N_LOOKS], FILE *to)
{
	int before = -1, look;

	for (unsigned i = 0; i < b->width; i++) {
		look = look_of(&b->column[i], marks);
		if (colour && look != before)
			fprintf(to, "\033[0;%sm",
				look < 0 ? "0" : looks[look].colour);
		fputc(look < 0 ? ' ' : looks[look].letter, to);
		if (look >= 0)
			seen[look] = true;
		before = look;
	}
	if (colour)
		fputs("\033[0m", to);
}

/* --- the timeline --- */

struct timeline {
	const struct report *r;
	struct report_rows rows;
	unsigned bar; /* columns */
	int host, moment;
	bool colour, steps;
	bool seen[N_LOOKS];
	FILE *to;
};

/* A name of a host, without its domain; it is from a file. */
static void short_host(const struct leg *l, char buf[17])
{
	snprintf(buf, 17, "%.16s", l->host ? l->host : "-");
	buf[strcspn(buf, ".")] = '\0';
	mask_control(buf);
}

static void print_row(struct timeline *t, const struct report_row *row)
{
	const struct visit *v =
		row->visit == NO_VISIT ? NULL : &t->r->visits[row->visit];
	auto_free struct column *columns = xcalloc(t->bar, sizeof(*columns));
	struct bar bar = {
		columns, t->bar, row->origin, t->rows.longest / t->bar};
	char host[17], from[32], ran[32];
	size_t n;
	const struct span *s = row_spans(t->r, row, &n);

	for (size_t i = 0; i < n; i++)
		if (row_has(t->r, row, &s[i]))
			add_to_bar(&bar, &s[i]);
	if (v && (v->died || v->reason))
		columns[column_at(&bar, v->to)].failed = true;
	short_host(&t->r->legs[row->leg], host);
	fprintf(t->to, "%4u ", t->r->legs[row->leg].number);
	if (t->steps)
		fprintf(t->to, "%4u ", v ? v->step : 0);
	fprintf(t->to, " %-*s  %-*s |", t->host, host, t->moment,
		show_moment(row->from, t->r->now, from));
	print_bar(&bar, v && v->dumps <= t->bar / 3, t->colour, t->seen, t->to);
	fprintf(t->to, "| %11s\n",
		show_duration((v ? v->to : row->to) - row->from, ran));
}

static void measure(struct timeline *t, unsigned width)
{
	char text[32];
	unsigned rest;
	int n;

	t->host = 4;
	t->moment = 5;
	for (size_t i = 0; i < t->rows.n; i++) {
		const struct report_row *row = &t->rows.row[i];

		short_host(&t->r->legs[row->leg], text);
		n = (int)strlen(text);
		t->host = n > t->host ? n : t->host;
		n = (int)strlen(show_moment(row->from, t->r->now, text));
		t->moment = n > t->moment ? n : t->moment;
	}
	rest = (unsigned)(t->host + t->moment) + (t->steps ? 28 : 23);
	t->bar = width > rest + 10 ? width - rest : 10;
}

static void print_legend(const struct timeline *t)
{
	const char *before = "";

	for (int k = 0; k < N_LOOKS; k++) {
		const struct look *l = &looks[k];

		if (!t->seen[k])
			continue;
		if (t->colour)
			fprintf(t->to, "%s\033[%sm%c\033[0m %s", before,
				l->colour, l->letter, l->meaning);
		else
			fprintf(t->to, "%s%c %s", before, l->letter,
				l->meaning);
		before = "   ";
	}
	fputs("\n", t->to);
}

/* --- sums --- */

static const char *show_share(double part, double of, char buf[32])
{
	double share = of > 0 ? 100 * part / of : 0;

	snprintf(buf, 32, share < 0.05 ? "< 0.1 %%" : "%.1f %%", share);
	return buf;
}

static void print_sums(const struct report *r, FILE *to)
{
	const struct report_sums *s = &r->sums;
	char text[32], most[32];

	fprintf(to, "\n%-23s %11s\n", "in all", show_duration(s->total, text));
	for (int k = 0; k < N_SPAN_KINDS; k++)
		if (s->of[k] > 0)
			fprintf(to, "  %-21s %11s  %7s\n", span_name[k],
				show_duration(s->of[k], text),
				show_share(s->of[k], s->total, most));
	if (s->frozen > 0)
		fprintf(to,
			"stood still             %11s  in %u checkpoint%s\n",
			show_duration(s->frozen, text), s->dumps,
			s->dumps == 1 ? "" : "s");
	fprintf(to, "lost work               %11s",
		s->lost > 0 ? show_duration(s->lost, text) : "none");
	if (s->lost_at_most > s->lost)
		fprintf(to, "  that is known of, %s at most",
			show_duration(s->lost_at_most, most));
	fputs("\n", to);
}

void report_timeline(
	const struct report *r, unsigned width, bool colour, FILE *to)
{
	struct timeline t = {
		.r = r,
		.rows = report_rows(r, 1),
		.colour = colour,
		.steps = r->n_steps > 1,
		.to = to,
	};
	char how[32], when[32];

	measure(&t, width);
	fprintf(to, "\n%4s %s %-*s  %-*s\n", "leg", t.steps ? "step " : "",
		t.host, "host", t.moment, "from");
	for (size_t i = 0; i < t.rows.n; i++)
		print_row(&t, &t.rows.row[i]);
	if (t.rows.n)
		print_legend(&t);
	print_sums(r, to);
	fprintf(to, "\nchain %s: %s", r->id, report_end(r, how));
	if (r->n_legs && !r->running)
		fprintf(to, ", %s",
			show_moment(r->legs[r->n_legs - 1].to, r->now, when));
	fputs("\n", to);
	free(t.rows.row);
}
