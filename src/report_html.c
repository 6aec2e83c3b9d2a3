/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report_html.c - a chain as one page */
#include "report_html.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "report.h"
#include "util.h"

/* More legs are drawn and told some at a time. */
#define MOST_ROWS 300

/* Of more checkpoints in one leg, these are listed: the first and the last. */
#define LISTED 50

/* --- texts --- */

void html_text(FILE *to, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p == '<')
			fputs("&lt;", to);
		else if (*p == '>')
			fputs("&gt;", to);
		else if (*p == '&')
			fputs("&amp;", to);
		else if (*p == '"')
			fputs("&quot;", to);
		else if (*p == '\'')
			fputs("&#39;", to);
		else if ((unsigned char)*p < ' ' && *p != '\n' && *p != '\t')
			fputs("&#xfffd;", to);
		else
			fputc(*p, to);
	}
}

void html_host(FILE *to, const struct leg *l)
{
	auto_free char *name = xstrdup(l->host ? l->host : "-");

	name[strcspn(name, ".")] = '\0';
	html_text(to, name);
}

const char *html_time(double t, char buf[32])
{
	time_t at = (time_t)t;
	struct tm tm = {0};

	localtime_r(&at, &tm);
	if (!strftime(buf, 32, "%d %b %Y %H:%M:%S", &tm))
		snprintf(buf, 32, "-");
	return buf;
}

const char *html_short_time(const struct report *r, double t, char buf[32])
{
	time_t at = (time_t)t;
	struct tm tm = {0};
	size_t n;

	localtime_r(&at, &tm);
	if (r->sums.total < 86400)
		n = strftime(buf, 32, "%H:%M:%S", &tm);
	else
		n = strftime(buf, 32, "%d %b %H:%M", &tm);
	if (!n)
		snprintf(buf, 32, "-");
	return buf;
}

const char *html_id(const struct report *r, size_t leg, size_t n, char buf[48])
{
	if (n == 1)
		snprintf(buf, 48, "leg-%u", r->legs[leg].number);
	else
		snprintf(buf, 48, "legs-%u-%u", r->legs[leg].number,
			r->legs[leg + n - 1].number);
	return buf;
}

/* As one would type it. */
static void put_argument(const char *text, FILE *to)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789._-+=/:,@%";

	if (*text && strspn(text, plain) == strlen(text)) {
		fputs(text, to);
		return;
	}
	html_text(to, "'");
	for (const char *p = text, *end; *p; p = end) {
		auto_free char *part = NULL;

		end = p + strcspn(p, "'");
		part = xasprintf(
			"%.*s%s", (int)(end - p), p, *end ? "'\\''" : "");
		html_text(to, part);
		end += *end != '\0';
	}
	html_text(to, "'");
}

static void put_command(const struct report_step *s, FILE *to)
{
	const json_t *a;
	size_t i;

	fputs("<code>", to);
	json_array_foreach(s->argv, i, a)
	{
		const char *text = json_string_value(a);

		if (i)
			fputc(' ', to);
		put_argument(text ? text : "", to);
	}
	fputs("</code>", to);
}

/* A line of a list of facts; nothing without a text. */
static void put_fact(FILE *to, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	fprintf(to, "<dt>%s</dt><dd>", name);
	html_text(to, text);
	fputs("</dd>\n", to);
}

/* --- sums --- */

static void put_sum(const struct report_sums *s, enum span_kind k, FILE *to)
{
	char text[32];
	double share = s->total > 0 ? 100 * s->of[k] / s->total : 0;

	fprintf(to,
		"<tr><th><span class=\"key %s\"></span> %s</th><td>%s</td>"
		"<td>%s%.1f %%</td></tr>\n",
		span_class[k], span_name[k], show_duration(s->of[k], text),
		share < 0.05 ? "&lt; " : "", share < 0.05 ? 0.1 : share);
}

static void put_lost(const struct report_sums *s, FILE *to)
{
	char text[32];

	fprintf(to, "<tr><th>lost work</th><td>%s</td><td>",
		s->lost > 0 ? show_duration(s->lost, text) : "none");
	if (s->lost_at_most > s->lost)
		fprintf(to, "that is known of; %s at most",
			show_duration(s->lost_at_most, text));
	fputs("</td></tr>\n", to);
}

static void put_sums(const struct report_sums *s, FILE *to)
{
	char text[32];

	fprintf(to,
		"<table class=\"sums\"><tr><th>in all</th><td>%s</td><td></td>"
		"</tr>\n",
		show_duration(s->total, text));
	for (int k = 0; k < N_SPAN_KINDS; k++)
		if (s->of[k] > 0)
			put_sum(s, (enum span_kind)k, to);
	if (s->frozen > 0)
		fprintf(to,
			"<tr><th>stood still</th><td>%s</td><td>in %u "
			"checkpoints</td></tr>\n",
			show_duration(s->frozen, text), s->dumps);
	put_lost(s, to);
	fputs("</table>\n", to);
}

/* --- the details of a leg --- */

static void put_dump(const struct report *r, const struct span *s, FILE *to)
{
	char at[32], memory[32], fresh[32], bytes[32], took[32], frozen[32];

	fprintf(to,
		"<tr><td>%u</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>"
		"<td>%s</td><td>%s</td></tr>\n",
		s->gen, html_short_time(r, s->to, at),
		show_size((uint64_t)s->memory, memory),
		show_size((uint64_t)s->fresh, fresh),
		show_size((uint64_t)s->bytes, bytes),
		show_duration(s->seconds, took),
		show_duration(s->frozen, frozen));
}

static void put_dumps(
	const struct report *r, const struct leg *l, size_t visit, FILE *to)
{
	unsigned n = r->visits[visit].dumps, i = 0;

	if (!n)
		return;
	fputs("<p>Checkpoints:</p>\n<div class=\"wide\"><table><tr><th>no.</th><th>made</th>"
	      "<th>memory</th><th>new</th><th>on disk</th><th>took</th>"
	      "<th>stood still</th></tr>\n",
		to);
	for (size_t k = l->spans; k < l->spans + l->n_spans; k++) {
		const struct span *s = &r->spans[k];

		if (s->kind != SPAN_DUMP || s->visit != visit || !s->gen)
			continue;
		if (i < LISTED || i >= n - LISTED)
			put_dump(r, s, to);
		else if (i == LISTED)
			fprintf(to, "<tr><td colspan=\"7\">%u more</td></tr>\n",
				n - 2 * LISTED);
		i++;
	}
	fputs("</table></div>\n", to);
}

static void put_restore(const struct span *s, FILE *to)
{
	char text[32];

	if (s->gen)
		fprintf(to, "<p>Checkpoint %u was restored in %s.</p>\n",
			s->gen, show_duration(s->seconds, text));
}

static void put_failure(const struct visit *v, const char *what, double t,
	const char *why, FILE *to)
{
	char at[32];

	fprintf(to, "<p class=\"bad\"><b>%s</b> (leg %u), %s", what, v->leg,
		html_time(t, at));
	if (why && *why) {
		fputs(": ", to);
		html_text(to, why);
	}
	fputs("</p>\n", to);
}

static void put_failures(
	const struct report *r, const struct leg *l, size_t visit, FILE *to)
{
	const struct visit *v = &r->visits[visit];

	for (size_t i = l->spans; i < l->spans + l->n_spans; i++) {
		const struct span *s = &r->spans[i];

		if (s->visit == visit && s->reason)
			put_failure(v,
				s->kind == SPAN_DUMP ? "Checkpoint failed"
						     : "Restore failed",
				s->to, s->reason, to);
	}
	if (v->reason)
		put_failure(v, "Failed", v->to, v->reason, to);
	if (v->died)
		put_failure(v, "Died", v->to,
			"this is the last that was heard of it", to);
}

static void put_visit(
	const struct report *r, const struct leg *l, size_t visit, FILE *to)
{
	const struct visit *v = &r->visits[visit];
	char how[32], ran[32];

	if (!v->state)
		return;
	fprintf(to, "<h4>Step %u: %s</h4>\n<p>", v->step, visit_end(v, how));
	put_command(&r->steps[v->step], to);
	fprintf(to, "</p>\n<p>It ran for %s.</p>\n",
		show_duration(v->to - v->from, ran));
	for (size_t i = l->spans; i < l->spans + l->n_spans; i++)
		if (r->spans[i].visit == visit &&
			r->spans[i].kind == SPAN_RESTORE)
			put_restore(&r->spans[i], to);
	put_failures(r, l, visit, to);
	put_dumps(r, l, visit, to);
}

/* The wait before it, if there was one. */
static void put_wait(const struct report *r, const struct leg *l, FILE *to)
{
	const struct span *s = l->n_spans ? &r->spans[l->spans] : NULL;
	char text[32];

	if (s && (s->kind == SPAN_QUEUE || s->kind == SPAN_PAUSED))
		put_fact(to, s->kind == SPAN_QUEUE ? "in the queue" : "paused",
			show_duration(s->to - s->from, text));
}

static void put_leg(const struct report *r, const struct leg *l, FILE *to)
{
	char text[32];

	fprintf(to,
		"<section class=\"leg\" id=\"leg-%u\">\n<h3>Leg %u</h3>\n<dl>",
		l->number, l->number);
	put_fact(to, "host", l->host);
	put_fact(to, "job", l->key);
	put_fact(to, "scheduler", l->scheduler);
	put_wait(r, l, to);
	put_fact(to, "from", html_time(l->from, text));
	put_fact(to, "to", html_time(l->to, text));
	put_fact(to, "next job", l->successor);
	fputs("</dl>\n", to);
	for (size_t i = l->visits; i < l->visits + l->n_visits; i++)
		put_visit(r, l, i, to);
	fputs("</section>\n", to);
}

/* --- the details of many legs --- */

static void put_line(const struct report *r, const struct leg *l, FILE *to)
{
	char from[32], ran[32], how[32] = "";
	unsigned dumps = 0;

	for (size_t i = l->visits; i < l->visits + l->n_visits; i++) {
		dumps += r->visits[i].dumps;
		if (r->visits[i].state)
			visit_end(&r->visits[i], how);
	}
	fprintf(to, "<tr id=\"leg-%u\"><td>%u</td><td>", l->number, l->number);
	html_host(to, l);
	fputs("</td><td>", to);
	html_text(to, l->key ? l->key : "-");
	fprintf(to, "</td><td>%s</td><td>%s</td><td>%u</td><td>%s</td></tr>\n",
		html_short_time(r, l->from, from),
		show_duration(l->to - l->from, ran), dumps, how);
}

static void put_legs(const struct report *r, size_t at, size_t n, FILE *to)
{
	const struct leg *l = &r->legs[at];
	char id[48];

	fprintf(to,
		"<section class=\"leg\" id=\"%s\">\n<h3>Legs %u to %u</h3>\n"
		"<div class=\"wide\"><table><tr><th>leg</th><th>host</th>"
		"<th>job</th><th>from</th><th>ran for</th><th>checkpoints</th>"
		"<th>end</th></tr>\n",
		html_id(r, at, n, id), l->number, l[n - 1].number);
	for (size_t i = 0; i < n; i++)
		put_line(r, &l[i], to);
	fputs("</table></div>\n", to);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < l[i].n_visits; k++)
			put_failures(r, &l[i], l[i].visits + k, to);
	fputs("</section>\n", to);
}

/* --- the page --- */

/* Only what has this word may run: not what a text might smuggle in. */
static void make_nonce(char nonce[33])
{
	unsigned char bytes[16];

	nonce[0] = '\0';
	/* Without one the page is read without its script. */
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
}

static void put_head(const struct report *r, const char *nonce, FILE *to)
{
	fprintf(to,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
		"<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" content=\""
		"default-src 'none'; style-src 'nonce-%s'; "
		"script-src 'nonce-%s'\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, "
		"initial-scale=1\">\n<meta name=\"color-scheme\" "
		"content=\"light dark\">\n<title>Chain ",
		nonce, nonce);
	html_text(to, r->id);
	fprintf(to, "</title>\n<style nonce=\"%s\">%s</style>\n</head>\n",
		nonce, page_style);
}

static void put_steps(const struct report *r, FILE *to)
{
	for (size_t i = 1; i <= r->n_steps; i++) {
		if (!r->steps[i].argv)
			continue;
		fputs("<p class=\"step\">", to);
		if (r->n_steps > 1)
			fprintf(to, "Step %zu: ", i);
		put_command(&r->steps[i], to);
		fputs(" in ", to);
		html_text(to, r->steps[i].cwd ? r->steps[i].cwd : "-");
		fputs("</p>\n", to);
	}
}

static void put_about(const struct report *r, FILE *to)
{
	char how[32], now[32];

	fputs("<header>\n<h1>Chain ", to);
	html_text(to, r->id);
	fprintf(to, "</h1>\n<p><strong>%s</strong>, %zu leg%s, %u checkpoint%s",
		report_end(r, how), r->n_legs, r->n_legs == 1 ? "" : "s",
		r->sums.dumps, r->sums.dumps == 1 ? "" : "s");
	if (r->sums.failed_dumps)
		fprintf(to, ", %u more came to nothing", r->sums.failed_dumps);
	if (r->sums.failed_restores)
		fprintf(to, ", %u restores failed", r->sums.failed_restores);
	if (r->sums.deaths)
		fprintf(to, ", %u legs died", r->sums.deaths);
	fprintf(to, "; as of %s</p>\n", html_time(r->now, now));
	put_steps(r, to);
	fputs("</header>\n", to);
}

static void put_key(const char *class, const char *name, FILE *to)
{
	fprintf(to, "<li><span class=\"key %s\"></span> %s</li>\n", class,
		name);
}

static void put_legend(const struct report *r, FILE *to)
{
	const struct report_sums *s = &r->sums;

	fputs("<ul class=\"legend\">\n", to);
	for (int k = 0; k < N_SPAN_KINDS; k++)
		if (s->of[k] > 0)
			put_key(span_class[k], span_name[k], to);
	if (s->failed_dumps || s->failed_restores || s->deaths)
		put_key("bad", "failed, died", to);
	fputs("</ul>\n", to);
}

static void put_timeline(const struct report *r, FILE *to)
{
	size_t per = (r->n_legs + MOST_ROWS - 1) / MOST_ROWS, n;

	fputs("<h2>Timeline</h2>\n", to);
	put_legend(r, to);
	html_strip(r, to);
	fputs("<div class=\"legs\">\n", to);
	html_rows(r, per, to);
	fputs("<div class=\"details\" aria-live=\"polite\">\n"
	      "<p class=\"hint\">Choose a leg, with the mouse or the arrow "
	      "keys, to see its details.</p>\n",
		to);
	for (size_t i = 0; i < r->n_legs; i += per) {
		n = r->n_legs - i < per ? r->n_legs - i : per;
		if (n == 1 && per == 1)
			put_leg(r, &r->legs[i], to);
		else
			put_legs(r, i, n, to);
	}
	fputs("</div>\n</div>\n", to);
}

static void put_sizes(const struct report *r, FILE *to)
{
	fputs("<h2>Size of the checkpoints</h2>\n", to);
	if (!r->sums.dumps) {
		fputs("<p>There was none.</p>\n", to);
		return;
	}
	fputs("<ul class=\"legend\">\n", to);
	put_key("all", "memory", to);
	put_key("fresh", "of it new, and not in an older checkpoint", to);
	fputs("</ul>\n", to);
	html_sizes(r, to);
}

void report_html(const struct report *r, FILE *to)
{
	char nonce[33];

	make_nonce(nonce);
	put_head(r, nonce, to);
	fputs("<body>\n", to);
	put_about(r, to);
	fputs("<main>\n", to);
	put_sums(&r->sums, to);
	if (r->n_legs)
		put_timeline(r, to);
	put_sizes(r, to);
	fputs("</main>\n<footer><p>", to);
	html_text(to, "checkpointer " VERSION);
	fprintf(to, "</p></footer>\n<script nonce=\"%s\">%s</script>\n", nonce,
		page_script);
	fputs("</body>\n</html>\n", to);
}
