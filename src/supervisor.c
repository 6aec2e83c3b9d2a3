/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "supervisor.h"

#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "engine.h"
#include "helper.h"
#include "keeper.h"
#include "log.h"
#include "look.h"
#include "machine.h"
#include "proc.h"
#include "relay.h"
#include "scratch.h"
#include "store.h"
#include "util.h"

struct sup {
	const struct supervision *s;
	struct ev_loop *loop;
	enum state state;
	struct keeper keeper;
	struct keeper_plan plan;
	struct helper helper;  /* submits the successor */
	struct helper checker; /* looks at criu */
	struct scratch scratch;
	struct relay relay;

	unsigned gen;      /* being dumped or restored, or the last one */
	unsigned tries;    /* restores tried */
	bool leave_soon;   /* remembered until it can be done */
	bool stay_down;    /* leave without a successor */
	bool asked_to_end; /* a second request is not discussed */
	bool gone;         /* the command ended while submitting */
	int status;        /* how the command ended, as of waitpid(2) */
	int result;        /* exit status of the supervisor, or -1: status */
	double dump_seconds; /* of the slowest dump so far */
	double since;      /* when the present state began */
	struct worker_result last; /* of the worker's last report */
	char reason[512];  /* of a failure, for the journal */

	ev_io reports;
	ev_child children;
	ev_periodic deadline;
	ev_timer interval, retry, look, too_long;
	ev_signal signals[NSIG];
};

static void post(struct sup *u, enum event ev);

/* --- the journal --- */

static json_t *state_line(const struct sup *u, enum event on)
{
	json_t *j = json_pack("{s:f, s:s, s:i, s:i, s:s, s:s}", "t", now_wall(),
		"event", "state", "leg", (int)u->s->chain->leg, "step",
		(int)u->s->step->number, "state", machine_state_name(u->state),
		"on", machine_event_name(on));

	if (on == E_DUMPED)
		json_object_update_new(j,
			json_pack("{s:i, s:I, s:f, s:f}", "gen", (int)u->gen,
				"bytes", (json_int_t)u->last.bytes, "seconds",
				u->last.seconds, "frozen", u->last.frozen));
	if (on == E_RESTORED)
		json_object_update_new(j,
			json_pack("{s:i, s:f}", "gen", (int)u->gen, "seconds",
				u->last.seconds));
	if (u->state == S_FINISHED)
		json_object_set_new(j, "status", json_integer(u->status));
	if (on == E_DUMP_FAILED || on == E_RESTORE_FAILED ||
		on == E_SUBMIT_FAILED || u->state == S_FAILED)
		json_object_set_new(j, "reason", json_string(u->reason));
	return j;
}

static void write_state(const struct sup *u, enum event on)
{
	/* What a later leg relies on must be on disk; the rest is history. */
	bool sync = on == E_DUMPED || u->state == S_RESUBMITTED ||
		u->state == S_STOPPED || u->state == S_FINISHED;
	struct err err;

	/* The command must not suffer from a full disk. */
	if (chain_write(u->s->chain, state_line(u, on), sync, &err))
		log_warn("%s", err.text);
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

/* --- asking the keeper --- */

static void ask(struct sup *u, enum request_type type)
{
	struct request r = {.type = type};

	keeper_ask(&u->keeper, &r);
}

static void ask_signal(struct sup *u, int sig, bool group)
{
	struct request r = {.type = K_SIGNAL, .sig = sig, .group = group};

	keeper_ask(&u->keeper, &r);
}

/* --- actions --- */

static void quit(struct sup *u, int result)
{
	u->result = result;
	ev_break(u->loop, EVBREAK_ALL);
}

static void start_timer(struct sup *u, ev_timer *t, double seconds)
{
	ev_timer_stop(u->loop, t);
	if (seconds <= 0)
		return;
	ev_timer_set(t, seconds, 0.);
	ev_timer_start(u->loop, t);
}

static void watch(struct sup *u)
{
	ev_timer_stop(u->loop, &u->too_long);
	start_timer(u, &u->interval, u->s->cfg->interval);
	if (u->leave_soon) {
		u->leave_soon = false;
		post(u, E_LEAVE);
	}
}

static void begin_dump(struct sup *u, bool leave)
{
	struct request r = {.type = K_DUMP, .leave = leave};

	ev_timer_stop(u->loop, &u->retry);
	ev_timer_stop(u->loop, &u->interval);
	r.gen = u->gen = store_next(u->s->step->dir);
	keeper_ask(&u->keeper, &r);
	start_timer(u, &u->too_long, u->s->cfg->dump_timeout);
}

static void tell_dump(struct sup *u)
{
	char size[32], took[32];

	if (u->last.seconds > u->dump_seconds)
		u->dump_seconds = u->last.seconds;
	log_info("checkpoint %u of %s: %s in %s", u->gen, u->s->chain->id,
		show_size(u->last.bytes, size),
		show_duration(u->last.seconds, took));
	store_collect(u->s->step->dir, u->s->cfg->keep);
}

/* A failed attempt to leave: the command goes on, later it is tried again. */
static void try_again(struct sup *u)
{
	char pause[32];

	ev_timer_stop(u->loop, &u->too_long);
	if (u->stay_down) {
		/* Somebody wants an end; it comes without a checkpoint. */
		log_error("%s", u->reason);
		post(u, E_TERMINATE);
		return;
	}
	start_timer(u, &u->retry, u->s->cfg->retry);
	log_warn("%s; the command runs on, next try in %s", u->reason,
		show_duration(u->s->cfg->retry, pause));
}

static int submit_work(void *arg, struct err *err)
{
	struct sup *u = arg;

	return u->s->sched->submit(u->s->cfg, u->s->chain->id, err);
}

static void submit(struct sup *u)
{
	struct err err;

	ev_timer_stop(u->loop, &u->too_long);
	if (u->stay_down) {
		post(u, E_STAY_DOWN);
		return;
	}
	if (helper_start(&u->helper, submit_work, u, &err)) {
		snprintf(u->reason, sizeof(u->reason), "%s", err.text);
		post(u, E_SUBMIT_FAILED);
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
	ask(u, K_THAW);
	try_again(u);
}

static void kill_tree(struct sup *u)
{
	if (u->state == S_STOPPED)
		log_info("stopped after checkpoint %u; continue with: "
			 "checkpointer restore %s",
			u->gen, u->s->chain->id);
	else
		log_info("leg %u of %s leaves, its successor continues",
			u->s->chain->leg, u->s->chain->id);
	if (u->gone)
		post(u, E_EXITED);
	else
		ask(u, K_KILL);
}

static void end_command(struct sup *u)
{
	ask(u, K_ABORT);
	ask_signal(u, SIGTERM, false);
	ask_signal(u, SIGCONT, false);
}

static void lost(struct sup *u)
{
	log_error("%s", u->reason);
	if (store_newest(u->s->step->dir, ~0U))
		log_info("the last checkpoint is kept; continue with: "
			 "checkpointer restore %s",
			u->s->chain->id);
	quit(u, u->result >= 0 ? u->result : EXIT_LOST);
}

static void finish(struct sup *u)
{
	/* Nobody needs them any more, and they hold the job's memory. */
	store_collect(u->s->step->dir, 0);
	quit(u, -1);
}

static void restore_older(struct sup *u);

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
		restore_older(u);
		break;
	case A_SAVE:
		begin_dump(u, false);
		break;
	case A_LEAVE:
		begin_dump(u, true);
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

/* The one place where the state changes. */
static void post(struct sup *u, enum event ev)
{
	struct transition t = machine_next(u->state, ev);

	if (t.action != A_IGNORE && t.action != A_REMEMBER)
		set_state(u, t.to, ev);
	if (ev == E_DUMPED)
		tell_dump(u);
	act(u, t.action, ev);
}

/* --- keepers --- */

static bool start_keeper(struct sup *u, enum isolation isolation);

/* Where user namespaces are closed, `auto` goes on without a capsule. */
static void without_capsule(struct sup *u, const char *why)
{
	if (u->s->cfg->isolation != ISOLATION_AUTO ||
		u->keeper.isolation != ISOLATION_USER) {
		snprintf(u->reason, sizeof(u->reason), "%s", why);
		post(u, E_START_FAILED);
		return;
	}
	log_warn("%s; going on without a capsule (isolation = none)", why);
	keeper_end(&u->keeper);
	start_keeper(u, ISOLATION_NONE);
}

static void on_report(EV_P_ ev_io *w, int revents);

static bool start_keeper(struct sup *u, enum isolation isolation)
{
	struct err err;

	ev_io_stop(u->loop, &u->reports);
	u->plan.capsule.isolation = isolation;
	u->plan.capsule.scratch = NULL;
	if (isolation == ISOLATION_USER)
		u->plan.capsule.scratch =
			scratch_make(&u->scratch, u->s->cfg->scratch);
	if (relay_make(&u->relay,
		    json_object_get(u->plan.manifest, "outside"), &err))
		log_warn("standard streams: %s", err.text);
	memcpy(u->plan.std, u->relay.fd, sizeof(u->plan.std));
	if (keeper_start(&u->keeper, &u->plan, &err)) {
		u->keeper.isolation = isolation;
		without_capsule(u, err.text);
		return false;
	}
	ev_io_set(&u->reports, u->keeper.sock, EV_READ);
	ev_io_start(u->loop, &u->reports);
	return true;
}

static enum isolation first_choice(const struct sup *u)
{
	return u->s->cfg->isolation == ISOLATION_NONE ? ISOLATION_NONE
						      : ISOLATION_USER;
}

/* A tree goes back into the kind of isolation that it was dumped in. */
static enum isolation recorded_isolation(const json_t *manifest)
{
	const char *s =
		json_string_value(json_object_get(manifest, "isolation"));

	return s && !strcmp(s, "none") ? ISOLATION_NONE : ISOLATION_USER;
}

static void forget_generation(struct sup *u)
{
	json_decref((json_t *)(uintptr_t)u->plan.manifest);
	u->plan.manifest = NULL;
	release_fd(&u->plan.capsule.generation);
}

/* Open the newest good generation below the present one: 0, or -1. */
static int open_generation(struct sup *u)
{
	struct err err;

	forget_generation(u);
	for (;;) {
		u->gen = store_newest(u->s->step->dir, u->gen);
		if (!u->gen || u->tries++ >= u->s->cfg->restore_tries)
			return -1;
		u->plan.manifest = store_open(u->s->step->dir, u->gen,
			&u->plan.capsule.generation, &err);
		if (u->plan.manifest)
			return 0;
		log_warn("checkpoint %u cannot be used: %s", u->gen, err.text);
		snprintf(u->reason, sizeof(u->reason), "%s", err.text);
	}
}

static void begin_restore(struct sup *u)
{
	if (!open_generation(u)) {
		start_keeper(u, recorded_isolation(u->plan.manifest));
		return;
	}
	snprintf(u->reason, sizeof(u->reason),
		"no checkpoint of %s could be restored; all are kept",
		u->s->chain->id);
	u->result = EXIT_CANNOT_RESTORE;
	post(u, E_START_FAILED);
}

static void restore_older(struct sup *u)
{
	log_warn("checkpoint %u: %s", u->gen, u->reason);
	ev_io_stop(u->loop, &u->reports);
	keeper_end(&u->keeper);
	scratch_remove(&u->scratch);
	begin_restore(u);
}

static int check_work(void *arg, struct err *err)
{
	struct sup *u = arg;

	return look_at_criu(u->plan.engine.criu,
		u->keeper.isolation == ISOLATION_USER, err);
}

/* What is known at once about this command's chances of a checkpoint. */
static void look_around(struct sup *u)
{
	struct err err;

	look_at_tree(u->keeper.pid);
	start_timer(u, &u->look, u->s->cfg->look_after);
	if (u->plan.engine.criu[0] &&
		helper_start(&u->checker, check_work, u, &err))
		log_debug("cannot look at criu: %s", err.text);
}

static void tell_running(struct sup *u)
{
	char left[64] = "", text[32];

	if (u->s->job->end > 0)
		snprintf(left, sizeof(left), ", %s left",
			show_duration(u->s->job->end - now_wall(), text));
	if (u->state == S_RESTORED)
		log_info("leg %u of %s: restored from checkpoint %u in %s%s",
			u->s->chain->leg, u->s->chain->id, u->gen,
			show_duration(u->last.seconds, text), left);
	else
		log_info("leg %u of %s: running%s", u->s->chain->leg,
			u->s->chain->id, left);
	look_around(u);
}

static void start_failed(struct sup *u, const struct report *r)
{
	int e = r->result.err.num;

	/* As a shell does: 127 not found, 126 cannot be run. */
	snprintf(u->reason, sizeof(u->reason), "%s", r->result.err.text);
	u->result = e == ENOENT ? 127 : 126;
	post(u, E_START_FAILED);
}

static void handle(struct sup *u, const struct report *r)
{
	enum event on_failure = r->type == R_RESTORE_FAILED ? E_RESTORE_FAILED
							    : E_DUMP_FAILED;

	u->last = r->result;
	if (r->note[0])
		log_warn("%s", r->note);
	switch (r->type) {
	case R_READY:
		ask(u, u->plan.manifest ? K_RESTORE : K_START);
		break;
	case R_UNABLE:
		without_capsule(u, r->result.err.text);
		break;
	case R_STARTED:
	case R_RESTORED:
		post(u, r->type == R_STARTED ? E_STARTED : E_RESTORED);
		if (u->state == S_RUNNING || u->state == S_RESTORED)
			tell_running(u);
		break;
	case R_START_FAILED:
		start_failed(u, r);
		break;
	case R_EXITED:
		u->status = r->status;
		post(u, E_EXITED);
		break;
	case R_DUMPED:
		post(u, E_DUMPED);
		break;
	case R_DUMP_FAILED:
	case R_RESTORE_FAILED:
		snprintf(u->reason, sizeof(u->reason), "%s",
			r->result.err.text);
		post(u, on_failure);
		break;
	}
}

static void on_report(EV_P_ ev_io *w, int revents)
{
	struct sup *u = w->data;
	struct report r;
	int got;

	(void)loop;
	(void)revents;
	got = keeper_read(&u->keeper, &r);
	if (got > 0) {
		handle(u, &r);
	} else if (got < 0) {
		ev_io_stop(u->loop, &u->reports);
		keeper_end(&u->keeper);
		snprintf(u->reason, sizeof(u->reason),
			"the keeper was killed, and with it the command");
		post(u, E_LOST);
	}
}

/* --- events of the loop --- */

static void on_child(EV_P_ ev_child *w, int revents)
{
	struct sup *u = w->data;
	struct err err;

	(void)loop;
	(void)revents;
	if (w->rpid == u->checker.pid &&
		helper_done(&u->checker, w->rstatus, &err))
		log_warn("no checkpoint can be made: %s", err.text);
	if (w->rpid != u->helper.pid)
		return;
	if (helper_done(&u->helper, w->rstatus, &err)) {
		snprintf(u->reason, sizeof(u->reason),
			"the successor could not be submitted: %.400s",
			err.text);
		post(u, E_SUBMIT_FAILED);
	} else {
		post(u, E_SUBMITTED);
	}
}

static void on_deadline(EV_P_ ev_periodic *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	log_info("the time limit is near: leaving");
	post(u, E_LEAVE);
}

static void on_interval(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	post(w->data, E_SAVE);
}

static void on_retry(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	post(w->data, E_LEAVE);
}

static void on_look(EV_P_ ev_timer *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	look_at_tree(u->keeper.pid);
}

static void on_too_long(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	log_warn("the dump takes longer than [checkpoint] dump_timeout");
	ask(w->data, K_ABORT);
}

/* SIGTERM or its like: is it worth a checkpoint? */
static void asked_to_end(struct sup *u)
{
	enum ending why = ENDING_CANCELLED;
	bool again = u->asked_to_end;
	double left = u->s->job->end > 0 ? u->s->job->end - now_wall() : 0;
	struct err err;

	u->asked_to_end = true;
	if (again) {
		log_info("asked to end once more: ending the command");
		post(u, E_TERMINATE);
		return;
	}
	if (u->s->sched->why(u->s->cfg, &why, &err))
		log_warn("cannot find out why this job ends: %s", err.text);
	u->stay_down = why == ENDING_CANCELLED || why == ENDING_REQUEUED;
	if (left > 0 && left <= u->dump_seconds) {
		log_warn("asked to end with too little time for a checkpoint");
		post(u, E_TERMINATE);
		return;
	}
	log_info("asked to end: making a checkpoint first");
	post(u, E_LEAVE);
}

static bool goes_to_group(int sig)
{
	return sig == SIGINT || sig == SIGQUIT || sig == SIGHUP ||
		sig == SIGTSTP || sig == SIGWINCH;
}

static void on_signal(EV_P_ ev_signal *w, int revents)
{
	struct sup *u = w->data;
	const struct config *cfg = u->s->cfg;

	(void)loop;
	(void)revents;
	if (sigismember(&cfg->checkpoint, w->signum) == 1) {
		log_info("SIG%s: leaving", signal_name(w->signum));
		post(u, E_LEAVE);
	} else if (sigismember(&cfg->save, w->signum) == 1) {
		post(u, E_SAVE);
	} else if (sigismember(&cfg->terminate, w->signum) == 1) {
		asked_to_end(u);
	} else if (w->signum == SIGTSTP) {
		/* The default of SIGTSTP has no effect in its session. */
		ask_signal(u, SIGSTOP, true);
		raise(SIGSTOP);
	} else {
		ask_signal(u, w->signum, goes_to_group(w->signum));
	}
}

/* Signals that mean this process itself, or that cannot be had. */
static bool is_own(int sig)
{
	static const int own[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGSEGV, SIGBUS,
		SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGTTIN, SIGTTOU,
		SIGPIPE, SIGXFSZ};

	for (size_t i = 0; i < LEN(own); i++)
		if (own[i] == sig)
			return true;
	/* glibc's own: 32, 33. */
	return sig > 31 && sig < SIGRTMIN;
}

static void watch_signals(struct sup *u)
{
	struct sigaction old;

	for (int sig = 1; sig < NSIG; sig++) {
		if (is_own(sig) || sigaction(sig, NULL, &old))
			continue;
		/* What nohup(1) or a shell ignores stays ignored. */
		if (old.sa_handler == SIG_IGN)
			continue;
		ev_signal_init(&u->signals[sig], on_signal, sig);
		u->signals[sig].data = u;
		ev_signal_start(u->loop, &u->signals[sig]);
	}
}

static void watch_time(struct sup *u)
{
	const struct config *cfg = u->s->cfg;
	double end = u->s->job->end;

	/*
	 * Points of wall-clock time, as the scheduler's are. Where libev has
	 * a timerfd for them it never wakes up to look at the clock.
	 */
	ev_periodic_init(&u->deadline, on_deadline, end - cfg->margin, 0, NULL);
	u->deadline.data = u;
	if (end <= 0)
		ev_periodic_set(&u->deadline, now_wall() + 1e9, 0, NULL);
	ev_periodic_start(u->loop, &u->deadline);
	ev_timer_init(&u->interval, on_interval, 0, 0);
	u->interval.data = u;
	ev_timer_init(&u->retry, on_retry, 0, 0);
	ev_timer_init(&u->look, on_look, 0, 0);
	ev_timer_init(&u->too_long, on_too_long, 0, 0);
	u->retry.data = u->look.data = u->too_long.data = u;
}

static json_t *make_facts(const struct supervision *s)
{
	json_t *argv = json_array();

	for (size_t i = 0; s->argv[i]; i++)
		json_array_append_new(argv, json_string(s->argv[i]));
	return json_pack("{s:s, s:i, s:i, s:s, s:o}", "chain", s->chain->id,
		"leg", (int)s->chain->leg, "step", (int)s->step->number, "cwd",
		s->cwd, "argv", argv);
}

static void make_plan(struct sup *u)
{
	const struct config *cfg = u->s->cfg;
	struct err err;

	u->plan = (struct keeper_plan){
		.cfg = cfg,
		.capsule = {.uid = geteuid(),
			.gid = getegid(),
			.generation = -1},
		.engine = {.unprivileged = geteuid() != 0,
			.ghost_limit = cfg->ghost_limit,
			.extra = cfg->criu_extra,
			.cache = -1,
			.verbose = cfg->level == LOG_DEBUG},
		.argv = u->s->argv,
		.mask = u->s->mask,
		.cwd = u->s->cwd,
		.step = u->s->step->dir,
		.facts = make_facts(u->s),
	};
	if (engine_find(cfg->criu, u->plan.engine.criu,
		    sizeof(u->plan.engine.criu), &err)) {
		log_warn("no checkpoint can be made: %s", err.text);
		u->plan.engine.criu[0] = '\0';
	}
}

static void begin(struct sup *u)
{
	u->gen = ~0U;
	u->state = store_newest(u->s->step->dir, u->gen) ? S_RESTORING
							 : S_STARTING;
	store_collect(u->s->step->dir, u->s->cfg->keep);
	write_state(u, E_STARTED);
	if (u->state == S_RESTORING)
		begin_restore(u);
	else
		start_keeper(u, first_choice(u));
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

static int end(struct sup *u)
{
	enum state last = u->state;
	auto_free char *id = NULL;

	keeper_end(&u->keeper);
	relay_end(&u->relay);
	kill_orphans();
	scratch_remove(&u->scratch);
	forget_generation(u);
	json_decref(u->plan.facts);
	ev_loop_destroy(u->loop);
	if (last == S_RESUBMITTED) {
		/* The lease goes before the successor asks for it. */
		id = xstrdup(u->s->chain->id);
		chain_close(u->s->chain);
		return u->s->sched->left(u->s->self_argv, id);
	}
	u->s->sched->ended();
	return u->result < 0 ? repeat_status(u->status) : u->result;
}

int supervise(const struct supervision *s)
{
	struct sup u = {.s = s, .keeper = {.sock = -1}};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	u.since = now_mono();
	relay_init(&u.relay);
	make_plan(&u);
	u.loop = ev_default_loop(EVFLAG_NOENV);
	if (!u.loop) {
		log_error("libev cannot make its loop");
		return EXIT_LOST;
	}
	ev_io_init(&u.reports, on_report, -1, EV_READ);
	ev_child_init(&u.children, on_child, 0, 0);
	u.reports.data = u.children.data = &u;
	ev_child_start(u.loop, &u.children);
	watch_signals(&u);
	watch_time(&u);
	begin(&u);
	if (u.state != S_FAILED)
		ev_run(u.loop, 0);
	return end(&u);
}
