/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched_local.c - the embedded scheduler, for a host without Slurm */
#include "sched.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "local.h"
#include "log.h"
#include "util.h"

static bool local_here(void)
{
	return true;
}

char *local_new_name(void)
{
	char host[64] = "host", when[32];
	time_t now = time(NULL);
	struct tm tm;

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &tm);
	return xasprintf("local-%s-%s-%d", host, when, (int)getpid());
}

/* Is this step part of a script that `checkpointer batch` runs? */
static bool local_reruns_script(void)
{
	return getenv(LOCAL_REPORT) != NULL;
}

/* Of the supervisor; submit() is called in a helper. */
static pid_t report_pid;

/* Tell `checkpointer batch`. Without one there is nobody to tell. */
static int report(char what, struct err *err)
{
	const struct local_report r = {.what = what, .pid = report_pid};
	const char *path = getenv(LOCAL_REPORT);
	auto_close int fd = -1;
	struct stat st;

	if (!path)
		return 0;
	/* Fails at once if nobody listens any more. */
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return err_set(
			err, errno, "tell the batch job through %s", path);
	if (!S_ISFIFO(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, 0, "%s is not a FIFO of yours", path);
	if (write_all(fd, &r, sizeof(r)))
		return err_set(err, errno, "tell the batch job");
	return 0;
}

static int local_facts(
	const struct config *cfg, struct sched_job *job, struct err *err)
{
	const char *key = getenv(LOCAL_JOB), *end = getenv(LOCAL_END);

	report_pid = getpid();
	if (report(LOCAL_BEGIN, err))
		return -1;
	job->key = key ? xstrdup(key) : local_new_name();
	job->limit = cfg->time_limit;
	job->end = end                   ? strtod(end, NULL)
		   : cfg->time_limit > 0 ? now_wall() + cfg->time_limit
					 : 0;
	return 0;
}

/* Nothing but a person ends a local job before its time. */
static int local_why(
	const struct config *cfg, enum ending *why, struct err *err)
{
	(void)cfg;
	(void)err;
	*why = ENDING_CANCELLED;
	return 0;
}

static int local_submit(
	const struct config *cfg, const char *chain, struct err *err)
{
	(void)cfg;
	(void)chain;
	return report(LOCAL_SUBMIT, err);
}

static int run_again(char *const argv[], const char *chain)
{
	auto_free char *key = local_new_name();
	auto_free char *leg = xasprintf("%s-%.0f", key, now_mono() * 1000);
	sigset_t all;

	/* A signal that comes between the legs waits for the next one. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (setenv(LOCAL_CHAIN, chain, 1) || setenv(LOCAL_JOB, leg, 1) ||
		unsetenv(LOCAL_END))
		log_error("cannot set the environment: %s", strerror(errno));
	else
		execv("/proc/self/exe", argv);
	log_error("cannot start the next leg: %s", strerror(errno));
	return 71; /* EX_OSERR */
}

static int local_left(char *const argv[], const char *chain)
{
	if (!local_reruns_script())
		return run_again(argv, chain);
	/*
	 * The batch shell would go on with its next line if this process
	 * ended: `checkpointer batch` ends both together.
	 */
	if (report(LOCAL_LEFT, NULL))
		return 75; /* EX_TEMPFAIL */
	for (;;)
		pause();
}

static void local_ended(void)
{
	struct err err;

	if (report(LOCAL_DONE, &err))
		log_debug("%s", err.text);
}

const struct sched sched_local = {
	.name = "local",
	.here = local_here,
	.facts = local_facts,
	.why = local_why,
	.submit = local_submit,
	.reruns_script = local_reruns_script,
	.left = local_left,
	.ended = local_ended,
};
