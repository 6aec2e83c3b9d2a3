/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sup.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "chain_facts.h"
#include "engine.h"
#include "interval.h"
#include "log.h"
#include "output.h"
#include "pipeline.h"
#include "proc.h"
#include "progress.h"
#include "store.h"
#include "util.h"

void sup_reason(struct sup *u, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->reason, sizeof(u->reason), fmt, ap);
	va_end(ap);
}

/* --- the journal --- */

static json_t *state_line(const struct sup *u, enum event on)
{
	json_t *j = json_pack("{s:f, s:s, s:i, s:i, s:s, s:s}", "t", now_wall(),
		"event", "state", "leg", (int)u->s->chain->leg, "step",
		(int)u->s->step->number, "state", machine_state_name(u->state),
		"on", machine_event_name(on));

	if (on == E_DUMPED)
		json_object_update_new(
			j, json_pack("{s:i, s:I, s:I, s:I, s:f, s:f, s:I}",
				   "gen", (int)u->gen, "bytes",
				   (json_int_t)u->last.cost.bytes, "memory",
				   (json_int_t)u->last.cost.memory, "fresh",
				   (json_int_t)u->last.cost.fresh, "seconds",
				   u->last.seconds, "frozen", u->last.frozen,
				   "rss", (json_int_t)u->last.rss));
	if (on == E_RESTORED)
		json_object_update_new(
			j, json_pack("{s:i, s:f}", "gen", (int)u->gen,
				   "seconds", u->last.seconds));
	if (sup_next_dump(u, on) > 0)
		json_object_set_new(j, "next", json_real(sup_next_dump(u, on)));
	if (u->s->job->end > 0)
		json_object_set_new(j, "end", json_real(u->s->job->end));
	/* It is not known to `purge' otherwise that somebody will go on. */
	if (u->state == S_STOPPED && u->brought_back)
		json_object_set_new(j, "requeued", json_true());
	if (u->state == S_FINISHED)
		json_object_set_new(j, "status", json_integer(u->status));
	if (on == E_DUMP_FAILED || on == E_RESTORE_FAILED ||
		on == E_SUBMIT_FAILED || on == E_MOVE || u->state == S_FAILED)
		json_object_set_new(j, "reason", json_string(u->reason));
	return j;
}

static void write_state(const struct sup *u, enum event on)
{
	/* What a later leg relies on must be on disk; the rest is history. */
	bool sync = on == E_DUMPED || u->state == S_RESUBMITTED ||
		    u->state == S_STOPPED || u->state == S_FINISHED;

	sup_write(u, state_line(u, on), sync);
}

static void set_state(struct sup *u, enum state to, enum event on)
{
	log_debug("%s -> %s on '%s' after %.1f s", machine_state_name(u->state),
		machine_state_name(to), machine_event_name(on),
		now_mono() - u->since);
	u->state = to;
	u->since = now_mono();
	write_state(u, on);
}

/* --- actions --- */

void sup_leave(struct sup *u)
{
	if (u->quits && !sup_hooks_run(u))
		ev_break(u->loop, EVBREAK_ALL);
}

static void quit(struct sup *u, int result)
{
	u->result = result;
	u->quits = true;
	helper_stop(&u->hook.before);
	sup_leave(u);
}

/* The same, and tell of a new one. */
static double next_interval(struct sup *u)
{
	double seconds = sup_interval(u);
	char text[32], cost[32];

	if (u->s->cfg->interval >= 0 ||
		!interval_is_news(u->periodic.told, seconds))
		return seconds;
	u->periodic.told = seconds;
	if (u->periodic.cost > 0)
		log_info("the next checkpoint in %s: one costs %s",
			show_duration(seconds, text),
			show_duration(u->periodic.cost, cost));
	else
		log_info("the first checkpoint in %s",
			show_duration(seconds, text));
	return seconds;
}

static void watch(struct sup *u)
{
	ev_timer_stop(u->loop, &u->too_long);
	sup_timer(u, &u->interval, next_interval(u));
	if (u->look_later) {
		u->look_later = false;
		sup_look(u);
	}
	if (u->leave_soon) {
		u->leave_soon = false;
		sup_post(u, E_LEAVE);
	}
}

/* Bytes that [checkpoint] max_size leaves for one more generation; 0: any. */
static uint64_t room_left(const struct sup *u)
{
	uint64_t most = u->s->cfg->max_size, used = 0;

	if (!most)
		return 0;
	for (unsigned step = 1;; step++) {
		auto_close int dir = chain_open_step(u->s->chain, step, NULL);

		if (dir < 0)
			break;
		used += store_usage(dir);
	}
	/* Not 0, which is no limit. */
	return most > used ? most - used : 1;
}

static void dump(struct sup *u)
{
	const struct request r = {.type = K_DUMP,
		.leave = u->leaving,
		.room = room_left(u),
		.gen = u->gen};

	keeper_ask(&u->keeper, &r);
	sup_timer(u, &u->too_long, u->s->cfg->dump_timeout);
}

static void begin_dump(struct sup *u, bool leave)
{
	ev_timer_stop(u->loop, &u->retry);
	ev_timer_stop(u->loop, &u->interval);
	u->leaving = leave;
	u->gen = store_next(u->s->step->dir);
	if (!sup_prepare(u, HOOK_BEFORE_DUMP))
		dump(u);
}

/* Before the journal is told, which has the next interval with it. */
static void note_dump(struct sup *u)
{
	if (u->last.seconds > u->dump_seconds)
		u->dump_seconds = u->last.seconds;
	if (!u->leaving) {
		u->periodic.cost = u->last.frozen;
		u->periodic.whole = u->last.seconds;
	}
}

static void tell_dump(struct sup *u)
{
	char size[32], took[32];

	store_collect(u->s->step->dir, u->s->cfg->keep);
	log_info("checkpoint %u of %s: %s in %s", u->gen, u->s->chain->id,
		show_size(u->last.cost.bytes, size),
		show_duration(u->last.seconds, took));
}

/* A failed attempt to leave: the command goes on, later it is tried again. */
static void try_again(struct sup *u)
{
	char pause[32];

	ev_timer_stop(u->loop, &u->too_long);
	if (u->leave_soon) {
		log_warn("%s", u->reason);
		u->leave_soon = false;
		sup_post(u, E_LEAVE);
		return;
	}
	if (u->stay_down && !u->brought_back) {
		/* Somebody wants an end; it comes without a checkpoint. */
		log_error("%s", u->reason);
		sup_post(u, E_TERMINATE);
		return;
	}
	sup_timer(u, &u->retry, u->s->cfg->retry);
	log_warn("%s; the command runs on, next try in %s", u->reason,
		show_duration(u->s->cfg->retry, pause));
}

/* What a rerun of the batch script would empty. */
static int keep_output(const struct sup *u, struct err *err)
{
	if (!u->s->sched->reruns_script())
		return 0;
	if (u->s->sched->empties_output &&
		output_keep_job(u->s->chain->dir, u->s->job->output, err))
		return -1;
	return output_keep(u->s->step->dir, err);
}

/* In the worker: with its checkpoint the script may run again, after a crash.
 */
static int before_commit(void *arg, struct err *err)
{
	return keep_output(arg, err);
}

static int submit_now(void *arg, char name[SCHED_NAME], struct err *err)
{
	const struct sup *u = arg;
	const struct sched_next next = {
		.chain = u->s->chain->id,
		.leg = u->s->chain->leg + 1,
		.elsewhere = u->elsewhere && u->s->cfg->exclude_failed_node,
		.unanswered = u->unanswered,
	};

	return u->s->sched->submit(u->s->cfg, &next, name, err);
}

/*
 * If the successor's coming ends all that runs here, the other steps are given
 * what time there is to make their own checkpoints.
 */
static void wait_for_others(const struct sup *u)
{
	double left = u->s->job->end > 0 ? u->s->job->end - now_wall() : 0;

	left -= u->s->cfg->margin / 4;
	if (u->s->job->end > 0 && left < 0.1)
		left = 0.1;
	if (chain_wait_alone(u->s->chain, left))
		log_warn("leaving while other steps are at work: %s",
			strerror(errno));
}

static int submit_work(void *arg, struct err *err)
{
	struct sup *u = arg;
	bool ends_leg = u->s->sched->submit_ends_leg(u->s->cfg);
	int ret;

	if (chain_in_place(u->s->chain, err) || keep_output(u, err))
		return -1;
	if (u->stay_down)
		return 0;
	if (ends_leg)
		wait_for_others(u);
	ret = chain_submit(u->s->chain, submit_now, u, err);
	if (ret && ends_leg)
		chain_be_present(u->s->chain);
	return ret;
}

static void submit(struct sup *u)
{
	struct err err;

	ev_timer_stop(u->loop, &u->too_long);
	if (helper_start(&u->helper, submit_work, u, &err)) {
		sup_reason(u, "%s", err.text);
		sup_post(u, E_SUBMIT_FAILED);
	}
}

static void thaw(struct sup *u)
{
	if (u->gone) {
		/* Nothing is left to run on; the generation is, though. */
		log_error("%s; the stopped command was killed meanwhile, its "
			  "checkpoint is kept",
			u->reason);
		quit(u, EXIT_STOPPED);
		return;
	}
	sup_ask(u, K_THAW);
	try_again(u);
}

static void tell_leaving(const struct sup *u)
{
	auto_free char *next = chain_successor(u->s->chain);

	if (next && *next)
		log_info("leg %u of %s leaves, job %s continues",
			u->s->chain->leg, u->s->chain->id, next);
	else
		log_info("leg %u of %s leaves, its successor continues",
			u->s->chain->leg, u->s->chain->id);
}

static void kill_tree(struct sup *u)
{
	if (u->brought_back)
		log_info("leg %u of %s leaves with checkpoint %u; the job is "
			 "brought back by %s itself",
			u->s->chain->leg, u->s->chain->id, u->gen,
			u->s->sched->name);
	else if (u->state == S_STOPPED)
		log_info("stopped after checkpoint %u; continue with: "
			 "checkpointer restore %s",
			u->gen, u->s->chain->id);
	else
		tell_leaving(u);
	if (u->gone)
		sup_post(u, E_EXITED);
	else
		sup_ask(u, K_KILL);
}

static void end_command(struct sup *u)
{
	sup_ask(u, K_ABORT);
	sup_signal(u, SIGTERM, false);
	sup_signal(u, SIGCONT, false);
	/* A last dump may just have ended, with the tree stopped. */
	sup_ask(u, K_THAW);
	sup_end_preparing(u);
}

static void lost(struct sup *u)
{
	/* A command that is not there needs no more words. */
	if (u->result == 126 || u->result == 127)
		log_error("%s", u->reason);
	else
		log_error("%s; more is in %s/" CHAIN_LOG, u->reason,
			u->s->chain->path);
	if (store_newest(u->s->step->dir, ~0U))
		log_info("the last checkpoint is kept; continue with: "
			 "checkpointer restore %s",
			u->s->chain->id);
	quit(u, u->result >= 0 ? u->result : EXIT_LOST);
}

static void finish(struct sup *u)
{
	struct err err;

	if (keep_output(u, &err))
		log_warn("%s", err.text);
	/* Nobody needs them any more, and they hold the job's memory. */
	store_collect(u->s->step->dir, 0);
	sup_show(u, machine_state_name(u->state));
	sup_after(u, HOOK_ON_FINISH,
		WIFEXITED(u->status) ? WEXITSTATUS(u->status)
				     : 128 + WTERMSIG(u->status));
	quit(u, -1);
}

static void act(struct sup *u, enum action a, enum event ev)
{
	switch (a) {
	case A_NONE:
		break;
	case A_IGNORE:
		log_debug("'%s' means nothing while %s", machine_event_name(ev),
			machine_state_name(u->state));
		break;
	case A_WATCH:
		watch(u);
		break;
	case A_OLDER:
		sup_restore_older(u);
		break;
	case A_SAVE:
		begin_dump(u, false);
		break;
	case A_LEAVE:
		begin_dump(u, true);
		break;
	case A_DUMP:
		dump(u);
		break;
	case A_RESTORE:
		sup_restore(u);
		break;
	case A_REMEMBER:
		u->leave_soon = true;
		break;
	case A_AGAIN:
		try_again(u);
		break;
	case A_SUBMIT:
		submit(u);
		break;
	case A_THAW:
		thaw(u);
		break;
	case A_KILL:
		kill_tree(u);
		break;
	case A_END:
		end_command(u);
		break;
	case A_NOTE:
		u->gone = true;
		break;
	case A_FINISH:
		finish(u);
		break;
	case A_FAIL:
		lost(u);
		break;
	case A_QUIT:
		quit(u, u->state == S_STOPPED ? EXIT_STOPPED : 0);
		break;
	case N_ACTIONS:
		break;
	}
}

/* Back from a checkpoint it is as before, for those who only look on. */
static void show_state(struct sup *u)
{
	if (u->shown == u->state)
		return;
	u->shown = u->state;
	sup_show(u, machine_state_name(u->state));
}

/* What comes after a dump or a restore, as far as it is told to others. */
static void tell_hooks(struct sup *u, enum state from, enum event ev)
{
	if (ev == E_DUMPED || ev == E_DUMP_FAILED)
		sup_after(u, HOOK_AFTER_DUMP, ev == E_DUMP_FAILED);
	else if (ev == E_RESTORED)
		sup_after(u, HOOK_AFTER_RESTORE, 0);
	else if (from == S_RESTORING && (ev == E_START_FAILED || ev == E_MOVE))
		sup_after(u, HOOK_AFTER_RESTORE, 1);
}

/* The one place where the state changes. */
void sup_post(struct sup *u, enum event ev)
{
	struct transition t = machine_next(u->state, ev);
	enum state from = u->state;

	if (ev == E_DUMPED)
		note_dump(u);
	if (t.action != A_IGNORE && t.action != A_REMEMBER)
		set_state(u, t.to, ev);
	if (ev == E_DUMPED)
		tell_dump(u);
	if (t.action != A_IGNORE)
		tell_hooks(u, from, ev);
	if (u->state == S_RUNNING || u->state == S_RESTORED ||
		u->state == S_LEAVING)
		show_state(u);
	act(u, t.action, ev);
}

static json_t *make_facts(const struct supervision *s)
{
	json_t *argv = json_array();

	for (size_t i = 0; s->argv[i]; i++)
		json_array_append_new(argv, chain_string(s->argv[i]));
	return json_pack("{s:s, s:i, s:i, s:o, s:o}", "chain", s->chain->id,
		"leg", (int)s->chain->leg, "step", (int)s->step->number, "cwd",
		chain_string(s->cwd), "argv", argv);
}

void sup_warn_unfit(const char *why)
{
	log_warn("no checkpoint can be made: %s; until that is mended the "
		 "command runs without, and is lost when its job ends",
		why);
}

static void make_plan(struct sup *u)
{
	struct err err;

	if (keeper_plan(&u->plan, u->s->cfg, &err))
		sup_warn_unfit(err.text);
	u->plan.argv = u->s->argv;
	u->plan.mask = u->s->mask;
	u->plan.cwd = u->s->cwd;
	u->plan.step = u->plan.capsule.checkpoints = u->s->step->dir;
	u->plan.engine.keep = u->s->step->dir;
	u->plan.moves = u->s->sched->has_nodes;
	u->plan.facts = make_facts(u->s);
	u->plan.before_commit = before_commit;
	u->plan.arg = u;
}

static void begin(struct sup *u)
{
	json_t *line;

	u->gen = ~0U;
	u->state = store_newest(u->s->step->dir, u->gen) ? S_RESTORING
							 : S_STARTING;
	store_collect(u->s->step->dir, u->s->cfg->keep);
	progress_forget(u->s->step->dir);
	line = state_line(u, E_STARTED);
	sup_add_self(u, line);
	sup_write(u, line, false);
	if (u->state == S_STARTING)
		sup_start_fresh(u);
	else if (!sup_prepare(u, HOOK_BEFORE_RESTORE))
		sup_restore(u);
}

/* Without a capsule, what a killed keeper left comes back to this process. */
static void kill_orphans(void)
{
	struct int_list l = proc_tree(getpid());

	for (size_t i = 1; i < l.n; i++)
		kill(l.v[i], SIGKILL);
	free(l.v);
}

/* End as the command ended, so that whoever waits sees the truth. */
static int repeat_status(int status)
{
	struct rlimit no_core = {0, 0};
	sigset_t one;
	int sig;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	sig = WTERMSIG(status);
	/* The command has dumped its core, if it may; this one is useless. */
	setrlimit(RLIMIT_CORE, &no_core);
	signal(sig, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	raise(sig);
	return 128 + sig;
}

/* Seconds that the rest of a pipeline has to end by itself. */
#define DRAIN_WAIT 10

int leave_leg(const struct supervision *s, bool still_wanted)
{
	auto_free char *successor = chain_successor(s->chain);
	const struct sched_leaving l = {
		.argv = s->self_argv,
		.chain = s->chain,
		.successor = successor ? successor : "",
		.still_wanted = still_wanted,
		.guard = &s->guard,
	};

	if (s->guard.shell)
		pipeline_drain(s->guard.shell, DRAIN_WAIT);
	return s->sched->left(&l);
}

/*
 * The step was the batch script: its shell ends as the step has ended. Or it
 * could be restored nowhere: the next line must not run as if it were done.
 */
static void end_script(struct sup *u)
{
	int status = u->result < 0 ? u->status : u->result << 8;
	struct err err;

	if (u->s->sched->end_script(&u->s->guard, status, &err))
		log_error("%s; what follows in the script is run once more",
			err.text);
}

/* Seconds for the last state to be shown, if it takes that long. */
#define SHOW_WAIT 2

static int end(struct sup *u)
{
	const struct supervision *s = u->s;
	enum state last = u->state;

	keeper_end(&u->keeper);
	/* A dump may have ended with it. */
	progress_forget(s->step->dir);
	relay_end(&u->relay);
	helper_wait(&u->shower, SHOW_WAIT);
	kill_orphans();
	scratch_remove(&u->scratch);
	sup_forget_generation(u);
	json_decref(u->plan.facts);
	ev_loop_destroy(u->loop);
	if (last == S_RESUBMITTED || u->brought_back)
		return leave_leg(s, u->brought_back && !u->end_requests);
	if (s->whole_script ||
		(u->result == EXIT_CANNOT_RESTORE && s->guard.pid > 0))
		end_script(u);
	s->sched->ended();
	return u->result < 0 ? repeat_status(u->status) : u->result;
}

int supervise(const struct supervision *s)
{
	struct sup u = {.s = s, .keeper = {.sock = -1}, .result = -1};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	u.since = now_mono();
	relay_init(&u.relay);
	make_plan(&u);
	u.loop = ev_default_loop(EVFLAG_NOENV);
	if (!u.loop) {
		log_error("libev cannot make its loop");
		return EXIT_LOST;
	}
	sup_watch(&u);
	begin(&u);
	if (!u.quits || sup_hooks_run(&u))
		ev_run(u.loop, 0);
	return end(&u);
}
