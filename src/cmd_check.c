/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_check.c - would checkpoints work here, and of this command? */
#include <string.h>
#include <sysexits.h>

#include "check_command.h"
#include "check_here.h"
#include "cmd_parts.h"
#include "config_origin.h"
#include "findings.h"
#include "interrupt.h"
#include "log.h"
#include "sched.h"
#include "util.h"

const char cmd_check_help[] =
	"Usage: checkpointer [OPTION]... check [--json]\n"
	"       checkpointer [OPTION]... check [--for=TIME] [--prove] [--json]\n"
	"                                      -- COMMAND [ARG]...\n"
	"\n"
	"Tell whether checkpoints would work here, for this user, and what to do\n"
	"if not: a line for each finding. With COMMAND: run it for a while as a\n"
	"step is run, look at its processes, end it, and tell whether it could be\n"
	"dumped.\n"
	"\n"
	"      --for=TIME   how long COMMAND runs before it is looked at (5s)\n"
	"      --prove      dump COMMAND, restore it, and see it run on\n"
	"      --json       an object for programs; COMMAND's output is not shown\n"
	"  -q, --quiet      only warnings and problems; nor that output\n"
	"  -h, --help       print this\n"
	"\n"
	"The exit status is 0 if checkpoints work, 69 if they would not, 78 if the\n"
	"configuration has a mistake. Example:\n"
	"  checkpointer check --prove -- Rscript fit.R\n";

struct report_to {
	struct findings found;
	enum finding least; /* that is shown */
	bool json, colour;
};

static void show(struct report_to *r)
{
	if (!r->json)
		findings_print(&r->found, r->least, r->colour, stdout);
}

/* --- the configuration --- */

static void on_message(enum log_level level, const char *text, void *arg)
{
	struct findings *f = arg;

	if (level > LOG_WARN)
		return;
	/* "FILE:LINE: [SECTION] KEY: what is wrong" is one text. */
	finding_add(f, level == LOG_ERROR ? FINDING_PROBLEM : FINDING_WARNING,
		"configuration",
		"correct it; checkpointer.ini(5) describes every key", "%s",
		text);
}

static const char *was_read(const char *path)
{
	return path && !access(path, F_OK) ? path : NULL;
}

static void tell_config(struct findings *f, const struct config *cfg)
{
	auto_free char *user = config_user_file();
	const char *site = was_read(CONFIG_SITE_FILE), *own = was_read(user);

	if (site || own)
		finding_ok(f, "configuration", "read %s%s%s", site ? site : own,
			site && own ? " and " : "", site && own ? own : "");
	else
		finding_ok(f, "configuration",
			"built-in values: there is neither %s nor %s",
			CONFIG_SITE_FILE, user ? user : "a home");
	if (cfg->origin->locked)
		finding_ok(f, "configuration", "the site has locked%.*s",
			(int)strlen(cfg->origin->locked) - 1,
			cfg->origin->locked);
}

static int load(struct invocation *in, struct findings *f)
{
	int mistakes;

	log_divert(on_message, f);
	mistakes = config_load(
		&in->cfg, (const char *const *)in->sets, in->n_sets);
	log_divert(NULL, NULL);
	if (mistakes)
		return EX_CONFIG;
	log_set_level(in->cfg.level);
	log_set_timestamps(in->cfg.timestamps);
	tell_config(f, &in->cfg);
	return 0;
}

/* --- this machine --- */

static void on_trouble(enum log_level level, const char *text, void *arg)
{
	if (level <= LOG_WARN)
		finding_add(arg, FINDING_WARNING, "machine",
			"remove what is in the way, or change the setting that "
			"names it",
			"%s", text);
}

struct group {
	const char *topic;
	double seconds;
	void (*work)(struct findings *f, void *arg);
	void *arg;
};

/* What the program says meanwhile is a finding, too. */
static void work_quietly(struct findings *f, void *arg)
{
	const struct group *g = arg;

	log_divert(on_trouble, f);
	g->work(f, g->arg);
	log_divert(NULL, NULL);
}

static int find_group(struct report_to *r, struct check *c, const char *topic,
	double seconds, void (*work)(struct findings *f, void *arg))
{
	struct group g = {topic, seconds, work, c};

	if (findings_from(&r->found, topic, seconds, work_quietly, &g))
		return -1;
	show(r);
	return 0;
}

static void check_scheduler(struct findings *f, void *arg)
{
	const struct check *c = arg;
	const struct sched *s = sched_check(c->cfg, f);
	char missing[512];

	if (sched_is_missing(missing, sizeof(missing)))
		finding_add(
			f, FINDING_WARNING, "scheduler", NULL, "%s", missing);
	else if (s == &sched_local)
		finding_ok(f, "scheduler",
			"no batch system on this machine: each next leg is run "
			"here at once");
	if (s->has_nodes)
		finding_set(f, "nodes", json_true());
}

static bool has_nodes(const struct findings *f)
{
	bool nodes = false;
	const json_t *j;
	size_t i;

	json_array_foreach(f->list, i, j)
	{
		nodes |= json_is_true(json_object_get(j, "nodes"));
	}
	return nodes;
}

/* Seconds; each is a matter of moments, unless something is wrong. */
#define SOON 30
#define LATE 120

/* -1: a signal came. */
static int check_machine(struct report_to *r, const struct config *cfg)
{
	struct check c = {.cfg = cfg};

	if (find_group(r, &c, "scheduler", LATE, check_scheduler))
		return -1;
	c.many_nodes = has_nodes(&r->found);
	if (find_group(r, &c, "isolation", SOON, check_isolation))
		return -1;
	c.in_capsule = check_chose_capsule(&r->found);
	if (find_group(r, &c, "kernel", SOON, check_kernel) ||
		find_group(r, &c, "criu", SOON, check_criu) ||
		find_group(r, &c, "scratch", SOON, check_scratch) ||
		find_group(r, &c, "directory", LATE, check_dir))
		return -1;
	/* With a problem it would say no more than that. */
	if (findings_count(&r->found, FINDING_PROBLEM))
		return 0;
	return find_group(r, &c, "proof", LATE, check_proof);
}

/* --- all of it --- */

static int take_arguments(const struct invocation *in, double *seconds)
{
	struct err err;

	if (in->args[0] && strcmp(in->args[-1], "--") != 0) {
		log_error("'%s' is no argument of check: to look at a command "
			  "put -- before it, as in: checkpointer check -- %s",
			in->args[0], in->args[0]);
		return EX_USAGE;
	}
	if (!in->args[0] && (in->watch_for || in->prove)) {
		log_error("--%s is about a command: checkpointer check --%s -- "
			  "COMMAND",
			in->prove ? "prove" : "for",
			in->prove ? "prove" : "for=TIME");
		return EX_USAGE;
	}
	if (!in->watch_for || !parse_duration(in->watch_for, seconds, &err))
		return 0;
	log_error("--for: %s", err.text);
	return EX_USAGE;
}

static int check_all(
	struct report_to *r, const struct invocation *in, double seconds)
{
	struct command_check c = {
		.cfg = &in->cfg,
		.argv = in->args,
		.seconds = seconds,
		.prove = in->prove,
		.silent = in->json || in->cfg.level <= LOG_WARN,
		.mask = in->mask,
	};
	int ret;

	if (!in->args[0])
		return check_machine(r, &in->cfg);
	ret = check_command(&r->found, &c);
	show(r);
	return ret;
}

static int print_json(const struct report_to *r, int status)
{
	json_t *j = json_pack("{s:b, s:i, s:O}", "works", status == 0, "status",
		status, "findings", r->found.list);
	int ret = print_for_programs(j);

	json_decref(j);
	return ret ? ret : status;
}

static const char *verdict(const struct invocation *in, int status)
{
	if (status == EX_CONFIG)
		return "Nothing works with this configuration.";
	if (status)
		return "No: see the problems above.";
	if (!in->args[0])
		return "Yes, checkpoints work here.";
	return in->prove ? "Yes, this command was checkpointed."
			 : "No problem was found; --prove makes sure.";
}

static int run(struct report_to *r, struct invocation *in, double seconds)
{
	int ret = load(in, &r->found);

	if (!ret && in->cfg.level <= LOG_WARN)
		r->least = FINDING_WARNING;
	show(r);
	if (!ret && check_all(r, in, seconds))
		return -1;
	if (!ret && findings_count(&r->found, FINDING_PROBLEM))
		ret = EX_UNAVAILABLE;
	if (r->json)
		return print_json(r, ret);
	if (r->least == FINDING_OK)
		puts(verdict(in, ret));
	return ret;
}

int cmd_check(struct invocation *in)
{
	struct report_to r = {.json = in->json};
	const char *term = getenv("TERM");
	double seconds = 5;
	struct err err;
	int ret = take_arguments(in, &seconds);

	if (ret)
		return ret;
	if (interrupt_hold(&err)) {
		log_error("%s", err.text);
		return EX_OSERR;
	}
	r.colour = isatty(1) && !getenv("NO_COLOR") && term &&
		   strcmp(term, "dumb") != 0;
	findings_begin(&r.found);
	ret = run(&r, in, seconds);
	findings_end(&r.found);
	interrupt_let_go();
	return ret < 0 ? EX_TEMPFAIL : ret;
}
