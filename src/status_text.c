/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_text.c - how a chain stands, for people */
#include "status.h"

#include <stdarg.h>
#include <string.h>

#include "progress.h"
#include "status_parts.h"
#include "util.h"

#define BAR 20

static const char *colour_of(const char *state)
{
	static const char *const good[] = {"running", "restored"};
	static const char *const bad[] = {"died", "failed"};
	static const char *const at_rest[] = {"finished", "stopped", "empty"};

	if (status_is_one_of(state, good, LEN(good)))
		return "\033[32m";
	if (status_is_one_of(state, bad, LEN(bad)))
		return "\033[1;31m";
	return status_is_one_of(state, at_rest, LEN(at_rest)) ? "" : "\033[33m";
}

static void print_state(const char *state, bool terminal, FILE *out)
{
	fprintf(out, "%s%s%s", terminal ? colour_of(state) : "", state,
		terminal ? "\033[0m" : "");
}

/* "in 4 min", or "now". */
static const char *until(double t, double now, char buf[40])
{
	char text[32];

	if (t <= now)
		snprintf(buf, 40, "now");
	else
		snprintf(buf, 40, "in %s", show_duration(t - now, text));
	return buf;
}

static const char *ago(double t, double now, char buf[40])
{
	char text[32];

	if (now - t < 1)
		snprintf(buf, 40, "just now");
	else
		snprintf(buf, 40, "%s ago", show_duration(now - t, text));
	return buf;
}

PRINTF(3, 4)
static void row(FILE *out, const char *label, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(out, "  %-11s ", label);
	vfprintf(out, fmt, ap);
	fputc('\n', out);
	va_end(ap);
}

static struct progress progress_of(const json_t *j)
{
	return (struct progress){
		.restore = !strcmp(text_of(j, "kind"), "restore"),
		.to_disk = json_is_true(json_object_get(j, "to_disk")),
		.began = number_of(j, "began"),
		.now = number_of(j, "time"),
		.done = (uint64_t)number_of(j, "done"),
		.total = (uint64_t)number_of(j, "total"),
	};
}

static void print_progress(const json_t *step, bool terminal, FILE *out)
{
	const json_t *j = json_object_get(step, "progress");
	struct progress p = progress_of(j);
	char text[128], bar[BAR + 1];

	if (!j)
		return;
	progress_text(&p, text);
	if (!terminal || !p.total) {
		row(out, text_of(step, "state"), "%s", text);
		return;
	}
	for (unsigned i = 0; i < BAR; i++)
		bar[i] = i < progress_percent(&p) * BAR / 100 ? '#' : '.';
	bar[BAR] = '\0';
	row(out, text_of(step, "state"), "[%s] %s", bar, text);
}

static void print_checkpoint(const json_t *step, double now, FILE *out)
{
	const json_t *c = json_object_get(step, "checkpoint");
	char size[32], took[32], when[40];

	/* Of a command that has finished there is none any more. */
	if (!c || is_state(step, "finished"))
		return;
	row(out, "checkpoint", "%u: %s in %s, %s",
		(unsigned)number_of(c, "generation"),
		show_size((uint64_t)number_of(c, "bytes"), size),
		show_duration(number_of(c, "seconds"), took),
		ago(number_of(c, "time"), now, when));
}

/* Bytes of the text that go into a line, whole characters. */
static int fit(const char *text)
{
	size_t n = strlen(text), most = 60;

	if (n <= most)
		return (int)n;
	while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	return (int)most;
}

static void print_step(
	const json_t *step, bool many, double now, bool terminal, FILE *out)
{
	auto_free char *label =
		xasprintf("step %u", (unsigned)number_of(step, "step"));
	double next = number_of(step, "next");
	char text[40];

	fprintf(out, "  %-11s %.*s", many ? label : "command",
		fit(text_of(step, "command")), text_of(step, "command"));
	if (many) {
		fputs(": ", out);
		print_state(text_of(step, "state"), terminal, out);
	}
	fputc('\n', out);
	print_progress(step, terminal, out);
	if (*text_of(step, "reason"))
		row(out, "trouble", "%s", text_of(step, "reason"));
	if (next > 0)
		row(out, "next", "checkpoint %s", until(next, now, text));
	print_checkpoint(step, now, out);
}

/* Those that have finished are history, unless all have. */
static void print_steps(
	const json_t *status, double now, bool terminal, FILE *out)
{
	const json_t *steps = json_object_get(status, "steps"), *step;
	bool all = is_state(status, "finished");
	bool many = json_array_size(steps) > 1;
	size_t i;

	json_array_foreach(steps, i, step)
	{
		if (all || !is_state(step, "finished"))
			print_step(step, many, now, terminal, out);
	}
}

static void print_leg(const json_t *status, double now, FILE *out)
{
	const char *job = text_of(status, "job");
	double end = number_of(status, "end"),
	       last = number_of(status, "last_dump");
	char ends[40], dump[40], began[40];

	if (number_of(status, "leg") < 1)
		return;
	row(out, "leg", "%u, on %s%s%s, begun %s",
		(unsigned)number_of(status, "leg"), text_of(status, "host"),
		*job ? ", job " : "", job,
		ago(number_of(status, "began"), now, began));
	if (!status_is_at_work(status) || end <= 0 ||
		is_state(status, "resubmitted"))
		return;
	if (last > now)
		row(out, "time",
			"the last checkpoint begins %s, the leg ends %s",
			until(last, now, dump), until(end, now, ends));
	else
		row(out, "time", "the leg ends %s", until(end, now, ends));
}

static void print_successor(const json_t *status, double now, FILE *out)
{
	const json_t *j = json_object_get(status, "successor");
	const char *job = text_of(j, "job"), *state = text_of(j, "state");
	const char *why = text_of(j, "why");
	double start = number_of(j, "start");
	char when[40];

	if (!*job)
		return;
	fprintf(out, "  %-11s job %s", "successor", job);
	if (*state)
		fprintf(out, ": %s", state);
	if (*why)
		fprintf(out, ", %s", why);
	if (start > now)
		fprintf(out, ", expected to start %s", until(start, now, when));
	if (*text_of(j, "error"))
		fprintf(out, " (%s)", text_of(j, "error"));
	fputc('\n', out);
}

static void print_advice(const json_t *status, FILE *out)
{
	static const char *const words[] = {"died", "stopped"};
	bool in_job = !strcmp(text_of(status, "scheduler"), "slurm");
	const json_t *next = json_object_get(status, "successor");
	bool lost = json_is_true(json_object_get(next, "over"));

	if (status_is_one_of(text_of(status, "state"), words, LEN(words)) ||
		lost)
		row(out, "continue", "%scheckpointer restore %s",
			in_job ? "in a job, with: " : "with: ",
			text_of(status, "chain"));
}

void status_print(const json_t *status, double now, bool terminal, FILE *out)
{
	double changed = number_of(status, "changed");
	char when[40];

	fprintf(out, "%s: ", text_of(status, "chain"));
	print_state(text_of(status, "state"), terminal, out);
	fprintf(out, ", last change %s\n", ago(changed, now, when));
	print_leg(status, now, out);
	if (json_is_true(json_object_get(status, "unlocked")))
		row(out, "note",
			"no lock of it is seen here, but its job runs, as %s "
			"says",
			text_of(status, "scheduler"));
	print_steps(status, now, terminal, out);
	print_successor(status, now, out);
	print_advice(status, out);
	fflush(out);
}

char *status_word(const json_t *status)
{
	const json_t *steps = json_object_get(status, "steps"), *step;
	const char *state = text_of(status, "state");
	size_t i;

	json_array_foreach(steps, i, step)
	{
		const json_t *p = json_object_get(step, "progress");

		if (p && is_state(step, state))
			return xasprintf("%s %u %%", state,
				(unsigned)number_of(p, "percent"));
	}
	return xstrdup(state);
}

/* Of the steps, the newest checkpoint: "12: 1.4 GB, 4 min ago". Owned. */
static char *newest_checkpoint(const json_t *status, double now)
{
	const json_t *steps = json_object_get(status, "steps"), *step, *c,
		     *newest = NULL;
	char size[32], when[40];
	size_t i;

	json_array_foreach(steps, i, step)
	{
		c = json_object_get(step, "checkpoint");
		if (c && number_of(c, "time") >= number_of(newest, "time"))
			newest = c;
	}
	if (!newest)
		return xstrdup("-");
	return xasprintf("%u: %s, %s",
		(unsigned)number_of(newest, "generation"),
		show_size((uint64_t)number_of(newest, "bytes"), size),
		ago(number_of(newest, "time"), now, when));
}

static void print_in_table(
	const json_t *status, int width, double now, bool terminal, FILE *out)
{
	auto_free char *word = status_word(status);
	auto_free char *checkpoint = newest_checkpoint(status, now);
	const char *state = text_of(status, "state");
	double end = number_of(status, "end");
	char left[32] = "-";

	if (end > now && strcmp(state, "resubmitted") != 0)
		show_duration(end - now, left);
	fprintf(out, "%-*s  %s%-14s%s %4u  %-12s  %-11s  %s\n", width,
		text_of(status, "chain"), terminal ? colour_of(state) : "",
		word, terminal ? "\033[0m" : "",
		(unsigned)number_of(status, "leg"), text_of(status, "host"),
		left, checkpoint);
}

void status_print_table(
	const json_t *list, double now, bool terminal, FILE *out)
{
	int width = 5, n;
	const json_t *s;
	size_t i;

	json_array_foreach(list, i, s)
	{
		n = (int)strlen(text_of(s, "chain"));
		width = n > width ? n : width;
	}
	fprintf(out, "%-*s  %-14s %4s  %-12s  %-11s  %s\n", width, "chain",
		"state", "leg", "host", "left", "checkpoint");
	json_array_foreach(list, i, s)
	{
		print_in_table(s, width, now, terminal, out);
	}
	fflush(out);
}
