/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sched.h"

#include "util.h"

static const struct sched *const all[] = {
#ifdef HAVE_SLURM
	&sched_slurm,
#endif
	&sched_local,
};

const struct sched *sched_find(void)
{
	for (size_t i = 0; i + 1 < LEN(all); i++)
		if (all[i]->here())
			return all[i];
	return &sched_local;
}

const struct sched *sched_check(const struct config *cfg, struct findings *f)
{
	for (size_t i = 0; i < LEN(all); i++)
		if (all[i]->check && all[i]->check(cfg, f))
			return all[i];
	return &sched_local;
}

void sched_job_free(struct sched_job *job)
{
	free(job->output[0]);
	free(job->output[1]);
	job->output[0] = job->output[1] = NULL;
	free(job->key);
	free(job->chain);
	free(job->dir);
	job->key = job->chain = job->dir = NULL;
}
