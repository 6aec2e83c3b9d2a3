/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "chain_parts.h"
#include "status_parts.h"
#include "util.h"

/* --- which chain --- */

#define JOURNAL_MAX (64U << 20)

/* Was this job one of the chain's? When its journal was last written to. */
static double has_job(int base, const char *id, const char *job)
{
	auto_free char *path = xasprintf("%s/journal", id);
	auto_free char *text =
		read_file_at(base, path, JOURNAL_MAX, NULL, NULL);
	auto_free char *named = xasprintf("\"job\":\"%s\"", job);
	auto_free char *key = xasprintf("\"key\":\"slurm-%s.", job);
	struct stat st;

	/* In any other text of a line the quotes have a backslash. */
	if (!text || (!strstr(text, named) && !strstr(text, key)) ||
		fstatat(base, path, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	return (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9;
}

/* Numbers are given again, in years: the newest chain is meant. */
static char *find_job(const char *base, char *const *names, const char *job)
{
	auto_close int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *found = NULL;
	double newest = 0, t;

	for (size_t i = 0; names[i]; i++) {
		t = has_job(dir, names[i], job);
		if (t <= newest)
			continue;
		newest = t;
		found = names[i];
	}
	return found ? xstrdup(found) : NULL;
}

char *status_find(const char *base, const char *word, struct err *err)
{
	char **names = chain_names(base, err);
	char *found = NULL;

	if (!names)
		return NULL;
	for (size_t i = 0; names[i] && !found; i++)
		if (!strcmp(names[i], word))
			found = xstrdup(word);
	if (!found && *word && strspn(word, "0123456789") == strlen(word))
		found = find_job(base, names, word);
	chain_names_free(names);
	if (found)
		return found;
	err_set(err, 0,
		"there is no chain %.100s, nor one with such a job, in %s "
		"(checkpointer list shows all)",
		word, base);
	return NULL;
}

/* --- facts --- */

/* What the journal says of one step. */
struct step_seen {
	const json_t *taken;  /* last line that says what it is */
	const json_t *begun;  /* who is at work, in the last leg */
	const json_t *state;  /* last line of its state */
	const json_t *dumped; /* last checkpoint */
};

struct seen {
	const json_t *leg;       /* last one's first line */
	const json_t *submitted; /* its successor */
	double end;              /* of its time */
	unsigned legs, steps;
	struct step_seen *step; /* by number */
};

static void see_step(struct step_seen *step, const json_t *line)
{
	const char *on = text_of(line, "on");

	if (chain_is_event(line, "step"))
		step->taken = line;
	if (!chain_is_event(line, "state"))
		return;
	step->state = line;
	if (json_object_get(line, "pid"))
		step->begun = line;
	if (!strcmp(on, "dumped"))
		step->dumped = line;
}

static void see_line(struct seen *s, const json_t *line)
{
	unsigned step = chain_number(line, "step");

	if (chain_is_event(line, "leg")) {
		s->leg = line;
		s->submitted = NULL;
		s->end = 0;
	}
	if (chain_is_event(line, "submitted"))
		s->submitted = line;
	if (number_of(line, "end") > 0)
		s->end = number_of(line, "end");
	if (step && step <= s->steps)
		see_step(&s->step[step], line);
}

static json_t *join_words(const json_t *argv)
{
	auto_free char *all = xstrdup("");
	const json_t *a;
	size_t i;

	json_array_foreach(argv, i, a)
	{
		auto_free char *before = all;

		all = xasprintf("%s%s%s", before, i ? " " : "",
			json_is_string(a) ? json_string_value(a) : "?");
	}
	mask_control(all);
	return chain_string(all);
}

static json_t *describe_checkpoint(const json_t *line)
{
	return json_pack("{s:O*, s:O*, s:O*, s:O*, s:O*}", "generation",
		json_object_get(line, "gen"), "time",
		json_object_get(line, "t"), "bytes",
		json_object_get(line, "bytes"), "memory",
		json_object_get(line, "memory"), "seconds",
		json_object_get(line, "seconds"));
}

/* Of a step whose last word this is. */
static const char *state_of(const struct seen *s, const struct step_seen *step,
	enum chain_state chain)
{
	static const char *const ends[] = {"finished", "failed", "stopped"};
	const char *last = text_of(step->state, "state");
	bool ended = status_is_one_of(last, ends, LEN(ends));
	bool now = chain_number(step->taken, "leg") == s->legs;

	if (!strcmp(last, "finished"))
		return "finished";
	/* It is one that this leg, or the next one, has not come to yet. */
	if ((chain == CHAIN_RUNNING && !now) || chain == CHAIN_RESUBMITTED)
		return "waiting";
	if (chain == CHAIN_RUNNING && !step->state)
		return "starting";
	if (chain == CHAIN_RUNNING &&
		chain_number(step->state, "leg") != s->legs)
		return "starting";
	return ended || chain == CHAIN_RUNNING ? last : "died";
}

static void copy(json_t *to, const json_t *from, const char *key)
{
	json_t *value = json_object_get(from, key);

	if (value)
		json_object_set(to, key, value);
}

static json_t *describe_step(
	const struct seen *s, unsigned number, enum chain_state chain)
{
	const struct step_seen *step = &s->step[number];
	json_t *j = json_pack("{s:i, s:s, s:f, s:o}", "step", (int)number,
		"state", state_of(s, step, chain), "since",
		number_of(step->state ? step->state : step->taken, "t"),
		"command", join_words(json_object_get(step->taken, "argv")));

	if (chain == CHAIN_RUNNING &&
		chain_number(step->begun, "leg") == s->legs) {
		copy(j, step->begun, "host");
		copy(j, step->begun, "pid");
		copy(j, step->begun, "born");
		copy(j, step->state, "next");
	}
	copy(j, step->state, "status");
	copy(j, step->state, "reason");
	if (step->dumped)
		json_object_set_new(
			j, "checkpoint", describe_checkpoint(step->dumped));
	return j;
}

/* What a step's line says of the whole leg. */
static void add_leg(json_t *j, const struct seen *s)
{
	double margin = -1;

	copy(j, s->leg, "host");
	copy(j, s->leg, "scheduler");
	if (s->leg)
		json_object_set_new(
			j, "began", json_real(number_of(s->leg, "t")));
	for (unsigned i = 1; i <= s->steps; i++) {
		const json_t *begun = s->step[i].begun;

		if (!begun || chain_number(begun, "leg") != s->legs)
			continue;
		copy(j, begun, "job");
		margin = number_of(begun, "margin");
	}
	if (s->end <= 0)
		return;
	json_object_set_new(j, "end", json_real(s->end));
	if (margin >= 0)
		json_object_set_new(j, "last_dump", json_real(s->end - margin));
}

static void add_successor(
	json_t *j, const struct seen *s, enum chain_state state)
{
	const char *job = text_of(s->submitted, "job");

	if (state != CHAIN_RESUBMITTED && !s->submitted)
		return;
	json_object_set_new(j, "successor",
		*job ? json_pack("{s:s}", "job", job) : json_object());
}

json_t *status_of(const char *id, const json_t *lines, enum chain_state state)
{
	struct chain_facts f = chain_facts(lines, state == CHAIN_RUNNING);
	struct seen s = {.legs = f.legs, .steps = f.steps};
	json_t *j, *steps = json_array();
	const json_t *line;
	size_t i;

	s.step = xcalloc(s.steps + 1, sizeof(*s.step));
	json_array_foreach(lines, i, line)
	{
		see_line(&s, line);
	}
	j = json_pack("{s:s, s:s, s:i, s:f}", "chain", id, "state",
		chain_state_name[state], "leg", (int)s.legs, "changed", f.last);
	add_leg(j, &s);
	add_successor(j, &s, state);
	for (unsigned n = 1; n <= s.steps; n++)
		json_array_append_new(steps, describe_step(&s, n, state));
	json_object_set_new(j, "steps", steps);
	free(s.step);
	status_settle(j);
	return j;
}

void status_settle(json_t *status)
{
	/* What a person would want to know first. */
	static const char *const words[] = {"dumping", "restoring",
		"submitting", "moving", "ending", "starting", "restored",
		"running", "resubmitted", "stopped", "died", "waiting"};
	const json_t *steps = json_object_get(status, "steps"), *step;
	size_t best = LEN(words), i, k;
	const char *word;

	if (!status_is_at_work(status) || is_state(status, "resubmitted"))
		return;
	json_array_foreach(steps, i, step)
	{
		for (k = 0; k < best; k++)
			if (is_state(step, words[k]))
				best = k;
	}
	if (!json_array_size(steps))
		return;
	/* All have finished, and the last supervisor is about to end. */
	word = best < LEN(words) ? words[best] : "ending";
	/* The leg has only just begun. */
	if (!strcmp(word, "waiting"))
		word = "starting";
	json_object_set_new(status, "state", json_string(word));
}

bool status_is_here(const char *name)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	return !strcmp(name, host);
}

bool status_is_at_work(const json_t *status)
{
	static const char *const over[] = {
		"finished", "failed", "stopped", "died", "empty"};

	/* Nobody comes if its successor was cancelled. */
	return !status_is_one_of(text_of(status, "state"), over, LEN(over)) &&
	       !json_is_true(json_object_get(
		       json_object_get(status, "successor"), "over"));
}
