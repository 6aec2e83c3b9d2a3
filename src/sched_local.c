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
static int report(char what, int status, struct err *err)
{
	const struct local_report r = {
		.what = what, .pid = report_pid, .status = status};
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
	const char *dir = getenv(LOCAL_DIR);

	report_pid = getpid();
	if (report(LOCAL_BEGIN, 0, err))
		return -1;
	job->key = key ? xstrdup(key) : local_new_name();
	job->dir = dir && *dir ? xstrdup(dir) : NULL;
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
	*why = ENDING_STOPPED;
	return 0;
}

static pid_t local_shell(void)
{
	const char *pid = getenv(LOCAL_SHELL);

	return local_reruns_script() && pid ? (pid_t)strtol(pid, NULL, 10) : 0;
}

static bool local_submit_ends_leg(const struct config *cfg)
{
	(void)cfg;
	return false;
}

static int local_submit(const struct config *cfg, const struct sched_next *next,
	char name[SCHED_NAME], struct err *err)
{
	(void)cfg;
	(void)next;
	name[0] = '\0';
	return report(LOCAL_SUBMIT, 0, err);
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

/*
 * The batch shell would go on with its next line if this process ended:
 * `checkpointer batch` ends both together.
 */
_Noreturn static void wait_for_end(void)
{
	for (;;)
		pause();
}

static int local_left(const struct sched_leaving *leaving)
{
	if (!local_reruns_script())
		return run_again(leaving->argv, leaving->chain->id);
	if (report(LOCAL_LEFT, 0, NULL))
		return 75; /* EX_TEMPFAIL */
	wait_for_end();
}

static int local_end_script(
	const struct guard *guard, int status, struct err *err)
{
	(void)guard;
	if (!local_reruns_script())
		return err_set(err, 0, "there is no script");
	if (report(LOCAL_END_SCRIPT, status, err))
		return -1;
	wait_for_end();
}

static void local_ended(void)
{
	struct err err;

	if (report(LOCAL_DONE, 0, &err))
		log_debug("%s", err.text);
}

const struct sched sched_local = {
	.name = "local",
	.here = local_here,
	.facts = local_facts,
	.shell = local_shell,
	.why = local_why,
	.submit_ends_leg = local_submit_ends_leg,
	.submit = local_submit,
	.reruns_script = local_reruns_script,
	.left = local_left,
	.end_script = local_end_script,
	.ended = local_ended,
};
