/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sup_events.c - signals, time, helpers: what turns into events */
#include "sup.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "log.h"
#include "store.h"
#include "util.h"

void sup_timer(struct sup *u, ev_timer *t, double seconds)
{
	ev_timer_stop(u->loop, t);
	if (seconds <= 0)
		return;
	ev_timer_set(t, seconds, 0.);
	ev_timer_start(u->loop, t);
}

/* --- helpers --- */

/* Seconds; slurmd itself grants no more than KillWait, 30 by default. */
#define ANSWER_WAIT 5

/* What dies of a killed dump does so within this time, in s. */
#define AT_ONCE 10

void sup_question(struct sup *u, int (*work)(void *arg, struct err *err),
	void (*answer)(struct sup *u, bool answered))
{
	struct err err;

	if (u->asker.pid)
		return;
	u->answer = answer;
	if (helper_start(&u->asker, work, u, &err)) {
		log_warn("cannot ask %s: %s", u->s->sched->name, err.text);
		answer(u, false);
		return;
	}
	sup_timer(u, &u->no_answer, ANSWER_WAIT);
}

static int why_work(void *arg, struct err *err);
static void told_why(struct sup *u, bool answered);

/* What was asked meanwhile comes next. */
static void take_answer(struct sup *u, bool answered)
{
	u->answer(u, answered);
	if (u->why_later && !u->asker.pid) {
		u->why_later = false;
		sup_question(u, why_work, told_why);
	}
}

static void on_no_answer(EV_P_ ev_timer *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	log_warn("no answer from %s", u->s->sched->name);
	helper_stop(&u->asker);
	take_answer(u, false);
}

static void on_answer(struct sup *u, int status)
{
	struct err err;
	bool answered = !helper_done(&u->asker, status, &err);

	ev_timer_stop(u->loop, &u->no_answer);
	if (!answered)
		log_warn("%s: %s", u->s->sched->name, err.text);
	take_answer(u, answered);
}

static int show_work(void *arg, struct err *err)
{
	const struct sup *u = arg;

	return u->s->sched->show(
		u->s->cfg, u->s->chain->id, u->s->chain->leg, u->to_show, err);
}

static void show_now(struct sup *u)
{
	struct err err;

	if (helper_start(&u->shower, show_work, u, &err))
		log_debug("cannot show the state: %s", err.text);
	u->to_show = NULL;
}

void sup_show(struct sup *u, const char *state)
{
	if (!u->s->sched->show)
		return;
	u->to_show = state;
	if (!u->shower.pid)
		show_now(u);
}

static void on_shown(struct sup *u, int status)
{
	struct err err;

	if (helper_done(&u->shower, status, &err))
		log_debug("cannot show the state: %s", err.text);
	if (u->to_show)
		show_now(u);
}

static void on_submitted(struct sup *u, int status)
{
	struct err err;

	if (!helper_done(&u->helper, status, &err)) {
		sup_post(u, u->stay_down ? E_STAY_DOWN : E_SUBMITTED);
		return;
	}
	/* Also where the tries after it could not even ask. */
	u->unanswered |= err.num == EAGAIN;
	sup_reason(u, "the successor could not be submitted: %s", err.text);
	sup_post(u, E_SUBMIT_FAILED);
}

static void on_checked(struct sup *u, int status)
{
	struct err err;

	if (helper_done(&u->checker, status, &err))
		sup_warn_unfit(err.text);
}

static void on_child(EV_P_ ev_child *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	if (w->rpid == u->checker.pid)
		on_checked(u, w->rstatus);
	else if (w->rpid == u->asker.pid)
		on_answer(u, w->rstatus);
	else if (w->rpid == u->shower.pid)
		on_shown(u, w->rstatus);
	else if (w->rpid == u->helper.pid)
		on_submitted(u, w->rstatus);
	else
		sup_hook_ended(u, w->rpid, w->rstatus);
}

/* --- time --- */

static int end_work(void *arg, struct err *err)
{
	struct sup *u = arg;

	u->asker.shared->seconds = u->s->sched->end(u->s->cfg, err);
	return u->asker.shared->seconds < 0 ? -1 : 0;
}

/* Somebody may have moved the end meanwhile; without an answer it is near. */
static void at_deadline(struct sup *u, bool answered)
{
	double end = answered ? u->asker.shared->seconds : 0, at;
	char left[32];

	if (answered)
		u->s->job->end = end;
	at = end - u->s->cfg->margin;
	if (at > now_wall() + 1) {
		log_info("the time limit has been moved: %s left",
			show_duration(end - now_wall(), left));
		sup_note_end(u);
		ev_periodic_set(&u->deadline, at, 0, NULL);
		ev_periodic_again(u->loop, &u->deadline);
		return;
	}
	log_info("the time limit is near: leaving");
	sup_post(u, E_LEAVE);
}

static void on_deadline(EV_P_ ev_periodic *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	if (u->s->sched->end)
		sup_question(u, end_work, at_deadline);
	else
		at_deadline(u, false);
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
	/* A tree that is being dumped looks as if it were under a debugger. */
	if (u->state == S_SAVING || u->state == S_LEAVING)
		u->look_later = true;
	else
		sup_look(u);
}

static void on_too_long(EV_P_ ev_timer *w, int revents)
{
	struct sup *u = w->data;

	(void)loop;
	(void)revents;
	if (u->state == S_RESTORING) {
		/* The keeper waits for criu and hears nothing. */
		log_warn("the restore takes longer than [checkpoint] "
			 "restore_timeout");
		kill(u->keeper.pid, SIGKILL);
		return;
	}
	log_warn("the dump takes longer than [checkpoint] dump_timeout");
	sup_ask(u, K_ABORT);
}

/* --- signals --- */

static int why_work(void *arg, struct err *err)
{
	struct sup *u = arg;
	enum ending why = ENDING_LIMIT;

	if (u->s->sched->why(u->s->cfg, &why, err))
		return -1;
	u->asker.shared->number = (int)why;
	return 0;
}

/* Of what criu has put into a process, when criu itself was killed. */
static bool died_of_dump(const struct sup *u)
{
	static const int signals[] = {
		SIGPIPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
	int sig = WIFSIGNALED(u->status) ? WTERMSIG(u->status) : 0;
	size_t i = 0;

	if (u->dump_killed <= 0 || now_mono() - u->dump_killed > AT_ONCE)
		return false;
	while (i < LEN(signals) && signals[i] != sig)
		i++;
	return i < LEN(signals);
}

static void go_on_from_last(struct sup *u, const char *reason)
{
	sup_reason(u, "%s", reason);
	if (!store_newest(u->s->step->dir, ~0U)) {
		sup_post(u, E_LOST);
		return;
	}
	log_warn("%s: it goes on from its last checkpoint", u->reason);
	sup_post(u, E_KILLED);
}

/* Killed by the scheduler, or by someone who meant just that? */
static void told_why_it_died(struct sup *u, enum ending why)
{
	u->died = false;
	/* The signal that it died of came here, too. */
	u->why_later = false;
	if (why == ENDING_CANCELLED || (why == ENDING_STOPPED && !u->of_dump))
		sup_post(u, E_EXITED);
	else if (u->of_dump)
		go_on_from_last(
			u, "the command died of a dump that was killed");
	else
		go_on_from_last(u, "the command was killed as the job ends");
}

void sup_exited(struct sup *u)
{
	int sig = WIFSIGNALED(u->status) ? WTERMSIG(u->status)
					 : WEXITSTATUS(u->status) - 128;
	bool running = u->state == S_RUNNING || u->state == S_RESTORED ||
		       u->state == S_SAVING || u->state == S_LEAVING;
	bool ended = running && u->s->sched->kills_all && sig > 0 &&
		     sigismember(&u->s->cfg->terminate, sig) == 1;

	u->of_dump = running && died_of_dump(u);
	if (u->of_dump && !u->s->sched->kills_all) {
		told_why_it_died(u, ENDING_STOPPED);
		return;
	}
	if (!u->of_dump && !ended) {
		sup_post(u, E_EXITED);
		return;
	}
	u->died = true;
	u->why_later = u->asker.pid > 0;
	if (!u->why_later)
		sup_question(u, why_work, told_why);
}

/* Is it worth a checkpoint? Without an answer: rather one too many. */
static void told_why(struct sup *u, bool answered)
{
	enum ending why =
		answered ? (enum ending)u->asker.shared->number : ENDING_LIMIT;
	double left = u->s->job->end > 0 ? u->s->job->end - now_wall() : 0;

	u->brought_back = why == ENDING_REQUEUED;
	u->stay_down = why == ENDING_STOPPED || why == ENDING_REQUEUED;
	if (u->died) {
		told_why_it_died(u, why);
		return;
	}
	if (why == ENDING_CANCELLED) {
		log_info("the job is cancelled: ending the command");
		sup_post(u, E_TERMINATE);
	} else if (why == ENDING_STOPPED && u->end_requests > 1) {
		log_info("asked to end once more: ending the command");
		sup_post(u, E_TERMINATE);
	} else if (why == ENDING_STOPPED && left > 0 &&
		   left <= u->dump_seconds) {
		log_warn("asked to end with too little time for a checkpoint");
		sup_post(u, E_TERMINATE);
	} else {
		log_info("asked to end: making a checkpoint first");
		sup_post(u, E_LEAVE);
	}
}

/* Nobody tells of a preemption whose grace time has begun. */
static void told_preempted(struct sup *u, bool answered)
{
	enum ending why = (enum ending)u->asker.shared->number;

	sup_timer(u, &u->watch, u->s->cfg->preemption_watch);
	if (!answered || (why != ENDING_PREEMPTED && why != ENDING_REQUEUED))
		return;
	ev_timer_stop(u->loop, &u->watch);
	log_info("the job is being preempted");
	told_why(u, true);
}

static void on_watch(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	sup_question(w->data, why_work, told_preempted);
}

/* SIGTERM or its like. It may come twice, by way of the guard and without. */
static void asked_to_end(struct sup *u)
{
	/* Then the end is near anyway. */
	if (u->state == S_SUBMITTING || u->state == S_RESUBMITTED ||
		u->state == S_STOPPED)
		return;
	u->end_requests++;
	u->why_later = u->asker.pid > 0;
	if (!u->why_later)
		sup_question(u, why_work, told_why);
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
	ev_timer_init(&u->no_answer, on_no_answer, 0, 0);
	u->retry.data = u->look.data = u->too_long.data = u;
	ev_timer_init(&u->watch, on_watch, 0, 0);
	u->no_answer.data = u->watch.data = u;
	if (u->s->job->watch)
		sup_timer(u, &u->watch, cfg->preemption_watch);
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
