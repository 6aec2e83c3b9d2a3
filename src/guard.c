/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "proc.h"
#include "shell.h"
#include "util.h"

/* Its name in /proc/PID/comm, and where its pipe is. */
#define NAME      "checkpt-guard"
#define PIPE_READ 3
#define PIPE      4
#define READY     5

#define MAX_STEPS 64

/* What goes through the pipe, in one write(2) each. */
struct message {
	bool end; /* end the shell with status; else pid is a new step */
	pid_t pid;
	int status; /* as of waitpid(2) */
};

struct self {
	const struct config *cfg;
	pid_t shell;
	int signals; /* signalfd(2) of SIGCHLD */
	int held;    /* the signal that the shell is stopped at, or 0 */
	pid_t step[MAX_STEPS];
	int step_fd[MAX_STEPS]; /* pidfd_open(2) */
	nfds_t n_steps;
};

static int open_process(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* --- the guard's own side --- */

static void add_step(struct self *s, pid_t pid)
{
	int fd = s->n_steps < MAX_STEPS ? open_process(pid) : -1;

	if (fd < 0)
		return;
	s->step[s->n_steps] = pid;
	s->step_fd[s->n_steps++] = fd;
}

static void drop_step(struct self *s, nfds_t i)
{
	close(s->step_fd[i]);
	s->n_steps--;
	s->step[i] = s->step[s->n_steps];
	s->step_fd[i] = s->step_fd[s->n_steps];
}

static void tell_steps(const struct self *s, int sig)
{
	for (nfds_t i = 0; i < s->n_steps; i++)
		syscall(SYS_pidfd_send_signal, s->step_fd[i], sig, NULL, 0);
}

static bool is_caught(uint64_t caught, int sig)
{
	return caught >> (sig - 1) & 1;
}

/*
 * Has the script a trap for this signal? With one for EXIT bash catches all
 * signals that would end it, to run that trap and end then; there are some
 * among them that nobody has another trap for.
 */
static bool has_trap(pid_t pid, int sig)
{
	uint64_t caught = proc_caught(pid);
	bool ends = is_caught(caught, SIGVTALRM) &&
		    is_caught(caught, SIGXFSZ) && is_caught(caught, SIGSYS);

	return is_caught(caught, sig) && !ends;
}

static bool means_checkpoint(const struct self *s, int sig)
{
	return sigismember(&s->cfg->checkpoint, sig) == 1 ||
	       sigismember(&s->cfg->save, sig) == 1;
}

/* What is to become of a signal on its way to the shell. */
static void at_signal(struct self *s, const siginfo_t *info)
{
	int sig = info->si_signo;
	/* To a step that has taken the shell's place by exec. */
	bool own = info->si_code <= 0 && info->si_pid == getpid();

	if (!own && means_checkpoint(s, sig)) {
		tell_steps(s, sig);
		shell_pass(s->shell, has_trap(s->shell, sig) ? sig : 0, NULL);
	} else if (!own && s->n_steps > 0 &&
		   sigismember(&s->cfg->terminate, sig) == 1) {
		tell_steps(s, sig);
		s->held = sig;
	} else {
		shell_pass(s->shell, sig, NULL);
	}
}

/* False when the shell is gone. */
static bool watch_shell(struct self *s)
{
	struct signalfd_siginfo drain;
	siginfo_t info;

	if (read(s->signals, &drain, sizeof(drain)) < 0 && errno != EAGAIN)
		return false;
	/* While it is held there is nothing to come but its end. */
	for (;;)
		switch (shell_next(s->shell, &info)) {
		case SHELL_NOTHING:
			return true;
		case SHELL_GONE:
			return false;
		case SHELL_SIGNAL:
			at_signal(s, &info);
			break;
		}
}

static void end_shell(struct self *s, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status)
				     : 128 + WTERMSIG(status);

	if (WIFSIGNALED(status) &&
		!is_caught(proc_caught(s->shell), WTERMSIG(status))) {
		kill(s->shell, WTERMSIG(status));
		if (s->held)
			shell_pass(s->shell, 0, NULL);
	} else {
		shell_exit(s->shell, code, s->held != 0, NULL);
	}
	s->held = 0;
}

static void hear(struct self *s)
{
	struct message m;

	if (read(PIPE_READ, &m, sizeof(m)) != sizeof(m))
		return;
	if (m.end)
		end_shell(s, m.status);
	else
		add_step(s, m.pid);
}

static void serve(struct self *s)
{
	struct pollfd fds[2 + MAX_STEPS] = {
		{.fd = s->signals, .events = POLLIN},
		{.fd = PIPE_READ, .events = POLLIN},
	};
	nfds_t n;

	while (watch_shell(s)) {
		for (nfds_t i = 0; i < s->n_steps; i++)
			fds[2 + i] = (struct pollfd){
				.fd = s->step_fd[i], .events = POLLIN};
		n = s->n_steps;
		if (poll(fds, 2 + n, -1) < 0 && errno != EINTR)
			return;
		for (nfds_t i = n; i-- > 0;)
			if (fds[2 + i].revents)
				drop_step(s, i);
		if (fds[1].revents)
			hear(s);
		if (s->held && !s->n_steps) {
			shell_pass(s->shell, s->held, NULL);
			s->held = 0;
		}
	}
}

/* Only these stay open, in this order from 0; the rest would outlive others. */
static int keep_only(const int fds[], int n)
{
	int high[READY + 1];

	/* First above the places that they are to take. */
	for (int i = 0; i < n; i++) {
		high[i] = fcntl(fds[i], F_DUPFD, READY + 1);
		if (high[i] < 0)
			return -1;
	}
	for (int i = 0; i < n; i++)
		if (dup2(high[i], i) < 0)
			return -1;
	return (int)syscall(SYS_close_range, n, ~0U, 0);
}

static void set_up(struct self *s, const int fds[2], int ready, struct err *err)
{
	const int null = open("/dev/null", O_RDWR);
	const int kept[] = {null, null, null, fds[0], fds[1], ready};
	sigset_t set;

	prctl(PR_SET_NAME, NAME);
	setsid();
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (null < 0 || chdir("/") || keep_only(kept, LEN(kept)))
		err_set(err, errno, "set up the guard of the batch shell");
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		err_set(err, errno, "signalfd");
}

_Noreturn static void guard_main(
	const struct config *cfg, pid_t shell, const int fds[2], int ready)
{
	struct self s = {.cfg = cfg, .shell = shell};
	struct err err = {0};
	bool told;

	set_up(&s, fds, ready, &err);
	if (!err.text[0])
		shell_seize(shell, &err);
	/* The step that waits for this finds the pipe then. */
	told = write(READY, &err, sizeof(err)) == sizeof(err);
	close(READY);
	if (told && !err.text[0])
		serve(&s);
	_exit(0);
}

/* --- the steps' side --- */

/* The tracer of a process, 0 if it has none. */
static pid_t tracer_of(pid_t pid)
{
	auto_free char *path = xasprintf("/proc/%d/status", (int)pid);
	auto_free char *text =
		read_file_at(AT_FDCWD, path, 1U << 16, NULL, NULL);
	const char *at = text ? strstr(text, "\nTracerPid:") : NULL;

	return at ? (pid_t)strtol(at + 11, NULL, 10) : 0;
}

/* A guard of one's own, and no debugger? */
static bool is_guard(pid_t pid)
{
	auto_free char *path = xasprintf("/proc/%d", (int)pid);
	struct proc_stat p;
	struct stat st;

	return proc_stat(pid, &p) && !strcmp(p.comm, NAME) &&
	       !stat(path, &st) && st.st_uid == geteuid();
}

static int find_guard(struct guard *g)
{
	pid_t tracer = tracer_of(g->shell);
	auto_free char *path = xasprintf("/proc/%d/fd/%d", (int)tracer, PIPE);

	if (tracer <= 0 || !is_guard(tracer))
		return -1;
	g->pipe = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (g->pipe < 0)
		return -1;
	g->pid = tracer;
	return 0;
}

/*
 * Forked twice: it belongs to the job and to none of the steps, none of which
 * is to end it or to wait for it.
 */
static int fork_guard(
	const struct guard *g, const struct config *cfg, const int ready[2])
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		pid = fork();
		if (pid == 0)
			guard_main(cfg, g->shell, fds, ready[1]);
		_exit(pid < 0);
	}
	close(fds[0]);
	close(fds[1]);
	if (pid < 0)
		return -1;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

static int start_guard(
	const struct guard *g, const struct config *cfg, struct err *err)
{
	int ready[2], ret = -1;
	struct err said;

	if (pipe2(ready, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	if (fork_guard(g, cfg, ready))
		err_set(err, errno, "start the guard of the batch shell");
	else
		ret = 0;
	close(ready[1]);
	if (!ret && read(ready[0], &said, sizeof(said)) != sizeof(said))
		ret = err_set(err, 0, "the guard of the batch shell has died");
	close(ready[0]);
	if (ret || !said.text[0])
		return ret;
	if (err)
		*err = said;
	return -1;
}

static int tell(const struct guard *g, const struct message *m, struct err *err)
{
	/* Less than PIPE_BUF: whole, and beside no other's. */
	if (write_all(g->pipe, m, sizeof(*m)))
		return err_set(err, errno, "tell the guard of the batch shell");
	return 0;
}

int guard_join(
	struct guard *g, pid_t shell, const struct config *cfg, struct err *err)
{
	struct message m = {.pid = getpid()};

	*g = (struct guard){.shell = shell, .pipe = -1};
	if (shell == getpid())
		g->shell = 0;
	if (!g->shell)
		return 0;
	/* If another step starts one at the same time, theirs is as good. */
	if (find_guard(g) && start_guard(g, cfg, err) && find_guard(g))
		return -1;
	if (!g->pid && find_guard(g))
		return err_set(err, 0, "the guard of the batch shell is gone");
	return tell(g, &m, err);
}

int guard_end_shell(const struct guard *g, int status, struct err *err)
{
	struct message m = {.end = true, .status = status};
	struct pollfd p = {.events = POLLIN};
	int ret;

	p.fd = open_process(g->shell);
	if (p.fd < 0)
		return errno == ESRCH ? 0 : err_set(err, errno, "pidfd_open");
	ret = tell(g, &m, err);
	while (!ret && poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	close(p.fd);
	return ret;
}

void guard_forget(struct guard *g)
{
	release_fd(&g->pipe);
	g->pid = 0;
}
