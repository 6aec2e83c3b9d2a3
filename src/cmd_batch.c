/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_batch.c - the embedded scheduler: a batch script, leg after leg */
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "cmd.h"
#include "local.h"
#include "log.h"
#include "util.h"

struct batch {
	struct invocation *in;
	const char *name; /* of the job, unique */
	const char *chain;
	unsigned leg;
	pid_t shell;
	char *dir, *fifo; /* where the steps report */
	int report;
};

/* Signals go to the script, as a scheduler's would. */
static volatile sig_atomic_t script_pid;

static void pass_on(int sig)
{
	if (script_pid > 0)
		kill(script_pid, sig);
}

/* SIGCHLD has to interrupt ppoll(2), no more. */
static void wake_up(int sig)
{
	(void)sig;
}

static void watch_signals(void)
{
	static const int passed[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};
	struct sigaction sa = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
	sigset_t child;

	for (size_t i = 0; i < LEN(passed); i++)
		sigaction(passed[i], &sa, NULL);
	sa.sa_handler = wake_up;
	sigaction(SIGCHLD, &sa, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
}

/*
 * What the command line sets is meant for the steps: "checkpoint.margin=1m"
 * reaches them as CHECKPOINTER_CHECKPOINT_MARGIN=1m.
 */
static int export_setting(const char *setting)
{
	static const char prefix[] = "environment.";
	size_t n = strcspn(setting, "=");
	auto_free char *name = NULL;

	if (!setting[n])
		return 0;
	if (!strncmp(setting, prefix, strlen(prefix))) {
		name = xstrdup(setting + strlen(prefix));
		name[n - strlen(prefix)] = '\0';
		return setenv(name, setting + n + 1, 1);
	}
	name = xasprintf("CHECKPOINTER_%.*s", (int)n, setting);
	for (char *p = name; *p; p++)
		*p = (char)(*p == '.' ? '_' : toupper((unsigned char)*p));
	return setenv(name, setting + n + 1, 1);
}

_Noreturn static void become_script(const struct batch *b)
{
	auto_free char *job = xasprintf("%s.%u", b->name, b->leg);
	auto_free char *end = xasprintf("%.3f",
		b->in->cfg.time_limit > 0 ? now_wall() + b->in->cfg.time_limit
					  : 0.);
	char *const *args = b->in->args;

	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, &b->in->mask, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setenv(LOCAL_CHAIN, b->chain, 1) || setenv(LOCAL_JOB, job, 1) ||
		setenv(LOCAL_END, end, 1) || setenv(LOCAL_REPORT, b->fifo, 1))
		_exit(EX_OSERR);
	for (size_t i = 0; i < b->in->n_sets; i++)
		if (export_setting(b->in->sets[i]))
			_exit(EX_OSERR);
	execv(args[0], args);
	log_error("cannot run %s: %s", args[0], strerror(errno));
	_exit(126);
}

/* Has the script ended? Then *status says how. */
static bool has_ended(struct batch *b, int *status)
{
	pid_t pid = b->shell ? waitpid(b->shell, status, WNOHANG) : -1;

	if (pid == b->shell)
		b->shell = script_pid = 0;
	return b->shell == 0;
}

/* One letter of a step. */
static void hear_step(int report, int *active, bool *successor)
{
	char what;

	if (read(report, &what, 1) != 1)
		return;
	*active += what == LOCAL_BEGIN;
	*active -= what == LOCAL_LEFT || what == LOCAL_DONE;
	*successor |= what == LOCAL_SUBMIT;
}

/*
 * Until the script ends, or until a successor is wanted and no step is at
 * work any more: steps that have left hold the shell at its line.
 */
static void follow(struct batch *b, int report, int *status, bool *successor)
{
	struct pollfd p = {.fd = report, .events = POLLIN};
	sigset_t waiting;
	int active = 0;

	sigprocmask(SIG_SETMASK, NULL, &waiting);
	sigdelset(&waiting, SIGCHLD);
	while (!has_ended(b, status) && (!*successor || active > 0))
		if (ppoll(&p, 1, NULL, &waiting) > 0)
			hear_step(report, &active, successor);
}

static int run_leg(struct batch *b, bool *successor)
{
	int status = 0;
	pid_t group;

	*successor = false;
	group = b->shell = fork();
	if (group == 0)
		become_script(b);
	if (group < 0) {
		log_error("fork: %s", strerror(errno));
		return EX_OSERR;
	}
	/* The child does the same: whoever comes first. */
	setpgid(group, group);
	script_pid = group;
	follow(b, b->report, &status, successor);
	/* A job ends with all its processes. */
	kill(-group, SIGKILL);
	if (b->shell)
		while (waitpid(b->shell, &status, 0) < 0 && errno == EINTR)
			;
	script_pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A FIFO in a directory of its own, which the steps find by its path. */
static int make_fifo(struct batch *b)
{
	const char *tmp = getenv("TMPDIR");

	b->dir = xasprintf("%s/checkpointer-batch-XXXXXX",
		tmp && *tmp == '/' ? tmp : "/tmp");
	if (!mkdtemp(b->dir)) {
		log_error("cannot make %s: %s", b->dir, strerror(errno));
		return EX_CANTCREAT;
	}
	b->fifo = xasprintf("%s/steps", b->dir);
	/* Open for writing too: it never ends while this process lives. */
	if (!mkfifo(b->fifo, 0600))
		b->report = open(b->fifo, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (b->report < 0) {
		log_error("cannot make %s: %s", b->fifo, strerror(errno));
		return EX_CANTCREAT;
	}
	return 0;
}

static void remove_fifo(struct batch *b)
{
	release_fd(&b->report);
	if (b->fifo)
		unlink(b->fifo);
	if (b->dir)
		rmdir(b->dir);
	free(b->fifo);
	free(b->dir);
}

static int check_script(const char *path)
{
	struct stat st;

	if (!path) {
		log_error("batch takes a script: checkpointer batch "
			  "--time-limit=1h SCRIPT");
		return EX_USAGE;
	}
	if (stat(path, &st)) {
		log_error("%s: %s", path, strerror(errno));
		return EX_NOINPUT;
	}
	if (!S_ISREG(st.st_mode) || access(path, X_OK)) {
		log_error("%s is not an executable file: chmod +x %s", path,
			path);
		return EX_NOINPUT;
	}
	return 0;
}

int cmd_batch(struct invocation *in)
{
	auto_free char *name = local_new_name();
	const char *given = in->chain ? in->chain : getenv(LOCAL_CHAIN);
	struct batch b = {
		.in = in,
		.name = name,
		.chain = given ? given : name,
		.report = -1,
	};
	bool successor = true;
	int ret = check_script(in->args[0]), status = 0;

	if (ret)
		return ret;
	watch_signals();
	ret = make_fifo(&b);
	while (!ret && successor) {
		b.leg++;
		log_info("%s: leg %u begins", b.chain, b.leg);
		status = run_leg(&b, &successor);
	}
	remove_fifo(&b);
	return ret ? ret : status;
}
