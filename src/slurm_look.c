/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_look.h"

#include <string.h>

#include "slurm_check.h"
#include "slurm_compat.h"
#include "util.h"

/* --- words --- */

static const char *state_word(uint32_t state)
{
	static const char *const words[] = {
		[JOB_PENDING] = "pending",
		[JOB_RUNNING] = "running",
		[JOB_SUSPENDED] = "suspended",
		[JOB_COMPLETE] = "completed",
		[JOB_CANCELLED] = "cancelled",
		[JOB_FAILED] = "failed",
		[JOB_TIMEOUT] = "timed out",
		[JOB_NODE_FAIL] = "node failed",
		[JOB_PREEMPTED] = "preempted",
		[JOB_BOOT_FAIL] = "boot failed",
		[JOB_DEADLINE] = "past its deadline",
		[JOB_OOM] = "out of memory",
	};
	uint32_t base = state & JOB_STATE_BASE;

	if (base >= LEN(words) || !words[base])
		return "unknown";
	return words[base];
}

/* What most jobs wait for; Slurm has some two hundred reasons. */
static const char *reason_word(const slurm_job_info_t *job)
{
	static const struct {
		int reason;
		const char *word;
	} known[] = {
		{WAIT_PRIORITY, "others come first"},
		{WAIT_RESOURCES, "the nodes are busy"},
		{WAIT_DEPENDENCY, "another job must end first"},
		{WAIT_TIME, "its begin time has not come"},
		{WAIT_HELD, "it is held by an administrator"},
		{WAIT_HELD_USER, "it is held by its user"},
		{WAIT_RESERVATION, "its reservation has not begun"},
		{WAIT_LICENSES, "licenses are in use"},
		{WAIT_PART_DOWN, "its partition is down"},
	};

	for (size_t i = 0; i < LEN(known); i++)
		if ((int)job->state_reason == known[i].reason)
			return known[i].word;
	return job->state_desc ? job->state_desc : "";
}

/* --- looking --- */

static bool in_future(double t)
{
	return t > 0 && t < NO_VAL && t > now_wall();
}

static void describe(const slurm_job_info_t *job, struct sched_seen *seen)
{
	uint32_t base = job->job_state & JOB_STATE_BASE;

	*seen = (struct sched_seen){
		.waits = base == JOB_PENDING,
		.runs = base == JOB_RUNNING || base == JOB_SUSPENDED,
	};
	snprintf(seen->state, sizeof(seen->state), "%s",
		job->job_state & JOB_COMPLETING ? "completing"
						: state_word(job->job_state));
	if (seen->waits)
		snprintf(seen->why, sizeof(seen->why), "%s", reason_word(job));
	if (job->nodes)
		snprintf(seen->nodes, sizeof(seen->nodes), "%s", job->nodes);
	if (seen->runs || in_future((double)job->start_time))
		seen->start = (double)job->start_time;
	if (seen->runs && in_future((double)job->end_time))
		seen->end = (double)job->end_time;
}

static int failed(struct err *err, int num, const char *what, const char *id)
{
	return err_set(err, 0, "%s job %s: %s", what, id, slurm_strerror(num));
}

static int begin(const char *id, struct err *err)
{
	if (!slurm_is_set_up())
		return err_set(err, 0,
			"Slurm cannot be asked for job %s from this machine",
			id);
	slurm_init(NULL);
	return 0;
}

int slurm_look(const char *id, struct sched_seen *seen, struct err *err)
{
	uint32_t number = (uint32_t)strtoul(id, NULL, 10);
	job_info_msg_t *msg = NULL;
	int ret = -1;

	if (begin(id, err))
		return -1;
	if (slurm_load_job(&msg, job_name(number), SHOW_DETAIL))
		return failed(err, errno, "ask slurmctld for", id);
	/* For an array there is one record for every task. */
	for (uint32_t i = 0; i < msg->record_count && ret; i++)
		if (msg->job_array[i].job_id == number) {
			describe(&msg->job_array[i], seen);
			ret = 0;
		}
	slurm_free_job_info_msg(msg);
	return ret ? err_set(err, 0, "slurmctld does not know job %s", id) : 0;
}

/* As `scancel --batch --signal=SIG ID' does. */
int slurm_signal(const char *id, int sig, struct err *err)
{
	if (begin(id, err))
		return -1;
	if (slurm_kill_job2(id, (uint16_t)sig, KILL_JOB_BATCH, NULL))
		return failed(err, errno, "send a signal to", id);
	return 0;
}
