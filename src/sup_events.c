/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sup_events.c - signals, time, helpers: what turns into events */
#include "sup.h"

#include <signal.h>
#include <stdio.h>

#include "log.h"
#include "util.h"

void sup_timer(struct sup *u, ev_timer *t, double seconds)
{
	ev_timer_stop(u->loop, t);
	if (seconds <= 0)
		return;
	ev_timer_set(t, seconds, 0.);
	ev_timer_start(u->loop, t);
}

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
		sup_reason(u, "the successor could not be submitted: %s",
			err.text);
		sup_post(u, E_SUBMIT_FAILED);
	} else {
		sup_post(u, u->stay_down ? E_STAY_DOWN : E_SUBMITTED);
	}
}

static void on_deadline(EV_P_ ev_periodic *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	log_info("the time limit is near: leaving");
	sup_post(u, E_LEAVE);
}

static void on_interval(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	sup_post(w->data, E_SAVE);
}

static void on_retry(EV_P_ ev_timer *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	sup_post(u, u->leaving ? E_LEAVE : E_SAVE);
}

static void on_look(EV_P_ ev_timer *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	sup_look(u);
}

static void on_too_long(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	log_warn("the dump takes longer than [checkpoint] dump_timeout");
	sup_ask(w->data, K_ABORT);
}

/* SIGTERM or its like: is it worth a checkpoint? */
static void asked_to_end(struct sup *u)
{
	enum ending why = ENDING_CANCELLED;
	bool again = u->asked_to_end;
	double left = u->s->job->end > 0 ? u->s->job->end - now_wall() : 0;
	struct err err;

	/* Then the end is near anyway. */
	if (u->state == S_SUBMITTING || u->state == S_RESUBMITTED ||
		u->state == S_STOPPED)
		return;
	u->asked_to_end = true;
	if (again) {
		log_info("asked to end once more: ending the command");
		sup_post(u, E_TERMINATE);
		return;
	}
	if (u->s->sched->why(u->s->cfg, &why, &err))
		log_warn("cannot find out why this job ends: %s", err.text);
	u->stay_down = why == ENDING_CANCELLED || why == ENDING_REQUEUED;
	if (left > 0 && left <= u->dump_seconds) {
		log_warn("asked to end with too little time for a checkpoint");
		sup_post(u, E_TERMINATE);
		return;
	}
	log_info("asked to end: making a checkpoint first");
	sup_post(u, E_LEAVE);
}

static bool goes_to_group(int sig)
{
	return sig == SIGINT || sig == SIGQUIT || sig == SIGHUP ||
	       sig == SIGTSTP || sig == SIGCONT || sig == SIGWINCH;
}

static void on_signal(EV_P_ ev_signal *w, int revents)
{
	struct sup *u = w->data;
	const struct config *cfg = u->s->cfg;

	(void)loop;
	(void)revents;
	if (sigismember(&cfg->checkpoint, w->signum) == 1) {
		log_info("SIG%s: leaving", signal_name(w->signum));
		sup_post(u, E_LEAVE);
	} else if (sigismember(&cfg->save, w->signum) == 1) {
		sup_post(u, E_SAVE);
	} else if (sigismember(&cfg->terminate, w->signum) == 1) {
		asked_to_end(u);
	} else if (w->signum == SIGTSTP) {
		/* The default of SIGTSTP has no effect in its session. */
		sup_signal(u, SIGSTOP, true);
		raise(SIGSTOP);
	} else {
		sup_signal(u, w->signum, goes_to_group(w->signum));
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

void sup_watch(struct sup *u)
{
	ev_io_init(&u->reports, sup_on_report, -1, EV_READ);
	ev_child_init(&u->children, on_child, 0, 0);
	u->reports.data = u->children.data = u;
	ev_child_start(u->loop, &u->children);
	watch_signals(u);
	watch_time(u);
}
