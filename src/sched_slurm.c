/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched_slurm.c - Slurm; the only file that sees its types */
#include "sched.h"

#include <signal.h>
#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>
#include <string.h>
#include <sys/wait.h>

#include "log.h"
#include "util.h"

/*
 * The successor of a job is the same job, requeued: Slurm itself keeps every
 * parameter, the id, the dependents and the place in an array. The batch
 * script runs again from its top, and its steps find their generations.
 */

/* From 26.05 on a job is named by a step id, see slurm.h. */
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(26, 5, 0)
static slurm_step_id_t job_name(uint32_t id)
{
	slurm_step_id_t s = SLURM_STEP_ID_INITIALIZER;

	s.job_id = id;
	return s;
}
#else
static uint32_t job_name(uint32_t id)
{
	return id;
}
#endif

static uint32_t own_id(void)
{
	const char *text = getenv("SLURM_JOB_ID");

	return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* Only in a batch job is there a script that can run again. */
static bool slurm_here(void)
{
	return own_id() && getenv("SLURM_JOB_NAME") && getenv("SLURM_JOBID") &&
	       !getenv("CHECKPOINTER_LOCAL_JOB");
}

/* Call use(job, arg) with what the controller knows of this job. */
static int ask_controller(void (*use)(const slurm_job_info_t *, void *),
	void *arg, struct err *err)
{
	job_info_msg_t *msg = NULL;
	bool found = false;

	slurm_init(NULL);
	if (slurm_load_job(&msg, job_name(own_id()), 0))
		return err_set(err, 0, "ask slurmctld for job %u: %s", own_id(),
			slurm_strerror(errno));
	/* For an array there is one record for every task. */
	for (uint32_t i = 0; i < msg->record_count && !found; i++)
		if (msg->job_array[i].job_id == own_id()) {
			use(&msg->job_array[i], arg);
			found = true;
		}
	slurm_free_job_info_msg(msg);
	return found ? 0
		     : err_set(err, 0, "slurmctld does not know job %u",
			       own_id());
}

static void use_facts(const slurm_job_info_t *info, void *arg)
{
	struct sched_job *job = arg;

	if (info->end_time > 0)
		job->end = (double)info->end_time;
	if (info->end_time > info->start_time && info->start_time > 0)
		job->limit = (double)(info->end_time - info->start_time);
	job->key = xasprintf("slurm-%u.%u", own_id(), info->restart_cnt);
}

static int slurm_facts(
	const struct config *cfg, struct sched_job *job, struct err *err)
{
	const char *cluster = getenv("SLURM_CLUSTER_NAME");

	(void)cfg;
	if (ask_controller(use_facts, job, err))
		return -1;
	job->chain = xasprintf(
		"%s-%u", cluster && *cluster ? cluster : "slurm", own_id());
	return 0;
}

static void use_why(const slurm_job_info_t *info, void *arg)
{
	enum ending *why = arg;
	uint32_t state = info->job_state & JOB_STATE_BASE;

	if (info->preempt_time > 0 || state == JOB_PREEMPTED)
		*why = ENDING_PREEMPTED;
	else if (state == JOB_TIMEOUT || info->end_time <= time(NULL) + 60)
		*why = ENDING_LIMIT;
	else
		*why = ENDING_CANCELLED;
	if (info->job_state & JOB_REQUEUE)
		*why = ENDING_REQUEUED;
	if (state == JOB_CANCELLED)
		*why = ENDING_CANCELLED;
}

static int slurm_why(
	const struct config *cfg, enum ending *why, struct err *err)
{
	(void)cfg;
	return ask_controller(use_why, why, err);
}

static int slurm_submit(
	const struct config *cfg, const char *chain, struct err *err)
{
	(void)cfg;
	(void)chain;
	slurm_init(NULL);
	if (!slurm_requeue(job_name(own_id()), 0))
		return 0;
	if (errno == ESLURM_DISABLED)
		return err_set(err, 0,
			"requeue job %u: it may not be requeued (submit it "
			"with sbatch --requeue)",
			own_id());
	return err_set(
		err, 0, "requeue job %u: %s", own_id(), slurm_strerror(errno));
}

static bool slurm_reruns_script(void)
{
	return true;
}

/* slurmd ends the whole job now; the script must not go on meanwhile. */
static int slurm_left(char *const argv[], const char *chain)
{
	sigset_t all;

	(void)argv;
	(void)chain;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	while (pause() < 0)
		;
	return 0;
}

static void slurm_ended(void)
{
}

const struct sched sched_slurm = {
	.name = "slurm",
	.here = slurm_here,
	.facts = slurm_facts,
	.why = slurm_why,
	.submit = slurm_submit,
	.reruns_script = slurm_reruns_script,
	.left = slurm_left,
	.ended = slurm_ended,
};
