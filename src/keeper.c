/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "connections.h"
#include "log.h"
#include "proc.h"
#include "programs.h"
#include "questions.h"
#include "restore.h"
#include "store.h"
#include "tmpdir.h"
#include "unrunnable.h"
#include "util.h"

struct self {
	const struct keeper_plan *plan;
	struct capsule capsule;
	int sock;
	pid_t root;   /* 0: not there yet, or gone */
	pid_t worker; /* 0: none */
	pid_t failed; /* process group of a worker that failed; 0: none */
	bool leaving; /* the worker leaves the tree stopped */
	struct worker_result *result; /* shared with the worker */
	struct int_list was_stopped;  /* before the last dump */
	struct step_tmpdir tmpdir;    /* without a capsule */
	bool killed, ended;           /* the tree; by itself */
};

static bool in_capsule(const struct self *k)
{
	return k->capsule.isolation == ISOLATION_USER;
}

static void tell(const struct self *k, const struct report *r)
{
	/* A supervisor that is gone is found out by the end of the socket. */
	if (send(k->sock, r, sizeof(*r), MSG_NOSIGNAL) < 0)
		return;
}

/* From the process that does the work, which waits for nobody. */
static void tell_progress(void *arg, const struct progress *p)
{
	const struct self *k = arg;
	const struct report r = {.type = R_PROGRESS, .progress = *p};

	if (send(k->sock, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

/* --- the tree --- */

/*
 * All of the tree but this process: in a capsule whatever lives there, else
 * the descendants of this process, as orphans come back to a subreaper.
 */
static struct int_list whole_tree(const struct self *k)
{
	struct int_list l = proc_tree(getpid());

	for (size_t i = 0; i < l.n; i++)
		if (l.v[i] == getpid() || l.v[i] == k->worker ||
			l.v[i] == k->capsule.network.pasta)
			l.v[i--] = l.v[--l.n];
	return l;
}

static struct int_list stopped_now(const struct self *k)
{
	struct int_list l = whole_tree(k);
	struct proc_stat st;

	for (size_t i = 0; i < l.n; i++)
		if (!proc_stat(l.v[i], &st) || st.state != 'T')
			l.v[i--] = l.v[--l.n];
	return l;
}

/* Let run what the last dump stopped, and not what was stopped before it. */
static void thaw(struct self *k)
{
	struct int_list l = stopped_now(k);

	for (size_t i = 0; i < l.n; i++)
		if (!int_list_has(&k->was_stopped, l.v[i]))
			kill(l.v[i], SIGCONT);
	free(l.v);
}

static void kill_tree(const struct self *k)
{
	struct int_list killed = {0};
	bool more = true;

	if (in_capsule(k)) {
		/* Everything in the PID namespace but its PID 1. */
		kill(-1, SIGKILL);
		return;
	}
	/* What was forked meanwhile is caught by the next round. */
	while (more) {
		struct int_list l = whole_tree(k);

		more = false;
		for (size_t i = 0; i < l.n; i++) {
			if (int_list_has(&killed, l.v[i]))
				continue;
			kill(l.v[i], SIGKILL);
			int_list_add(&killed, l.v[i]);
			more = true;
		}
		free(l.v);
	}
	free(killed.v);
}

/* --- the command --- */

static void set_environment(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_env; i++)
		setenv(cfg->env[i].name, cfg->env[i].value, 1);
	/* A checkpointer inside the tree has nothing to do. */
	setenv("CHECKPOINTER_INSIDE", "1", 1);
}

/* The default for all but what the user had ignored, as nohup(1) does. */
static void default_signals(void)
{
	struct sigaction sa;

	for (int sig = 1; sig < NSIG; sig++)
		if (!sigaction(sig, NULL, &sa) && sa.sa_handler != SIG_IGN)
			signal(sig, SIG_DFL);
}

_Noreturn static void become_command(const struct self *k, int report_fd)
{
	const struct keeper_plan *p = k->plan;
	struct err err = {0};
	ssize_t n;

	default_signals();
	sigprocmask(SIG_SETMASK, &p->mask, NULL);
	set_environment(p->cfg);
	/*
	 * A session of its own, because criu cannot dump half a session; a
	 * subreaper, so that orphans stay in the tree that is dumped.
	 */
	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (p->engine.deny_io_uring && questions_deny_io_uring())
		err_set(&err, errno, "deny io_uring");
	else if (!capsule_drop_caps(&k->capsule, &err)) {
		execvp(p->argv[0], p->argv);
		unrunnable(p->argv[0], errno, &err);
	}
	n = write(report_fd, &err, sizeof(err));
	_exit(n == sizeof(err) ? 127 : 126);
}

static void start_command(struct self *k)
{
	struct report r = {.type = R_STARTED};
	int fds[2];

	if (in_capsule(k) &&
		capsule_set_last_pid(KEEPER_FIRST_PID, &r.result.err))
		goto failed;
	if (pipe2(fds, O_CLOEXEC)) {
		err_set(&r.result.err, errno, "pipe");
		goto failed;
	}
	k->root = fork();
	if (k->root == 0)
		become_command(k, fds[1]);
	close(fds[1]);
	if (k->root < 0)
		err_set(&r.result.err, errno, "fork");
	/* The write end closes at execve: nothing to read means success. */
	if (k->root < 0 || read(fds[0], &r.result.err, sizeof(r.result.err)) ==
				   sizeof(r.result.err))
		r.type = R_START_FAILED;
	close(fds[0]);
	if (r.type == R_START_FAILED)
		k->root = 0;
	r.root = k->root;
	tell(k, &r);
	return;
failed:
	r.type = R_START_FAILED;
	tell(k, &r);
}

/* --- the worker --- */

/* True in the new worker. */
static bool begin_worker(struct self *k)
{
	struct report r = {.type = R_DUMP_FAILED};
	sigset_t mask;

	memset(k->result, 0, sizeof(*k->result));
	k->result->killed = true;
	err_set(&k->result->err, 0, "the worker was killed");
	k->worker = fork();
	if (k->worker < 0) {
		err_set(&r.result.err, errno, "fork the worker");
		k->worker = 0;
		tell(k, &r);
		return false;
	}
	if (k->worker > 0) {
		setpgid(k->worker, k->worker);
		return false;
	}
	setpgid(0, 0);
	default_signals();
	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return true;
}

static void begin_dump(struct self *k, const struct request *r)
{
	struct worker_dump d = {
		.step = k->plan->step,
		.gen = r->gen,
		.leave = r->leave,
		.root = k->root,
		.stopped = &k->was_stopped,
		.facts = k->plan->facts,
		.before_commit = k->plan->before_commit,
		.arg = k->plan->arg,
		.store = k->plan->store,
		.listener = {tell_progress, k},
		.carry = {.cfg = k->plan->cfg,
			.private = &k->capsule.private,
			.checkpoints = k->plan->step,
			.outside = k->plan->moves,
			.tmpdir = k->tmpdir.path},
		.outside = k->plan->cfg->outside,
		.snapshot_limit = k->plan->cfg->snapshot_limit,
		.deny_io_uring = k->plan->engine.deny_io_uring,
	};

	d.store.room = r->room;
	k->leaving = r->leave;
	free(k->was_stopped.v);
	k->was_stopped = stopped_now(k);
	if (begin_worker(k))
		worker_dump(&k->plan->engine, &k->capsule, &d, k->result);
}

/*
 * A worker that was killed leaves a criu behind that might go on and stop the
 * tree: its whole process group has to be gone before the tree is let run.
 */
static void settle_failure(struct self *k)
{
	struct report r = {.type = R_DUMP_FAILED, .result = *k->result};

	if (!k->failed || !kill(-k->failed, 0) || errno != ESRCH)
		return;
	k->failed = 0;
	connections_mend(&k->capsule.network, k->root);
	if (k->leaving)
		thaw(k);
	tell(k, &r);
}

static void end_worker(struct self *k)
{
	struct report r = {.type = R_DUMPED, .result = *k->result};

	progress_forget(k->plan->step);
	if (r.result.ok) {
		tell(k, &r);
	} else {
		k->failed = k->worker;
		kill(-k->failed, SIGKILL);
	}
	k->worker = 0;
}

/* Without criu the tree would run with connections that are not mended. */
static void abort_dump(struct self *k)
{
	if (k->worker <= 0)
		return;
	if (connections_stop(&k->capsule.network, k->root))
		k->leaving = true;
	kill(-k->worker, SIGKILL);
}

static void restore(struct self *k)
{
	const struct progress_listener listener = {tell_progress, k};
	struct report r;

	k->root = restore_tree(
		k->plan, &k->capsule, &listener, &k->result->err, &r);
	progress_forget(k->plan->step);
	tell(k, &r);
}

static void reap(struct self *k)
{
	struct report r = {.type = R_EXITED};
	pid_t pid;

	while ((pid = waitpid(-1, &r.status, WNOHANG)) > 0) {
		if (pid == k->worker) {
			end_worker(k);
		} else if (pid == k->root) {
			r.root = pid;
			k->root = 0;
			k->ended = !k->killed;
			tell(k, &r);
		}
	}
	settle_failure(k);
}

/* --- requests --- */

static void pass_signal(const struct self *k, const struct request *r)
{
	if (k->root <= 0)
		return;
	if (r->group && !kill(-k->root, r->sig))
		return;
	kill(k->root, r->sig);
}

static void obey(struct self *k, const struct request *r)
{
	switch (r->type) {
	case K_START:
		start_command(k);
		break;
	case K_RESTORE:
		restore(k);
		break;
	case K_DUMP:
		begin_dump(k, r);
		break;
	case K_SIGNAL:
		pass_signal(k, r);
		break;
	case K_THAW:
		thaw(k);
		break;
	case K_KILL:
		k->killed = true;
		kill_tree(k);
		break;
	case K_ABORT:
		abort_dump(k);
		break;
	}
}

/* False when the supervisor is gone. */
static bool serve(struct self *k)
{
	struct request r;
	ssize_t n = recv(k->sock, &r, sizeof(r), 0);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n != sizeof(r))
		return false;
	obey(k, &r);
	return true;
}

static void loop(struct self *k, int signals)
{
	struct network *network = &k->capsule.network;
	struct pollfd fds[3] = {
		{.fd = k->sock, .events = POLLIN},
		{.fd = signals, .events = POLLIN},
		{.events = POLLIN},
	};
	struct signalfd_siginfo info;

	for (;;) {
		fds[2].fd = network->knock;
		if (poll(fds, LEN(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[2].revents)
			network_knocked(network);
		if (fds[1].revents && read(signals, &info, sizeof(info)) > 0)
			reap(k);
		if (fds[0].revents && !serve(k))
			return;
	}
}

/* Everything the keeper needs before it can serve. */
static int set_up(struct self *k, int *signals, struct err *err)
{
	const struct keeper_plan *p = k->plan;
	sigset_t all;

	for (int i = 0; i < 3; i++)
		if (p->std[i] != i && dup2(p->std[i], i) < 0)
			return err_set(err, errno, "dup2");
	/* The supervisor's signals are its own business. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "checkpt-keeper");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return err_set(err, errno, "become a subreaper");
	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	*signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*signals < 0)
		return err_set(err, errno, "signalfd");
	k->result = mmap(NULL, sizeof(*k->result), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k->result == MAP_FAILED)
		return err_set(err, errno, "mmap");
	if (p->capsule.isolation == ISOLATION_NONE &&
		tmpdir_begin(&k->tmpdir, p->cfg, p->step, p->manifest, p->facts,
			err))
		return -1;
	return capsule_enter(&k->capsule, p->cfg, &p->capsule, p->cwd, err);
}

/* A command that is restored has what it had. */
static bool denies_io_uring(const struct self *k)
{
	const struct keeper_plan *p = k->plan;

	if (!in_capsule(k))
		return false;
	if (p->manifest)
		return json_is_true(
			json_object_get(p->manifest, "deny_io_uring"));
	return p->cfg->io_uring == IO_URING_DENY ||
	       (p->cfg->io_uring == IO_URING_AUTO && programs_uring(p->argv));
}

_Noreturn static void keeper_main(const struct keeper_plan *plan, int sock)
{
	struct self k = {.plan = plan, .sock = sock};
	struct keeper_plan own = *plan;
	struct report r = {.type = R_READY};
	int signals = -1;

	/*
	 * If the supervisor dies without a word, so does this, and with it
	 * the capsule. Without one the end of the socket tells, and the tree
	 * is killed one by one.
	 */
	if (plan->capsule.isolation == ISOLATION_USER)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	k.plan = &own;
	if (set_up(&k, &signals, &r.result.err)) {
		r.type = R_UNABLE;
		tell(&k, &r);
		_exit(1);
	}
	own.engine.work = k.capsule.work;
	own.engine.carries_sysv = in_capsule(&k);
	own.engine.filtered = in_capsule(&k) || !own.engine.unprivileged;
	own.engine.tcp = k.capsule.network.is_private;
	own.engine.deny_io_uring = denies_io_uring(&k);
	snprintf(r.note, sizeof(r.note), "%s%s%s", k.capsule.note,
		*k.capsule.note && *k.capsule.private.note ? "; " : "",
		k.capsule.private.note);
	tell(&k, &r);
	loop(&k, signals);
	kill_tree(&k);
	capsule_leave(&k.capsule);
	if (k.ended || (k.killed && plan->moves && plan->cfg->carry))
		tmpdir_remove(&k.tmpdir);
	_exit(0);
}

/* --- the supervisor's side --- */

int keeper_start(
	struct keeper *k, const struct keeper_plan *plan, struct err *err)
{
	int sock[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock))
		return err_set(err, errno, "socketpair");
	k->isolation = plan->capsule.isolation;
	k->pid = capsule_fork(k->isolation);
	if (k->pid == 0) {
		close(sock[0]);
		keeper_main(plan, sock[1]);
	}
	close(sock[1]);
	k->sock = sock[0];
	if (k->pid > 0)
		return 0;
	err_set(err, 0,
		"cannot make a capsule: %s; 'checkpointer check' tells what "
		"is in the way and what opens it",
		errno == ENOSPC ? "user.max_user_namespaces is 0 or used up"
				: strerror(errno));
	release_fd(&k->sock);
	return -1;
}
