/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check_command.h"

#include <string.h>
#include <sys/wait.h>

#include "check_here.h"
#include "look.h"
#include "proc.h"
#include "trial.h"
#include "util.h"

/* Seconds that a command has to end after SIGTERM. */
#define TERM_WAIT 5

/* Seconds that it is seen to run on after a restore. */
#define RUN_ON 1

static const char *how_it_ended(int status, char buf[64])
{
	if (WIFEXITED(status))
		snprintf(buf, 64, "with status %d", WEXITSTATUS(status));
	else
		snprintf(buf, 64, "by SIG%s", signal_name(WTERMSIG(status)));
	return buf;
}

/* --- looking at it --- */

static void take_finding(const struct look_finding *l, void *arg)
{
	finding_add(arg, FINDING_PROBLEM, "command", l->advice,
		"process %d (%s): %s cannot be checkpointed", (int)l->pid,
		l->comm, l->what);
}

static uint64_t memory_of(pid_t parent, unsigned *processes)
{
	struct int_list tree = proc_tree(parent);
	uint64_t sum = 0;

	for (size_t i = 1; i < tree.n; i++)
		sum += proc_rss(tree.v[i]);
	*processes = tree.n ? (unsigned)tree.n - 1 : 0;
	free(tree.v);
	return sum;
}

static void look(struct findings *f, const struct trial *t)
{
	bool in_capsule = t->keeper.isolation == ISOLATION_USER;
	unsigned found, processes;
	char size[32];
	struct err err;

	show_size(memory_of(t->keeper.pid, &processes), size);
	found = look_at_tree_with(t->keeper.pid, take_finding, f);
	if (!t->plan.engine.criu[0]) {
		finding_add(f, FINDING_PROBLEM, "criu",
			"install CRIU 4.1 or newer (apt install criu), or name "
			"it with [criu] binary",
			"there is no program %s", t->plan.cfg->criu);
		return;
	}
	if (look_at_criu(t->plan.engine.criu, t->keeper.pid, in_capsule, &err))
		finding_add(f, FINDING_PROBLEM, "criu", NULL, "%s", err.text);
	else if (!found)
		finding_ok(f, "command",
			"%u process%s with %s: nothing that cannot be "
			"checkpointed",
			processes, processes == 1 ? "" : "es", size);
}

/* --- dump and restore --- */

static void tell_dump(struct findings *f, const struct worker_result *r)
{
	char size[32], took[32];

	finding_ok(f, "dump", "%s in %s", show_size(r->cost.bytes, size),
		show_duration(r->seconds, took));
	finding_set(f, "bytes", json_integer((json_int_t)r->cost.bytes));
	finding_set(f, "seconds", json_real(r->seconds));
}

static void tell_restore(
	struct findings *f, const struct trial *t, double seconds)
{
	char took[32], how[64];

	show_duration(seconds, took);
	if (t->running)
		finding_ok(f, "restore", "in %s, and it runs on", took);
	else if (WIFEXITED(t->status))
		finding_ok(f, "restore", "in %s; it went on, and ended %s",
			took, how_it_ended(t->status, how));
	else
		finding_add(f, FINDING_PROBLEM, "restore",
			"see what the command says about it; a restored "
			"program must not mind that time has passed",
			"restored in %s, it died %s", took,
			how_it_ended(t->status, how));
	finding_set(f, "seconds", json_real(seconds));
}

static const char advice[] =
	"run it again with --verbose, or look at the command with "
	"'checkpointer check -- COMMAND'";

/* How an error of dump and restore is told: its hint is the advice. */
static void tell_failure(
	struct findings *f, const char *topic, const struct err *err)
{
	bool has_hint = *err->text && err->text[strlen(err->text) - 1] == ')';

	finding_add(f, FINDING_PROBLEM, topic, has_hint ? NULL : advice, "%s",
		err->text);
}

/* 0, or -1: no more can be done with it. */
static int prove(
	struct findings *f, struct trial *t, double seconds, struct err *err)
{
	struct worker_result r;

	if (trial_dump(t, seconds, &r, err)) {
		if (err->num != EINTR)
			tell_failure(f, "dump", err);
		return -1;
	}
	tell_dump(f, &r);
	if (trial_restore(t, seconds, &r, err)) {
		if (err->num != EINTR)
			tell_failure(f, "restore", err);
		return -1;
	}
	if (trial_watch(t, RUN_ON, err))
		return -1;
	tell_restore(f, t, r.seconds);
	return 0;
}

/* --- the command --- */

/* More is not there at the end of a leg. */
static double time_for_dump(const struct config *cfg)
{
	return cfg->dump_timeout > 0 ? cfg->dump_timeout : cfg->margin;
}

static void too_short(struct findings *f, const struct command_check *c,
	const struct trial *t, double seconds)
{
	char how[64], took[32];

	finding_add(f, c->prove ? FINDING_PROBLEM : FINDING_WARNING, "command",
		"give a shorter --for, or more work to do",
		"it ended %s after %s, before it was looked at",
		how_it_ended(t->status, how), show_duration(seconds, took));
}

static int end_it(struct findings *f, struct trial *t, struct err *err)
{
	if (!t->running)
		return 0;
	if (trial_terminate(t, TERM_WAIT, err))
		return -1;
	if (t->running)
		finding_ok(f, "command",
			"it did not end within %d s of SIGTERM, and was killed",
			TERM_WAIT);
	return 0;
}

static int run(struct findings *f, const struct command_check *c,
	struct trial *t, struct err *err)
{
	double start = now_mono();

	if (trial_start(t, err))
		return -1;
	if (*t->note)
		finding_add(f, FINDING_WARNING, "isolation",
			"checkpointer check tells what to do", "%s", t->note);
	if (trial_watch(t, c->seconds, err))
		return -1;
	if (!t->running) {
		too_short(f, c, t, now_mono() - start);
		return 0;
	}
	look(f, t);
	if (c->prove && t->plan.engine.criu[0] &&
		prove(f, t, time_for_dump(c->cfg), err))
		return err->num == EINTR ? -1 : 0;
	return end_it(f, t, err);
}

int check_command(struct findings *f, const struct command_check *c)
{
	auto_free char *cwd = getcwd(NULL, 0);
	struct err err = {0};
	struct trial t;
	int ret;

	ret = trial_begin(&t, c->cfg, c->argv, cwd ? cwd : "/", c->prove, &err);
	t.plan.mask = c->mask;
	t.silent = c->silent;
	if (!ret)
		ret = run(f, c, &t, &err);
	if (ret && err.num != EINTR)
		finding_add(f, FINDING_PROBLEM, "command",
			t.ready ? "see its spelling, and PATH"
				: "checkpointer check tells more of this "
				  "machine",
			"%s", err.text);
	trial_end(&t);
	return ret && err.num == EINTR ? -1 : 0;
}

/* --- a tiny one --- */

/* Seconds for each of its stages. */
#define TINY_WAIT 30

static void tell_proof(struct findings *f, const struct worker_result *dump,
	const struct worker_result *restore)
{
	char size[32], one[32], other[32];

	finding_ok(f, "proof",
		"a process was dumped in %s (%s) and restored in %s",
		show_duration(dump->seconds, one),
		show_size(dump->cost.bytes, size),
		show_duration(restore->seconds, other));
}

/* It ends of a signal only if it runs: so that is the proof. */
static int prove_tiny(struct findings *f, struct trial *t, struct err *err)
{
	struct worker_result dump, restore;

	if (trial_start(t, err) || trial_dump(t, TINY_WAIT, &dump, err) ||
		trial_restore(t, TINY_WAIT, &restore, err) ||
		trial_terminate(t, TINY_WAIT, err))
		return -1;
	if (t->running || !WIFSIGNALED(t->status))
		return err_set(err, 0, "a restored process does not run on");
	tell_proof(f, &dump, &restore);
	return 0;
}

void check_proof(struct findings *f, void *arg)
{
	static char sleep[] = "/bin/sleep", hour[] = "3600";
	char *const argv[] = {sleep, hour, NULL};
	const struct check *c = arg;
	struct err err = {0};
	struct trial t;
	int ret = trial_begin(&t, c->cfg, argv, "/", true, &err);

	t.silent = true;
	if (!ret)
		ret = prove_tiny(f, &t, &err);
	if (ret)
		tell_failure(f, "proof", &err);
	trial_end(&t);
}
