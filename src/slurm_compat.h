/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_compat.h - what differs between the releases of libslurm */
#ifndef SLURM_COMPAT_H
#define SLURM_COMPAT_H

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>

#define SLURM_SINCE(major, minor)                                              \
	(SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(major, minor, 0))

/* From 26.05 on, functions take a step id where they took a job's number. */
#if SLURM_SINCE(26, 5)
static inline slurm_step_id_t job_name(uint32_t id)
{
	slurm_step_id_t s = SLURM_STEP_ID_INITIALIZER;

	s.job_id = id;
	return s;
}
#else
static inline uint32_t job_name(uint32_t id)
{
	return id;
}
#endif

/* Which job an update is about. */
static inline void name_job(job_desc_msg_t *d, uint32_t id)
{
#if SLURM_SINCE(25, 11)
	d->step_id.job_id = id;
#else
	d->job_id = id;
#endif
}

static inline uint32_t submitted_job(const submit_response_msg_t *r)
{
#if SLURM_SINCE(25, 11)
	return r->step_id.job_id;
#else
	return r->job_id;
#endif
}

#endif
