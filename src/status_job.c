/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status_job.h"

#include <string.h>

#include "chain.h"
#include "sched.h"
#include "status.h"
#include "status_parts.h"
#include "util.h"

/* Seconds for which an answer of the scheduler is good enough. */
#define ASK_EVERY 30

/* What the scheduler has said last. */
struct answer {
	char job[32];
	double at; /* by now_mono() */
	int failed;
	struct sched_seen seen;
	struct err err;
};

/* It is no failure if the scheduler is away. */
static const struct answer *ask(const json_t *status, const char *job)
{
	static struct answer a;

	if (!strcmp(a.job, job) && now_mono() < a.at + ASK_EVERY)
		return &a;
	snprintf(a.job, sizeof(a.job), "%s", job);
	a.failed = sched_look(sched_named(text_of(status, "scheduler")), job,
		&a.seen, &a.err);
	a.at = now_mono();
	return &a;
}

void status_job_add_successor(json_t *status)
{
	json_t *next = json_object_get(status, "successor");
	const char *job = text_of(next, "job");
	const struct answer *a;

	if (!*job || !is_state(status, "resubmitted"))
		return;
	a = ask(status, job);
	if (a->failed) {
		json_object_set_new(next, "error", chain_string(a->err.text));
		return;
	}
	json_object_set_new(next, "state", json_string(a->seen.state));
	json_object_set_new(
		next, "over", json_boolean(!a->seen.runs && !a->seen.waits));
	if (a->seen.why[0])
		json_object_set_new(next, "why", chain_string(a->seen.why));
	if (a->seen.start > 0)
		json_object_set_new(next, "start", json_real(a->seen.start));
}

bool status_job_runs_elsewhere(const json_t *status)
{
	const char *job = text_of(status, "job");
	const struct answer *a;

	if (!is_state(status, "died") || !*job ||
		status_is_here(text_of(status, "host")))
		return false;
	a = ask(status, job);
	return !a->failed && a->seen.runs;
}
