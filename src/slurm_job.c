/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_job.h"

#include <string.h>

#include "log.h"
#include "slurm_present.h"
#include "slurm_text.h"
#include "util.h"

/* --- submission --- */

bool slurm_error_is_transient(int num)
{
	static const int transient[] = {EAGAIN, EINTR, ECONNREFUSED, ETIMEDOUT,
		EHOSTUNREACH, ENETUNREACH, ECONNRESET, EPIPE,
#if !SLURM_SINCE(26, 5)
		ESLURM_ERROR_ON_DESC_TO_RECORD_COPY,
#endif
		ESLURM_NODES_BUSY, ESLURM_PORTS_BUSY, ESLURM_IN_STANDBY_MODE,
		SLURM_COMMUNICATIONS_CONNECTION_ERROR,
		SLURM_COMMUNICATIONS_SEND_ERROR,
		SLURM_COMMUNICATIONS_RECEIVE_ERROR,
		SLURM_COMMUNICATIONS_SHUTDOWN_ERROR,
		SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR,
		SLURMCTLD_COMMUNICATIONS_SEND_ERROR,
		SLURMCTLD_COMMUNICATIONS_RECEIVE_ERROR,
		SLURMCTLD_COMMUNICATIONS_SHUTDOWN_ERROR,
#if SLURM_SINCE(24, 11)
		SLURMCTLD_COMMUNICATIONS_BACKOFF,
#endif
		SLURM_PROTOCOL_SOCKET_IMPL_TIMEOUT,
		SLURM_PROTOCOL_SOCKET_ZERO_BYTES_SENT};

	for (size_t i = 0; i < LEN(transient); i++)
		if (transient[i] == num)
			return true;
	return false;
}

/* What to do about a refusal, where that is not plain from its text. */
static const char *advice(int num)
{
	switch (num) {
	case ESLURM_ACCESS_DENIED:
	case ESLURM_USER_ID_MISSING:
		return " (may jobs be submitted from compute nodes? see "
		       "AllocNodes in slurm.conf; or set [slurm] method = "
		       "requeue)";
	case ESLURM_ACCOUNTING_POLICY:
	case ESLURM_QOS_THRES:
		return " (a limit on submitted jobs? [slurm] method = requeue "
		       "needs no second job)";
	default:
		return "";
	}
}

/* Messages of job_submit plugins have several lines. */
static void tell_user(const char *message)
{
	auto_free char *copy = message ? xstrdup(message) : NULL;
	char *rest;

	for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; line;
		line = strtok_r(NULL, "\n", &rest))
		log_info("slurmctld: %s", line);
}

static int send_request(job_desc_msg_t *d, uint32_t *id, struct err *err)
{
	submit_response_msg_t *r = NULL;
	int num = 0;

	if (slurm_submit_batch_job(d, &r))
		num = errno ? errno : SLURM_ERROR;
	if (r) {
		tell_user(r->job_submit_user_msg);
		*id = submitted_job(r);
		slurm_free_submit_response_response_msg(r);
	}
	if (!num && *id)
		return 0;
	err_set(err, 0, "submit the next job: %s%s", slurm_strerror(num),
		advice(num));
	if (err)
		err->num = num;
	return -1;
}

static bool is_alive(const slurm_job_info_t *j)
{
	uint32_t state = j->job_state & JOB_STATE_BASE;

	return state == JOB_PENDING || state == JOB_RUNNING ||
	       state == JOB_SUSPENDED;
}

/* Is the job there already, from a try whose answer was lost? */
static uint32_t find_successor(
	const job_info_msg_t *jobs, const struct successor *s)
{
	for (uint32_t i = 0; i < jobs->record_count; i++) {
		const slurm_job_info_t *j = &jobs->job_array[i];
		unsigned leg = 0;
		auto_free char *chain = slurm_chain_in(j->comment, &leg);

		if (chain && !strcmp(chain, s->chain) && leg == s->leg &&
			is_alive(j))
			return j->job_id;
	}
	return 0;
}

static int look_for_successor(const slurm_job_info_t *now,
	const struct successor *s, uint32_t *id, struct err *err)
{
	job_info_msg_t *jobs = NULL;

	if (slurm_load_job_user(&jobs, now->user_id, SHOW_ALL)) {
		err_set(err, 0, "look for the next job: %s",
			slurm_strerror(errno));
		if (err)
			err->num = errno;
		return -1;
	}
	*id = find_successor(jobs, s);
	slurm_free_job_info_msg(jobs);
	if (*id)
		log_info("job %u was accepted before", *id);
	return 0;
}

int slurm_job_submit(const slurm_job_info_t *now, const struct successor *s,
	uint32_t *id, struct err *err)
{
	struct present p = {.info = now, .next = s};
	job_desc_msg_t d;
	int ret = -1;

	*id = 0;
	if (s->look_first && look_for_successor(now, s, id, err))
		return -1;
	if (*id)
		return 0;
	if (!present_read(&p, err)) {
		present_describe(&d, &p);
		ret = send_request(&d, id, err);
	}
	present_forget(&p);
	return ret;
}

/* --- other jobs --- */

int slurm_job_set_comment(uint32_t id, const char *comment, struct err *err)
{
	job_desc_msg_t d;

	slurm_init_job_desc_msg(&d);
	name_job(&d, id);
	d.comment = (char *)(uintptr_t)comment;
	if (slurm_update_job(&d))
		return err_set(err, 0, "set the comment of job %u: %s", id,
			slurm_strerror(errno));
	return 0;
}

static void move_dependent(
	const slurm_job_info_t *j, const char *from, const char *to)
{
	auto_free char *moved = slurm_dependency_moved(j->dependency, from, to);
	job_desc_msg_t d;

	if (!moved)
		return;
	slurm_init_job_desc_msg(&d);
	name_job(&d, j->job_id);
	d.dependency = moved;
	if (slurm_update_job(&d))
		log_warn("job %u waits for job %s, and cannot be made to wait "
			 "for job %s: %s",
			j->job_id, from, to, slurm_strerror(errno));
	else
		log_info("job %u waits for job %s now", j->job_id, to);
}

void slurm_job_move_dependents(const slurm_job_info_t *now, uint32_t id)
{
	auto_free char *from = now->array_task_id == NO_VAL
				       ? xasprintf("%u", now->job_id)
				       : xasprintf("%u_%u", now->array_job_id,
						 now->array_task_id);
	auto_free char *to = xasprintf("%u", id);
	job_info_msg_t *jobs = NULL;

	if (slurm_load_job_user(&jobs, now->user_id, SHOW_ALL)) {
		log_warn("cannot look for jobs that wait for this one: %s",
			slurm_strerror(errno));
		return;
	}
	for (uint32_t i = 0; i < jobs->record_count; i++) {
		const slurm_job_info_t *j = &jobs->job_array[i];

		if (j->dependency && j->job_id != id)
			move_dependent(j, from, to);
	}
	slurm_free_job_info_msg(jobs);
}
