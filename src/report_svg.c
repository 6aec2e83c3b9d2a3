/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report_svg.c - the charts of a chain's page */
#include <string.h>

#include "report_html.h"
#include "report_rows.h"
#include "util.h"

/*
 * Bars are drawn in units of a thousandth of their width, and stretched to the
 * page by the browser. Words stand beside them as HTML, as they would be
 * stretched, too.
 */
#define WIDTH 1000.0

/* Nearer than this is one piece: nobody could see more, and pages stay small.
 */
#define NEAR 1.5

const char *const span_class[N_SPAN_KINDS] = {
	[SPAN_RUN] = "run",
	[SPAN_DUMP] = "dump",
	[SPAN_RESTORE] = "restore",
	[SPAN_OTHER] = "other",
	[SPAN_QUEUE] = "queue",
	[SPAN_PAUSED] = "paused",
	[SPAN_UNKNOWN] = "unknown",
};

struct bar {
	const struct report *r;
	const struct report_row *row;
	const struct span *spans;
	size_t n;
	double scale; /* units a second */
	double least; /* units, of what is too short to be seen */
	FILE *to;
};

static double units(const struct bar *b, double t)
{
	double at = (t - b->row->origin) * b->scale;

	if (!(at > 0))
		return 0;
	return at < WIDTH ? at : WIDTH;
}

/* --- pieces of one kind, as one path --- */

struct path {
	const struct bar *bar;
	double least, from, to; /* to < from: no piece yet */
};

static void put_piece(struct path *p)
{
	double width = p->to - p->from;

	if (p->to < p->from)
		return;
	width = width > p->least ? width : p->least;
	fprintf(p->bar->to, "M%.1f 0h%.1fv10h-%.1fz", p->from, width, width);
}

static void add_piece(struct path *p, double from, double to)
{
	if (p->to >= p->from && from - p->to < NEAR) {
		p->to = to > p->to ? to : p->to;
		return;
	}
	put_piece(p);
	p->from = from;
	p->to = to;
}

static void put_title(
	const struct bar *b, enum span_kind kind, double seconds, unsigned n)
{
	char text[32];

	fprintf(b->to, "<title>%s: %s", span_name[kind],
		show_duration(seconds, text));
	if (n > 1)
		fprintf(b->to, ", %u times", n);
	fputs("</title>", b->to);
}

static void put_kind(const struct bar *b, enum span_kind kind)
{
	struct path p = {.bar = b, .from = 1};
	double seconds = 0;
	unsigned n = 0;

	/* These are too short to be seen, and what one looks for. */
	p.least = kind == SPAN_DUMP || kind == SPAN_RESTORE ? b->least : 0.3;
	for (size_t i = 0; i < b->n; i++) {
		const struct span *s = &b->spans[i];

		if (s->kind != kind || !row_has(b->r, b->row, s))
			continue;
		if (!n++)
			fprintf(b->to, "<path class=\"%s\" d=\"",
				span_class[kind]);
		add_piece(&p, units(b, s->from), units(b, s->to));
		seconds += s->to - s->from;
	}
	if (!n)
		return;
	put_piece(&p);
	fputs("\">", b->to);
	put_title(b, kind, seconds, n);
	fputs("</path>", b->to);
}

static void put_mark(struct path *p, double t)
{
	double at = units(p->bar, t);

	if (p->to < p->from)
		fputs("<path class=\"bad\" d=\"", p->bar->to);
	at = at > p->least ? at - p->least : 0;
	add_piece(p, at, at + p->least);
}

static bool shows(const struct bar *b, size_t visit)
{
	return b->row->visit == NO_VISIT || b->row->visit == visit;
}

/* What failed, and where a leg died. */
static void put_marks(const struct bar *b)
{
	struct path p = {.bar = b, .least = b->least, .from = 1};
	const struct leg *first = &b->r->legs[b->row->leg];
	const struct leg *last = first + b->row->n_legs - 1;

	for (size_t i = 0; i < b->n; i++)
		if (b->spans[i].reason && row_has(b->r, b->row, &b->spans[i]))
			put_mark(&p, b->spans[i].to);
	for (size_t i = first->visits; i < last->visits + last->n_visits; i++) {
		const struct visit *v = &b->r->visits[i];

		if (shows(b, i) && (v->died || v->reason))
			put_mark(&p, v->to);
	}
	if (p.to < p.from)
		return;
	put_piece(&p);
	fputs("\"><title>something failed, or the leg died</title></path>",
		b->to);
}

/* --- too much for pieces: shares --- */

/* What is drawn of a bar, from left to right, or from the bottom up. */
static const enum span_kind order[N_SPAN_KINDS] = {SPAN_QUEUE, SPAN_PAUSED,
	SPAN_OTHER, SPAN_RESTORE, SPAN_RUN, SPAN_DUMP, SPAN_UNKNOWN};

static bool is_dense(const struct bar *b)
{
	double marked = 0;

	for (size_t i = 0; i < b->n; i++)
		if (b->spans[i].kind == SPAN_DUMP ||
			b->spans[i].kind == SPAN_RESTORE)
			marked += b->least;
	return marked > WIDTH / 3;
}

/* Of all the time, one piece a kind. */
static void put_shares(const struct bar *b)
{
	double seconds[N_SPAN_KINDS] = {0}, at = 0, sum = 0, width;
	unsigned n[N_SPAN_KINDS] = {0};
	double all = units(b, b->row->to);

	for (size_t i = 0; i < b->n; i++) {
		const struct span *s = &b->spans[i];

		if (!row_has(b->r, b->row, s))
			continue;
		seconds[s->kind] += s->to - s->from;
		sum += s->to - s->from;
		n[s->kind]++;
	}
	for (size_t i = 0; i < LEN(order) && sum > 0; i++) {
		enum span_kind k = order[i];

		width = all * seconds[k] / sum;
		if (!n[k])
			continue;
		fprintf(b->to,
			"<path class=\"%s\" d=\"M%.1f 0h%.1fv10h-%.1fz\">",
			span_class[k], at, width, width);
		put_title(b, k, seconds[k], n[k]);
		fputs("</path>", b->to);
		at += width;
	}
}

#define BINS 400

static void add_to_bins(
	const struct bar *b, const struct span *s, double (*bins)[N_SPAN_KINDS])
{
	double from = units(b, s->from) * BINS / WIDTH;
	double to = units(b, s->to) * BINS / WIDTH;

	for (int i = (int)from; i < BINS && i < to; i++)
		bins[i][s->kind] +=
			(to < i + 1 ? to : i + 1) - (from > i ? from : i);
}

/* From the bottom up: how much of each moment was what. */
static void put_bins(const struct bar *b)
{
	auto_free double(*bins)[N_SPAN_KINDS] = xcalloc(BINS, sizeof(*bins));
	auto_free double *level = xcalloc(BINS, sizeof(*level));

	for (size_t i = 0; i < b->n; i++)
		add_to_bins(b, &b->spans[i], bins);
	for (size_t k = 0; k < LEN(order); k++) {
		fprintf(b->to, "<path class=\"%s\" d=\"", span_class[order[k]]);
		for (int i = 0; i < BINS; i++) {
			double sum = 0, part = bins[i][order[k]];

			for (int j = 0; j < N_SPAN_KINDS; j++)
				sum += bins[i][j];
			part = sum > 0 ? 10 * part / sum : 0;
			if (part > 0)
				fprintf(b->to, "M%.1f %.2fh%.1fv%.2fh-%.1fz",
					i * WIDTH / BINS, 10 - level[i] - part,
					WIDTH / BINS, part, WIDTH / BINS);
			level[i] += part;
		}
		fputs("\"/>", b->to);
	}
}

/* --- a bar --- */

static void put_pieces(const struct bar *b)
{
	for (int k = N_SPAN_KINDS - 1; k > SPAN_DUMP; k--)
		put_kind(b, (enum span_kind)k);
	put_kind(b, SPAN_RUN);
	put_kind(b, SPAN_RESTORE);
	put_kind(b, SPAN_DUMP);
	put_marks(b);
}

/* Marks are so many units wide at least; bins: where there are too many. */
static void put_bar(const struct report *r, const struct report_row *row,
	double longest, double least, bool bins, FILE *to)
{
	struct bar b = {.r = r,
		.row = row,
		.scale = WIDTH / longest,
		.least = least,
		.to = to};

	b.spans = row_spans(r, row, &b.n);
	fputs("<svg class=\"bar\" viewBox=\"0 0 1000 10\" "
	      "preserveAspectRatio=\"none\">",
		to);
	if (!is_dense(&b))
		put_pieces(&b);
	else if (bins)
		put_bins(&b);
	else
		put_shares(&b);
	fputs("</svg>", to);
}

/* --- the strip --- */

void html_strip(const struct report *r, FILE *to)
{
	struct report_row row = {.n_legs = r->n_legs, .visit = NO_VISIT};
	double total = r->sums.total > 0 ? r->sums.total : 1;
	char time[32];

	row.origin = row.from = r->legs[0].from;
	fputs("<div class=\"strip\">", to);
	put_bar(r, &row, total, 2, true, to);
	fputs("<div class=\"ticks\">", to);
	for (int i = 0; i <= 4; i++)
		fprintf(to, "<span>%s</span>",
			html_time(row.origin + i * total / 4, time));
	fputs("</div></div>\n", to);
}

/* --- rows --- */

static bool has_trouble(const struct report *r, const struct leg *l)
{
	bool trouble = false;

	for (size_t i = l->visits; i < l->visits + l->n_visits; i++)
		trouble |= r->visits[i].died || r->visits[i].reason;
	for (size_t i = l->spans; i < l->spans + l->n_spans; i++)
		trouble |= r->spans[i].reason != NULL;
	return trouble;
}

/* How the leg ended; of many legs, in how many something failed. */
static const char *show_end(const struct report *r,
	const struct report_row *row, bool *bad, char buf[32])
{
	unsigned n = 0;

	buf[0] = '\0';
	*bad = false;
	if (row->visit != NO_VISIT) {
		const struct visit *v = &r->visits[row->visit];

		*bad = v->died || v->reason;
		return visit_end(v, buf);
	}
	for (size_t i = 0; i < row->n_legs; i++)
		n += has_trouble(r, &r->legs[row->leg + i]);
	*bad = n > 0;
	if (n)
		snprintf(buf, 32, "%u with trouble", n);
	return buf;
}

static void put_row(const struct report *r, const struct report_row *row,
	double longest, FILE *to)
{
	const struct leg *l = &r->legs[row->leg];
	const struct visit *v =
		row->visit == NO_VISIT ? NULL : &r->visits[row->visit];
	char id[48], from[32], ran[32], end[32];
	bool bad;

	show_end(r, row, &bad, end);
	fprintf(to, "<a class=\"row%s\" href=\"#%s\"><b>%u",
		bad ? " trouble" : "", html_id(r, row->leg, row->n_legs, id),
		l->number);
	if (row->n_legs > 1)
		fprintf(to, "&ndash;%u", l[row->n_legs - 1].number);
	else if (v && r->n_steps > 1)
		fprintf(to, "<small> step %u</small>", v->step);
	fputs("</b><i>", to);
	if (row->n_legs == 1)
		html_host(to, l);
	fprintf(to, "</i><span>%s</span>", html_short_time(r, row->from, from));
	put_bar(r, row, longest, 6, false, to);
	fprintf(to, "<span>%s</span><span>%s</span></a>\n",
		show_duration((v ? v->to : row->to) - row->from, ran), end);
}

void html_rows(const struct report *r, size_t legs, FILE *to)
{
	struct report_rows rows = report_rows(r, legs);

	fputs("<nav class=\"rows\" aria-label=\"Legs\">\n"
	      "<p class=\"head\"><b>leg</b><i>host</i><span>from</span>"
	      "<span class=\"bar\">the wait before it, and what it did</span>"
	      "<span>ran for</span><span>end</span></p>\n",
		to);
	for (size_t i = 0; i < rows.n; i++)
		put_row(r, &rows.row[i], rows.longest, to);
	fputs("</nav>\n", to);
	free(rows.row);
}

/* --- sizes --- */

#define MOST_COLUMNS  240
#define LEAST_COLUMNS 24

/* Of one checkpoint, or the largest of some. */
struct size {
	unsigned leg, step, first, last;
	double memory, fresh, bytes, seconds, frozen;
	unsigned n;
};

static void raise_to(double *a, double b)
{
	*a = b > *a ? b : *a;
}

static void add_size(
	const struct report *r, struct size *z, const struct span *s)
{
	if (!z->n++)
		z->first = s->gen;
	z->last = s->gen;
	z->leg = r->visits[s->visit].leg;
	z->step = r->visits[s->visit].step;
	raise_to(&z->memory, s->memory);
	raise_to(&z->fresh, s->fresh);
	raise_to(&z->bytes, s->bytes);
	raise_to(&z->seconds, s->seconds);
	raise_to(&z->frozen, s->frozen);
}

/* Returns how many columns there are. */
static size_t add_sizes(const struct report *r, struct size *sizes)
{
	size_t per = (r->sums.dumps + MOST_COLUMNS - 1) / MOST_COLUMNS, n = 0;

	for (size_t i = 0; i < r->n_spans; i++)
		if (r->spans[i].kind == SPAN_DUMP && r->spans[i].gen)
			add_size(r, &sizes[n++ / per], &r->spans[i]);
	return per ? (n + per - 1) / per : 0;
}

static void put_size_title(
	const struct report *r, const struct size *z, FILE *to)
{
	char memory[32], fresh[32], bytes[32], seconds[32], frozen[32];

	fputs("<title>", to);
	if (z->n > 1)
		fprintf(to, "the largest of %u checkpoints up to %u", z->n,
			z->last);
	else
		fprintf(to, "checkpoint %u", z->last);
	if (r->n_steps > 1)
		fprintf(to, " of step %u", z->step);
	fprintf(to,
		", leg %u: %s of memory, %s of it new, %s on disk; took %s, "
		"stood still for %s</title>",
		z->leg, show_size((uint64_t)z->memory, memory),
		show_size((uint64_t)z->fresh, fresh),
		show_size((uint64_t)z->bytes, bytes),
		show_duration(z->seconds, seconds),
		show_duration(z->frozen, frozen));
}

static void put_size(const struct report *r, const struct size *z, size_t at,
	double most, FILE *to)
{
	double all = 100 * z->memory / most, fresh = 100 * z->fresh / most;

	fputs("<g>", to);
	put_size_title(r, z, to);
	fprintf(to,
		"<rect class=\"all\" x=\"%zu\" y=\"%.2f\" width=\"8\" "
		"height=\"%.2f\"/><rect class=\"fresh\" x=\"%zu\" y=\"%.2f\" "
		"width=\"8\" height=\"%.2f\"/></g>\n",
		10 * at + 1, 100 - all, all, 10 * at + 1, 100 - fresh, fresh);
}

void html_sizes(const struct report *r, FILE *to)
{
	auto_free struct size *sizes = xcalloc(MOST_COLUMNS, sizeof(*sizes));
	size_t n = add_sizes(r, sizes);
	double most = 1;
	char text[32];

	for (size_t i = 0; i < n; i++)
		raise_to(&most, sizes[i].memory > sizes[i].fresh
					? sizes[i].memory
					: sizes[i].fresh);
	fprintf(to, "<div class=\"sizes\"><div class=\"scale\"><span>%s</span>",
		show_size((uint64_t)most, text));
	fprintf(to,
		"<span>%s</span><span>0</span></div><svg viewBox=\"0 0 %zu "
		"100\" preserveAspectRatio=\"none\" role=\"img\" "
		"aria-label=\"Size of each checkpoint\">\n",
		show_size((uint64_t)(most / 2), text),
		10 * (n > LEAST_COLUMNS ? n : LEAST_COLUMNS));
	for (size_t i = 0; i < n; i++)
		put_size(r, &sizes[i], i, most, to);
	fputs("</svg></div>\n", to);
}
