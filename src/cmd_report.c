/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_report.c - what has become of a chain, leg by leg */
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>

#include "chain.h"
#include "cmd.h"
#include "log.h"
#include "util.h"

/* What one leg did with one step. */
struct row {
	unsigned leg, step;
	double from, to;
	char state[16];
	unsigned dumps;
	double bytes, dump, restore; /* of the last dump, of the restore */
	int status;
};

static struct row *row_of(
	struct row **rows, size_t *n, unsigned leg, unsigned step, double t)
{
	struct row *r;

	for (size_t i = 0; i < *n; i++)
		if ((*rows)[i].leg == leg && (*rows)[i].step == step)
			return &(*rows)[i];
	r = realloc(*rows, (*n + 1) * sizeof(*r));
	if (!r)
		return NULL;
	*rows = r;
	r += (*n)++;
	*r = (struct row){.leg = leg, .step = step, .from = t};
	return r;
}

static double number(const json_t *line, const char *key)
{
	return json_number_value(json_object_get(line, key));
}

static void add_line(struct row *r, const json_t *line)
{
	const char *state = json_string_value(json_object_get(line, "state"));
	const char *on = json_string_value(json_object_get(line, "on"));

	r->to = number(line, "t");
	if (!state || !on)
		return;
	snprintf(r->state, sizeof(r->state), "%s", state);
	if (!strcmp(on, "dumped")) {
		r->dumps++;
		r->bytes = number(line, "bytes");
		r->dump = number(line, "seconds");
	} else if (!strcmp(on, "restored")) {
		r->restore = number(line, "seconds");
	}
	r->status = (int)number(line, "status");
}

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

static void show_end(const struct row *r, char *buf, size_t size)
{
	if (strcmp(r->state, "finished"))
		snprintf(buf, size, "%s", r->state);
	else if (WIFSIGNALED(r->status))
		snprintf(buf, size, "finished (SIG%s)",
			signal_name(WTERMSIG(r->status)));
	else
		snprintf(buf, size, "finished (%d)", WEXITSTATUS(r->status));
}

static void print_row(const struct row *r)
{
	char from[16], to[16], dump[16], restore[16], mb[24] = "-", how[32];

	show_time(r->from, from);
	show_time(r->to, to);
	show_seconds(r->dump, dump, sizeof(dump));
	show_seconds(r->restore, restore, sizeof(restore));
	show_end(r, how, sizeof(how));
	if (r->dumps)
		snprintf(mb, sizeof(mb), "%.1f", r->bytes / 1e6);
	printf("%4u %5u  %8s  %8s  %6u %9s %9s %9s  %s\n", r->leg, r->step,
		from, to, r->dumps, mb, dump, restore, how);
}

static int print_report(const struct chain *c)
{
	struct row *rows = NULL, *r;
	unsigned damaged = 0;
	size_t n = 0, i;
	struct err err;
	json_t *lines = chain_read(c, &damaged, &err), *j;

	if (!lines) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	json_array_foreach(lines, i, j)
	{
		unsigned step = (unsigned)number(j, "step");

		if (!step)
			continue;
		r = row_of(&rows, &n, (unsigned)number(j, "leg"), step,
			number(j, "t"));
		if (r)
			add_line(r, j);
	}
	json_decref(lines);
	printf("chain %s\n", c->id);
	printf("%4s %5s  %8s  %8s  %6s %9s %9s %9s  %s\n", "leg", "step",
		"from", "to", "dumps", "MB", "dump", "restore", "end");
	/* A step that had finished before has no state in a later leg. */
	for (i = 0; i < n; i++)
		if (rows[i].state[0])
			print_row(&rows[i]);
	if (damaged)
		log_warn("%u lines of the journal are damaged", damaged);
	free(rows);
	return 0;
}

const char cmd_report_help[] =
	"Usage: checkpointer [OPTION]... report CHAIN\n"
	"\n"
	"Tell what has become of CHAIN: for each leg and step when it ran, how many\n"
	"checkpoints it made, size and time of the last one, and how it ended.\n"
	"\n"
	"  -d, --dir=DIR    where its checkpoints are, if not at the usual place\n"
	"  -h, --help       print this\n"
	"\n"
	"Example:\n"
	"  checkpointer report fit\n";

int cmd_report(struct invocation *in)
{
	struct chain chain;
	struct err err;
	int ret;

	if (!in->args[0] || in->args[1]) {
		log_error("report takes the name of one chain: checkpointer "
			  "report CHAIN");
		return EX_USAGE;
	}
	if (chain_open(&chain, in->cfg.dir, in->args[0], false, &err)) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	ret = print_report(&chain);
	chain_close(&chain);
	return ret;
}
