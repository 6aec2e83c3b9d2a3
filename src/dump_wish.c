/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dump_wish.h"

#include <string.h>

#include "chain_parts.h"
#include "status_parts.h"
#include "util.h"

static bool is(const json_t *line, const char *key, const char *word)
{
	return !strcmp(text_of(line, key), word);
}

static void fail(struct dump_wish *w, const char *why)
{
	w->is = WISH_FAILED;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static void note_checkpoint(struct dump_wish *w, const json_t *line)
{
	w->made.gen = chain_number(line, "gen");
	w->made.bytes = json_number_value(json_object_get(line, "bytes"));
	w->made.seconds = json_number_value(json_object_get(line, "seconds"));
	if (!w->leave)
		w->is = WISH_DONE;
}

/* It runs: after a dump, perhaps one that has failed, or from now on. */
static void on_running(struct dump_wish *w, const json_t *line)
{
	bool mine = w->is == WISH_HEARD && w->leave == w->leaving;

	if (is(line, "on", "submit failed") ||
		(is(line, "on", "dump failed") && (mine || !w->leave)))
		fail(w, text_of(line, "reason"));
	else if (is(line, "on", "dumped"))
		note_checkpoint(w, line);
	if (!dump_wish_over(w))
		w->is = WISH_READY;
}

static void on_left(struct dump_wish *w, bool stopped)
{
	w->stopped = stopped;
	if (w->made.gen)
		w->is = WISH_DONE;
	else
		fail(w, "the leg has left without a checkpoint of its own");
}

static void on_state(struct dump_wish *w, const json_t *line)
{
	const char *state = text_of(line, "state");

	if (!strcmp(state, "running") || !strcmp(state, "restored")) {
		on_running(w, line);
	} else if (!strcmp(state, "dumping")) {
		w->is = WISH_HEARD;
		w->leaving = is(line, "on", "leave");
	} else if (!strcmp(state, "submitting")) {
		note_checkpoint(w, line);
	} else if (!strcmp(state, "resubmitted")) {
		on_left(w, false);
	} else if (!strcmp(state, "stopped")) {
		on_left(w, true);
	} else if (!strcmp(state, "finished")) {
		fail(w, "the command has ended");
	} else if (!strcmp(state, "failed") || !strcmp(state, "moving")) {
		fail(w, *text_of(line, "reason") ? text_of(line, "reason")
						 : "the command was lost");
	} else if (!strcmp(state, "ending")) {
		fail(w, "the command was asked to end");
	}
}

bool dump_wish_over(const struct dump_wish *w)
{
	return w->is == WISH_DONE || w->is == WISH_FAILED;
}

void dump_wish_follow(struct dump_wish *w, const json_t *line)
{
	if (!dump_wish_over(w) && chain_is_event(line, "state") &&
		chain_number(line, "leg") == w->leg &&
		chain_number(line, "step") == w->step)
		on_state(w, line);
}

static int signal_in(const json_t *line, const char *key)
{
	int sig = *text_of(line, key) ? parse_signal(text_of(line, key)) : 0;

	return sig > 0 ? sig : 0;
}

/* Its supervisor's first line. */
static void note_supervisor(struct dump_wish *w, const json_t *line)
{
	w->pid = (pid_t)json_integer_value(json_object_get(line, "pid"));
	w->born = (unsigned long long)json_integer_value(
		json_object_get(line, "born"));
	w->host = text_of(line, "host");
	w->job = json_string_value(json_object_get(line, "job"));
	w->sig = signal_in(line, w->leave ? "leave" : "save");
	w->by_shell = json_is_true(json_object_get(line, "by_shell"));
	w->is = WISH_EARLY;
}

bool dump_wish_begin(struct dump_wish *w, const json_t *lines, unsigned leg,
	unsigned step, bool leave)
{
	const json_t *line;
	size_t i;

	*w = (struct dump_wish){.leg = leg, .step = step, .leave = leave};
	json_array_foreach(lines, i, line)
	{
		if (!chain_is_event(line, "state") ||
			chain_number(line, "leg") != leg ||
			chain_number(line, "step") != step)
			continue;
		/* What was before is nobody's wish. */
		w->is = WISH_EARLY;
		w->made.gen = 0;
		if (json_object_get(line, "pid"))
			note_supervisor(w, line);
		else
			on_state(w, line);
		if (is(line, "state", "submitting"))
			w->is = WISH_HEARD;
		else if (w->is == WISH_DONE || is(line, "on", "dump failed") ||
			 is(line, "on", "submit failed"))
			w->is = WISH_READY;
	}
	w->why[0] = '\0';
	return w->pid > 0 && !dump_wish_over(w);
}
