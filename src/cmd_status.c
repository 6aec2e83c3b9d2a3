/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_status.c - what is going on now */
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "chain.h"
#include "chain_facts.h"
#include "chain_watch.h"
#include "cmd.h"
#include "log.h"
#include "proc.h"
#include "progress.h"
#include "status.h"
#include "status_job.h"
#include "status_parts.h"
#include "util.h"

/* Seconds from one look to the next, for times that go by. */
#define TICK 1

/* --- what the journal alone does not tell --- */

/* Another step may hold the lease while the supervisor of this one is dead. */
static void look_for_process(json_t *step)
{
	pid_t pid = (pid_t)json_integer_value(json_object_get(step, "pid"));
	json_int_t born = json_integer_value(json_object_get(step, "born"));
	struct proc_stat st;

	/* From inside a capsule it cannot be seen. */
	if (pid <= 0 || getenv("CHECKPOINTER_INSIDE") ||
		!status_is_here(text_of(step, "host")) ||
		is_state(step, "finished") ||
		(proc_stat(pid, &st) && st.state != 'Z' &&
			(json_int_t)st.start == born))
		return;
	json_object_set_new(step, "state", json_string("died"));
	json_object_del(step, "next");
}

/* One that an earlier dump has left behind counts for nothing. */
static void look_for_progress(const struct chain *c, json_t *step)
{
	double since = json_number_value(json_object_get(step, "since"));
	unsigned number =
		(unsigned)json_integer_value(json_object_get(step, "step"));
	auto_close int dir = -1;
	struct progress p;

	if (!is_state(step, "dumping") && !is_state(step, "restoring"))
		return;
	dir = chain_open_step(c, number, NULL);
	if (dir >= 0 && progress_read(dir, &p) && p.now >= since)
		json_object_set_new(step, "progress", progress_json(&p));
}

static void look_at_steps(const struct chain *c, json_t *status)
{
	json_t *steps = json_object_get(status, "steps"), *step;
	size_t i;

	json_array_foreach(steps, i, step)
	{
		look_for_process(step);
		look_for_progress(c, step);
	}
	status_settle(status);
}

static json_t *look(const struct chain *c, struct err *err)
{
	struct chain_facts f;
	json_t *lines, *status;

	if (chain_look(c, false, &f, err))
		return NULL;
	lines = chain_read(c, NULL, err);
	if (!lines)
		return NULL;
	status = status_of(c->id, lines, f.state);
	/* Locks may be the business of one machine alone. */
	if (status_job_runs_elsewhere(status)) {
		json_decref(status);
		status = status_of(c->id, lines, CHAIN_RUNNING);
		json_object_set_new(status, "unlocked", json_true());
	}
	json_decref(lines);
	look_at_steps(c, status);
	status_job_add_successor(status);
	return status;
}

/* --- all --- */

static void add(json_t *list, const char *base, const char *id)
{
	struct chain chain;
	struct err err;
	json_t *j;

	/* Somebody else may have removed it. */
	if (chain_open(&chain, base, id, false, &err)) {
		log_debug("%s", err.text);
		return;
	}
	j = look(&chain, &err);
	if (!j)
		log_warn("chain %s: %s", id, err.text);
	else if (status_is_at_work(j))
		json_array_append(list, j);
	json_decref(j);
	chain_close(&chain);
}

/* All chains that are at work; NULL: told what is wrong. */
static json_t *look_at_all(const char *base)
{
	struct err err;
	char **names = chain_names(base, &err);
	json_t *list;

	if (!names) {
		log_error("%s", err.text);
		return NULL;
	}
	list = json_array();
	for (size_t i = 0; names[i]; i++)
		add(list, base, names[i]);
	chain_names_free(names);
	return list;
}

static void print_json(const json_t *j, bool many)
{
	json_dumpf(j, stdout,
		JSON_PRESERVE_ORDER | (many ? JSON_COMPACT : JSON_INDENT(1)));
	putchar('\n');
	fflush(stdout);
}

static int show_all(const struct invocation *in)
{
	json_t *list = look_at_all(in->cfg.dir);

	if (!list)
		return EX_NOINPUT;
	if (in->json)
		print_json(list, false);
	else if (json_array_size(list))
		status_print_table(
			list, now_wall(), isatty(STDOUT_FILENO), stdout);
	else
		puts("no chain is at work; checkpointer list shows all");
	json_decref(list);
	return 0;
}

/* --- one --- */

static void show(const json_t *status, bool json)
{
	if (json)
		print_json(status, false);
	else
		status_print(status, now_wall(), isatty(STDOUT_FILENO), stdout);
}

/* On a terminal: in place of what was there. */
static void redraw(const json_t *status)
{
	fputs("\033[H\033[2J", stdout);
	status_print(status, now_wall(), true, stdout);
}

/* In a pipe: a line for each new state. */
static void tell_change(const json_t *status, bool json)
{
	time_t now = time(NULL);
	char clock[16];
	struct tm tm;

	if (json) {
		print_json(status, true);
		return;
	}
	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s  %s  leg %d  %s\n", clock, text_of(status, "chain"),
		(int)json_integer_value(json_object_get(status, "leg")),
		text_of(status, "state"));
	fflush(stdout);
}

static void watch_steps(struct chain_watch *w, const json_t *status)
{
	const json_t *steps = json_object_get(status, "steps"), *step;
	size_t i;

	json_array_foreach(steps, i, step)
	{
		/* Twice is once: inotify knows the directory. */
		chain_watch_step(w, (unsigned)json_integer_value(
					    json_object_get(step, "step")));
	}
}

/* The state and the leg: what makes a line of its own. */
static char *gist(const json_t *status)
{
	return xasprintf("%d %s",
		(int)json_integer_value(json_object_get(status, "leg")),
		text_of(status, "state"));
}

/* Returns when the chain has ended; -1 with *err. */
static int watch(const struct chain *c, struct chain_watch *w, bool json,
	struct err *err)
{
	bool terminal = !json && isatty(STDOUT_FILENO);
	auto_free char *last = xstrdup("");
	bool at_work = true;

	if (terminal)
		/* A screen is written as a whole. */
		setvbuf(stdout, NULL, _IOFBF, 16384);
	while (at_work) {
		json_t *status = look(c, err);
		auto_free char *now = NULL;

		if (!status)
			return -1;
		now = gist(status);
		if (terminal)
			redraw(status);
		else if (strcmp(now, last) != 0)
			tell_change(status, json);
		free(last);
		last = xstrdup(now);
		watch_steps(w, status);
		at_work = status_is_at_work(status);
		json_decref(status);
		/*
		 * The clock goes on, the lease of a leg that dies ends without
		 * a word, and other machines are not heard.
		 */
		if (at_work)
			chain_watch_wait(w, -1, TICK);
	}
	return 0;
}

static int show_one(const struct invocation *in, const struct chain *c)
{
	struct chain_watch w;
	struct err err;
	json_t *status;
	int ret;

	if (!in->watch) {
		status = look(c, &err);
		if (status)
			show(status, in->json);
		ret = status ? 0 : -1;
		json_decref(status);
	} else {
		ret = chain_watch_begin(&w, c, &err);
		if (!ret) {
			ret = watch(c, &w, in->json, &err);
			chain_watch_end(&w);
		}
	}
	if (ret)
		log_error("chain %s: %s", c->id, err.text);
	return ret ? EX_IOERR : 0;
}

const char cmd_status_help[] =
	"Usage: checkpointer [OPTION]... status [CHAIN|JOB] [OPTION]...\n"
	"\n"
	"Tell what is going on now: of all chains that are at work, or of CHAIN, or of\n"
	"the chain that Slurm's job JOB belongs to. It works on any machine that sees\n"
	"the checkpoints.\n"
	"\n"
	"      --watch       show it anew until the chain has ended; not of all\n"
	"      --json        as JSON, for programs\n"
	"  -d, --dir=DIR     where the checkpoints are, if not at the usual place\n"
	"  -h, --help        print this\n"
	"\n"
	"Example:\n"
	"  checkpointer status fit --watch\n";

int cmd_status(struct invocation *in)
{
	auto_free char *id = NULL;
	const char *word = in->args[0];
	struct chain chain;
	struct err err;
	int ret;

	if ((word && in->args[1]) || (!word && in->watch)) {
		log_error("status takes one chain, or the number of one of its "
			  "jobs%s: checkpointer status [CHAIN|JOB] [--watch]",
			word ? ", or none" : " with --watch");
		return EX_USAGE;
	}
	if (!word)
		return show_all(in);
	id = status_find(in->cfg.dir, word, &err);
	if (!id || chain_open(&chain, in->cfg.dir, id, false, &err)) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	ret = show_one(in, &chain);
	chain_close(&chain);
	return ret;
}
