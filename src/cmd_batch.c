/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_batch.c - the embedded scheduler: a batch script, leg after leg */
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
#include "sched.h"
#include "unrunnable.h"
#include "util.h"

struct batch {
	struct invocation *in;
	const char *name; /* of the job, unique */
	const char *chain;
	unsigned leg;
	pid_t shell;
	char *dir, *fifo; /* where the steps report */
	int report;
	pid_t step[64]; /* supervisors that are at work */
	size_t n_steps;
	bool successor; /* a step wants one */
	bool stopping;  /* asked to end: no successor, the steps stop */
	bool ended;     /* a step was the whole script, and ends it */
	int status;     /* then the script's, as of waitpid(2) */
};

static const int passed[] = {
	SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};

/* Set by the handler, which runs only while ppoll(2) waits. */
static volatile sig_atomic_t caught[NSIG];

static void on_signal(int sig)
{
	caught[sig] = 1;
}

static void watch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t all;

	sigemptyset(&all);
	for (size_t i = 0; i < LEN(passed); i++) {
		sigaction(passed[i], &sa, NULL);
		sigaddset(&all, passed[i]);
	}
	sigaction(SIGCHLD, &sa, NULL);
	sigaddset(&all, SIGCHLD);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

_Noreturn static void become_script(const struct batch *b)
{
	auto_free char *job = xasprintf("%s.%u", b->name, b->leg);
	auto_free char *end = xasprintf("%.3f",
		b->in->cfg.time_limit > 0 ? now_wall() + b->in->cfg.time_limit
					  : 0.);
	auto_free char *self = xasprintf("%d", (int)getpid());
	auto_free char *cwd = getcwd(NULL, 0);
	char *const *args = b->in->args;
	struct err err;

	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, &b->in->mask, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setenv(LOCAL_CHAIN, b->chain, 1) || setenv(LOCAL_JOB, job, 1) ||
		setenv(LOCAL_END, end, 1) || setenv(LOCAL_REPORT, b->fifo, 1) ||
		setenv(LOCAL_SHELL, self, 1) ||
		setenv(LOCAL_DIR, cwd ? cwd : "", 1))
		_exit(EX_OSERR);
	/* What the command line sets is meant for the steps. */
	if (config_export((const char *const *)b->in->sets, b->in->n_sets))
		_exit(EX_OSERR);
	execv(args[0], args);
	unrunnable(args[0], errno, &err);
	log_error("%s", err.text);
	_exit(126);
}

/* Has the script ended? Then *status says how. */
static bool has_ended(struct batch *b, int *status)
{
	pid_t pid = b->shell ? waitpid(b->shell, status, WNOHANG) : -1;

	if (pid > 0 && pid == b->shell)
		b->shell = 0;
	return b->shell == 0;
}

static void forget_step(struct batch *b, pid_t pid)
{
	for (size_t i = 0; i < b->n_steps; i++)
		if (b->step[i] == pid)
			b->step[i--] = b->step[--b->n_steps];
}

static void hear_step(struct batch *b)
{
	struct local_report r;

	if (read(b->report, &r, sizeof(r)) != sizeof(r))
		return;
	switch (r.what) {
	case LOCAL_BEGIN:
		if (b->n_steps < LEN(b->step))
			b->step[b->n_steps++] = r.pid;
		break;
	case LOCAL_SUBMIT:
		b->successor = true;
		break;
	case LOCAL_END_SCRIPT:
		b->ended = true;
		b->status = r.status;
		break;
	default:
		forget_step(b, r.pid);
		break;
	}
}

/*
 * A shell would die of the signal, and its steps without a checkpoint with it:
 * the steps get it, and only where there are none the script.
 */
static void pass_on(struct batch *b)
{
	for (size_t i = 0; i < LEN(passed); i++) {
		int sig = passed[i];

		if (!caught[sig])
			continue;
		caught[sig] = 0;
		b->stopping |= sig == SIGTERM && b->n_steps > 0;
		for (size_t j = 0; j < b->n_steps; j++)
			kill(b->step[j], sig);
		if (!b->n_steps && b->shell)
			kill(b->shell, sig);
	}
}

/*
 * Until the script ends, or until it is to be ended and no step is at work any
 * more: steps that have left hold the shell at its line.
 */
static void follow(struct batch *b, int *status)
{
	struct pollfd p = {.fd = b->report, .events = POLLIN};

	while (!b->ended && !has_ended(b, status) &&
		(!(b->successor || b->stopping) || b->n_steps > 0)) {
		if (ppoll(&p, 1, NULL, &b->in->mask) > 0)
			hear_step(b);
		pass_on(b);
	}
}

static int run_leg(struct batch *b)
{
	int status = 0;
	pid_t group;

	b->successor = false;
	b->n_steps = 0;
	group = b->shell = fork();
	if (group == 0)
		become_script(b);
	if (group < 0) {
		log_error("fork: %s", strerror(errno));
		return EX_OSERR;
	}
	/* The child does the same: whoever comes first. */
	setpgid(group, group);
	follow(b, &status);
	/* A job ends with all its processes. */
	kill(-group, SIGKILL);
	if (b->shell)
		while (waitpid(b->shell, &status, 0) < 0 && errno == EINTR)
			;
	if (b->ended)
		status = b->status;
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

static int run_legs(struct batch *b)
{
	int status;

	do {
		b->leg++;
		log_info("%s: leg %u begins", b->chain, b->leg);
		status = run_leg(b);
	} while (b->successor && !b->stopping);
	if (!b->stopping)
		return status;
	log_info("stopped; continue with: checkpointer batch --chain=%s %s",
		b->chain, b->in->args[0]);
	return EX_TEMPFAIL;
}

const char cmd_batch_help[] =
	"Usage: checkpointer [OPTION]... batch SCRIPT [ARG]...\n"
	"\n"
	"Run an executable batch script with any number of lines of the form\n"
	"`checkpointer -- PROGRAM', leg after leg, as Slurm would: in each leg from its\n"
	"top. Steps that have finished are passed over, the one that was interrupted\n"
	"continues, and anything else that is in the script runs again.\n"
	"\n"
	"  -t, --time-limit=TIME  length of a leg\n"
	"  -m, --margin=TIME      how long before its end the last checkpoint begins\n"
	"  -c, --chain=NAME       name of the chain; the same one continues it\n"
	"  -h, --help             print this, if in front of SCRIPT\n"
	"\n"
	"Example:\n"
	"  checkpointer -t 1h -c fit batch ./job.sh\n";

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
	int ret = check_script(in->args[0]), status = 0;
	char missing[512];

	if (ret)
		return ret;
	if (sched_is_missing(missing, sizeof(missing)))
		log_warn("%s", missing);
	watch_signals();
	ret = make_fifo(&b);
	if (!ret)
		status = run_legs(&b);
	remove_fifo(&b);
	return ret ? ret : status;
}
