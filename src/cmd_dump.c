/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_dump.c - ask for a checkpoint now, and wait for it */
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sysexits.h>

#include "chain.h"
#include "chain_facts.h"
#include "chain_watch.h"
#include "cmd.h"
#include "dump_wish.h"
#include "log.h"
#include "proc.h"
#include "sched.h"
#include "status.h"
#include "status_job.h"
#include "util.h"

/* Of one step that is at work. */
struct asked {
	struct dump_wish w;
	int pidfd;  /* of its supervisor; -1: on another machine, or gone */
	bool here;  /* on this machine */
	bool sent;  /* the signal */
	bool shown; /* what came of it */
};

struct dump {
	struct chain *chain;
	unsigned leg;
	bool leave;
	json_t *status; /* when it began */
	json_t *lines;  /* of the journal; the wishes refer to them */
	struct asked *step;
	size_t n;
	int ends; /* epoll(7): supervisors that have ended */
};

/* --- whom to ask --- */

/* A descriptor that never means another process; -1: it is not there. */
static int open_supervisor(const struct dump_wish *w)
{
	auto_close int fd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	struct proc_stat st;

	/* In this order: the number may be given again before, not after. */
	if (fd < 0 || !proc_stat(w->pid, &st) || st.state == 'Z' ||
		st.start != w->born)
		return -1;
	return steal_fd(&fd);
}

static void give_up(struct asked *a, const char *why)
{
	if (dump_wish_over(&a->w))
		return;
	a->w.is = WISH_FAILED;
	snprintf(a->w.why, sizeof(a->w.why), "%s", why);
}

static int add_step(struct dump *d, const struct dump_wish *w, struct err *err)
{
	struct asked *a = &d->step[d->n++];
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = d->n - 1};

	*a = (struct asked){
		.w = *w, .pidfd = -1, .here = status_is_here(w->host)};
	if (a->here)
		a->pidfd = open_supervisor(w);
	/* Another one may hold the lease, or it is in another container. */
	if (a->here && a->pidfd < 0 && (!w->job || !w->by_shell)) {
		give_up(a, getenv("CHECKPOINTER_INSIDE")
				   ? "from inside its capsule it cannot be "
				     "asked"
				   : "its process is gone");
		return 0;
	}
	a->here = a->pidfd >= 0;
	if (a->here && epoll_ctl(d->ends, EPOLL_CTL_ADD, a->pidfd, &e))
		return err_set(err, errno, "epoll_ctl");
	return 0;
}

/* All steps of the leg that are at work. */
static int find_steps(struct dump *d, unsigned steps, struct err *err)
{
	struct dump_wish w;

	d->step = xcalloc(steps + 1, sizeof(*d->step));
	for (unsigned i = 1; i <= steps; i++)
		if (dump_wish_begin(&w, d->lines, d->leg, i, d->leave) &&
			add_step(d, &w, err))
			return -1;
	if (d->n > 0)
		return 0;
	return err_set(err, 0,
		"no step is at work just now, or it was begun by an older "
		"checkpointer: see checkpointer status %s",
		d->chain->id);
}

/* --- asking --- */

static int by_process(const struct asked *a, struct err *err)
{
	const char *name = signal_name(a->w.sig);

	/* It would die of one that it does not wait for. */
	if (!(proc_caught(a->w.pid) >> (a->w.sig - 1) & 1))
		return err_set(err, 0, "process %d does not listen to SIG%s",
			(int)a->w.pid, name);
	if (syscall(SYS_pidfd_send_signal, a->pidfd, a->w.sig, NULL, 0))
		return err_set(err, errno, "send SIG%s to process %d", name,
			(int)a->w.pid);
	return 0;
}

static int by_scheduler(
	const struct dump *d, const struct asked *a, struct err *err)
{
	const char *name =
		json_string_value(json_object_get(d->status, "scheduler"));

	if (!a->w.job)
		return err_set(err, 0,
			"it runs on %s: ask there, with checkpointer dump %s",
			a->w.host, d->chain->id);
	if (!a->w.by_shell)
		return err_set(err, 0,
			"the batch shell of job %s would die of the signal: "
			"ask on %s, with checkpointer dump %s",
			a->w.job, a->w.host, d->chain->id);
	return sched_signal(
		sched_named(name ? name : ""), a->w.job, a->w.sig, err);
}

static int ask(const struct dump *d, const struct asked *a, struct err *err)
{
	if (!a->w.sig)
		return err_set(err, 0,
			"it listens to no signal for that: see [signals] %s",
			d->leave ? "checkpoint" : "save");
	return a->here ? by_process(a, err) : by_scheduler(d, a, err);
}

/* A wish to leave is remembered while another dump is made. */
static bool may_be_asked(const struct asked *a)
{
	return !a->sent &&
	       (a->w.is == WISH_READY ||
		       (a->w.leave && a->w.is == WISH_HEARD && !a->w.leaving));
}

static void ask_all(struct dump *d)
{
	/* One signal to the batch shell is for all steps of the job. */
	bool shell_told = false;
	struct err err;

	for (size_t i = 0; i < d->n; i++) {
		struct asked *a = &d->step[i];

		if (!may_be_asked(a))
			continue;
		a->sent = true;
		if (!a->here && shell_told)
			continue;
		if (ask(d, a, &err))
			give_up(a, err.text);
		else
			shell_told |= !a->here;
	}
}

/* --- what came of it --- */

static void print_left(const struct dump *d, const struct asked *a)
{
	auto_free char *job = chain_last_successor(d->chain);

	if (a->w.stopped)
		printf("stopped; continue with: checkpointer restore %s\n",
			d->chain->id);
	else if (job && *job)
		printf("leg %u leaves, job %s continues\n", d->leg, job);
	else
		printf("leg %u leaves, the next one continues\n", d->leg);
}

static void print_made(const struct dump *d, const struct asked *a)
{
	char size[32], took[32], step[32] = "";

	if (d->n > 1)
		snprintf(step, sizeof(step), ", step %u", a->w.step);
	printf("checkpoint %u of %s%s: %s in %s\n", a->w.made.gen, d->chain->id,
		step, show_size((uint64_t)a->w.made.bytes, size),
		show_duration(a->w.made.seconds, took));
	if (d->leave)
		print_left(d, a);
	fflush(stdout);
}

/* True when nothing more is to come. */
static bool show(struct dump *d)
{
	bool over = true;

	for (size_t i = 0; i < d->n; i++) {
		struct asked *a = &d->step[i];

		over &= dump_wish_over(&a->w);
		if (a->shown || !dump_wish_over(&a->w))
			continue;
		a->shown = true;
		if (a->w.is == WISH_DONE)
			print_made(d, a);
		else
			log_error("no checkpoint of %s, step %u: %s",
				d->chain->id, a->w.step, a->w.why);
	}
	return over;
}

static int outcome(const struct dump *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->step[i].w.is == WISH_FAILED)
			return EX_UNAVAILABLE;
	return 0;
}

/* What has been written since. */
static int follow(struct dump *d, struct err *err)
{
	json_t *now = chain_read(d->chain, NULL, err);

	if (!now)
		return -1;
	for (size_t i = json_array_size(d->lines); i < json_array_size(now);
		i++) {
		json_t *line = json_array_get(now, i);

		for (size_t k = 0; k < d->n; k++)
			dump_wish_follow(&d->step[k].w, line);
		json_array_append(d->lines, line);
	}
	json_decref(now);
	return 0;
}

/* Their last words have been read. */
static void note_ended(struct dump *d)
{
	struct epoll_event e[8];
	int n = epoll_wait(d->ends, e, LEN(e), 0);

	for (int i = 0; i < n; i++) {
		struct asked *a = &d->step[e[i].data.u64];

		give_up(a, "its process has died");
		/* Closing it removes it from the others. */
		release_fd(&a->pidfd);
	}
}

/* What runs elsewhere is only known by its lease. */
static void note_lost(struct dump *d)
{
	struct chain_facts f;

	if (chain_look(d->chain, false, &f, NULL) || f.state == CHAIN_RUNNING ||
		status_job_runs_elsewhere(d->status))
		return;
	for (size_t i = 0; i < d->n; i++)
		if (!d->step[i].here)
			give_up(&d->step[i], "its leg has ended");
}

/* Seconds from one look at a journal that another machine writes to the next */
#define LOOK_EVERY 1

/* And how many of these go by from one look at the lease to the next. */
#define LEASE_EVERY 10

static bool any_elsewhere(const struct dump *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (!d->step[i].here)
			return true;
	return false;
}

/*
 * On one machine inotify tells each line, and the end of a supervisor its
 * pidfd. What another machine writes to a shared file system nobody tells, so
 * there the journal is looked at again and again; nothing else does this.
 */
static int wait_for_all(struct dump *d, struct chain_watch *w, struct err *err)
{
	double pause = any_elsewhere(d) ? LOOK_EVERY : -1;
	enum watched what = WATCH_CHANGED;
	unsigned looks = 0;

	for (;;) {
		if (chain_watch_grown(w) && follow(d, err))
			return -1;
		if (what == WATCH_FD)
			note_ended(d);
		if (what == WATCH_TIME && ++looks % LEASE_EVERY == 0)
			note_lost(d);
		ask_all(d);
		if (show(d))
			return 0;
		if (what == WATCH_CHANGED)
			log_debug("waiting for the journal");
		what = chain_watch_wait(w, d->ends, pause);
	}
}

static int ask_only(struct dump *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->step[i].w.is == WISH_EARLY)
			give_up(&d->step[i],
				"it does not run yet: ask again, or without "
				"--no-wait");
	ask_all(d);
	show(d);
	return 0;
}

/* --- the command --- */

static int begin(struct dump *d, struct err *err)
{
	struct chain_facts f;

	if (chain_look(d->chain, false, &f, err))
		return -1;
	d->leg = f.legs;
	d->lines = chain_read(d->chain, NULL, err);
	if (!d->lines)
		return -1;
	d->status = status_of(d->chain->id, d->lines, f.state);
	if (f.state != CHAIN_RUNNING && !status_job_runs_elsewhere(d->status))
		return err_set(err, 0,
			"it is %s, and there is nothing to make a checkpoint "
			"of",
			chain_state_name[f.state]);
	d->ends = epoll_create1(EPOLL_CLOEXEC);
	if (d->ends < 0)
		return err_set(err, errno, "epoll_create1");
	return find_steps(d, f.steps, err);
}

static void end(struct dump *d)
{
	for (size_t i = 0; i < d->n; i++)
		release_fd(&d->step[i].pidfd);
	release_fd(&d->ends);
	json_decref(d->status);
	json_decref(d->lines);
	free(d->step);
}

static int dump(const struct invocation *in, struct chain *c)
{
	struct dump d = {.chain = c, .leave = in->leave, .ends = -1};
	struct chain_watch w = {.inotify = -1};
	struct err err;
	int ret = -1;

	/* Watched before it is read: nothing is missed between. */
	if (!chain_watch_begin(&w, c, &err) && !begin(&d, &err))
		ret = in->no_wait ? ask_only(&d) : wait_for_all(&d, &w, &err);
	if (ret)
		log_error("chain %s: %s", c->id, err.text);
	ret = ret ? EX_UNAVAILABLE : outcome(&d);
	chain_watch_end(&w);
	end(&d);
	return ret;
}

const char cmd_dump_help[] =
	"Usage: checkpointer [OPTION]... dump CHAIN|JOB [OPTION]...\n"
	"\n"
	"Ask for a checkpoint of a chain that is at work, and wait until it is\n"
	"committed. Through Slurm it works from other machines, too.\n"
	"\n"
	"      --leave       the leg ends with it, as when its time is over\n"
	"      --no-wait     ask, and do not wait\n"
	"  -d, --dir=DIR     where the checkpoints are, if not at the usual place\n"
	"  -h, --help        print this\n"
	"\n"
	"Example:\n"
	"  checkpointer dump fit\n";

int cmd_dump(struct invocation *in)
{
	auto_free char *id = NULL;
	struct chain chain;
	struct err err;
	int ret;

	if (!in->args[0] || in->args[1]) {
		log_error("dump takes one chain, or the number of one of its "
			  "jobs: checkpointer dump CHAIN|JOB [--leave]");
		return EX_USAGE;
	}
	id = status_find(in->cfg.dir, in->args[0], &err);
	if (!id || chain_open(&chain, in->cfg.dir, id, false, &err)) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	ret = dump(in, &chain);
	chain_close(&chain);
	return ret;
}
