/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "chain_facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "chain_parts.h"
#include "log.h"
#include "util.h"

const char *const chain_state_name[N_CHAIN_STATES] = {
	[CHAIN_RUNNING] = "running",
	[CHAIN_RESUBMITTED] = "resubmitted",
	[CHAIN_DIED] = "died",
	[CHAIN_FAILED] = "failed",
	[CHAIN_STOPPED] = "stopped",
	[CHAIN_FINISHED] = "finished",
	[CHAIN_EMPTY] = "empty",
};

/* --- the journal --- */

static unsigned highest(const json_t *lines, const char *key)
{
	unsigned max = 0, n;
	const json_t *j;
	size_t i;

	json_array_foreach(lines, i, j)
	{
		n = chain_number(j, key);
		if (n > max)
			max = n;
	}
	return max;
}

/* What a step that was seen so last is now, when nothing of it runs. */
static enum chain_state state_after(const json_t *line)
{
	static const enum chain_state ends[] = {
		CHAIN_FINISHED, CHAIN_FAILED, CHAIN_STOPPED};
	const char *state = json_string_value(json_object_get(line, "state"));

	for (size_t i = 0; state && i < LEN(ends); i++)
		if (!strcmp(state, chain_state_name[ends[i]]))
			return ends[i];
	return CHAIN_DIED;
}

/* Will somebody begin another leg after this one, as far as it knew? */
static bool has_successor(const json_t *lines, unsigned leg)
{
	const json_t *j;
	bool found = false;
	size_t i;

	json_array_foreach(lines, i, j)
	{
		found |= chain_number(j, "leg") == leg &&
			 (chain_is_event(j, "submitted") ||
				 json_is_true(json_object_get(j, "requeued")));
	}
	return found;
}

/* The state of all steps together. */
static enum chain_state state_of_steps(const json_t *lines, unsigned n)
{
	enum chain_state all = CHAIN_EMPTY;
	auto_free enum chain_state *step = xcalloc(n + 1, sizeof(*step));
	const json_t *j;
	size_t i;

	for (i = 0; i <= n; i++)
		step[i] = CHAIN_EMPTY;
	json_array_foreach(lines, i, j)
	{
		enum chain_state *s = &step[chain_number(j, "step")];

		if (chain_is_event(j, "state"))
			*s = state_after(j);
		/* A finished one is only passed over in later legs. */
		else if (chain_is_event(j, "step") && *s == CHAIN_EMPTY)
			*s = CHAIN_DIED;
	}
	for (i = 1; i <= n; i++)
		if (step[i] < all)
			all = step[i];
	return all;
}

struct chain_facts chain_facts(const json_t *lines, bool running)
{
	const json_t *newest =
		json_array_get(lines, json_array_size(lines) - 1);
	struct chain_facts f = {
		.legs = highest(lines, "leg"),
		.steps = highest(lines, "step"),
		.last = json_number_value(json_object_get(newest, "t")),
	};

	if (running)
		f.state = CHAIN_RUNNING;
	else if (f.legs && has_successor(lines, f.legs))
		f.state = CHAIN_RESUBMITTED;
	else
		f.state = state_of_steps(lines, f.steps);
	return f;
}

/* --- who runs it --- */

/* Seconds; who has the journal for longer belongs to a leg. */
#define JOURNAL_WAIT 1

/*
 * A leg takes the lease while it holds the journal. Nobody who only looks may
 * have the lease just then: hence both, in the same order.
 */
static int lock_journal(const struct chain *c)
{
	const struct timespec moment = {.tv_nsec = 20000000};
	double until = now_mono() + JOURNAL_WAIT;
	int ret;

	while ((ret = flock(c->journal, LOCK_EX | LOCK_NB)) &&
		(errno == EWOULDBLOCK || errno == EINTR) && now_mono() < until)
		nanosleep(&moment, NULL);
	return ret;
}

static void let_go(const struct chain *c)
{
	flock(c->lease, LOCK_UN);
	flock(c->journal, LOCK_UN);
}

enum hold {
	HELD,
	BUSY,
	NO_LOCKS
};

static enum hold hold(const struct chain *c)
{
	int e;

	if (!lock_journal(c) && !flock(c->lease, LOCK_EX | LOCK_NB))
		return HELD;
	e = errno;
	let_go(c);
	if (e == EWOULDBLOCK || e == EINTR)
		return BUSY;
	log_debug("%s: no locks here: %s", c->path, strerror(e));
	return NO_LOCKS;
}

json_t *chain_look_at(const struct chain *c, bool keep, struct chain_facts *f,
	unsigned *damaged, struct err *err)
{
	enum hold held = hold(c);
	json_t *lines = chain_read(c, damaged, err);

	if (lines)
		*f = chain_facts(lines, held == BUSY);
	/* Without locks, what has not said that it ended may run. */
	if (lines && held == NO_LOCKS && f->state == CHAIN_DIED)
		f->state = CHAIN_RUNNING;
	if (held == HELD && !(lines && keep))
		let_go(c);
	return lines;
}

int chain_look(const struct chain *c, bool keep, struct chain_facts *f,
	struct err *err)
{
	json_t *lines = chain_look_at(c, keep, f, NULL, err);

	json_decref(lines);
	return lines ? 0 : -1;
}

/* --- names --- */

/* A directory without a journal is none of ours. */
static bool is_chain(int base, const char *name)
{
	auto_free char *journal = NULL;

	if (!chain_id_is_valid(name))
		return false;
	journal = xasprintf("%s/journal", name);
	return !faccessat(base, journal, F_OK, AT_SYMLINK_NOFOLLOW);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **chain_names(const char *base, struct err *err)
{
	DIR *d = opendir(base);
	char **names = xcalloc(1, sizeof(*names)), **more;
	struct dirent *e;
	size_t n = 0;

	if (!d && errno != ENOENT) {
		err_set(err, errno, "read checkpoint directory %s", base);
		free(names);
		return NULL;
	}
	while (d && (e = readdir(d))) {
		if (!is_chain(dirfd(d), e->d_name))
			continue;
		more = xcalloc(n + 2, sizeof(*names));
		memcpy(more, names, n * sizeof(*names));
		free(names);
		names = more;
		names[n++] = xstrdup(e->d_name);
	}
	if (d)
		closedir(d);
	qsort(names, n, sizeof(*names), compare);
	return names;
}

void chain_names_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

int chain_open_step(const struct chain *c, unsigned step, struct err *err)
{
	auto_free char *name = xasprintf("step-%u", step);
	auto_free char *path = xasprintf("%s/%s", c->path, name);

	return chain_private_dir(c->dir, name, path, false, err);
}
