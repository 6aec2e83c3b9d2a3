/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_job.h - the same job once more, submitted through libslurm */
#ifndef SLURM_JOB_H
#define SLURM_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "slurm_compat.h"

struct successor {
	const char *chain;
	unsigned leg;        /* of the successor */
	const char *exclude; /* nodes that must not be used, or NULL */
	bool comment;        /* show chain and leg in its comment */
	bool look_first;     /* an earlier try may have been accepted */
};

/* Set in the successor's environment, to the chain's name. */
#define SUCCESSOR_OF "CHECKPOINTER_SUCCESSOR_OF"

/*
 * Submit a job like the one that this process belongs to, of which slurmctld
 * has told *now. It starts when that one has ended. What slurmctld does not
 * tell comes from the batch shell (environment, limits, arguments) and from
 * the options that the job was submitted with; nothing is kept from leg to
 * leg. docs/slurm-notes.md says what differs. Blocks, up to minutes.
 *
 * 0 with *id only when the job is accepted for certain. Else -1, err->num an
 * error of slurm_errno.h: see slurm_error_is_transient().
 */
int slurm_job_submit(const slurm_job_info_t *now, const struct successor *s,
	uint32_t *id, struct err *err);

/* Was there no answer, or one that says: later? */
bool slurm_error_is_transient(int num);

/*
 * Let the user's jobs that wait for job *now wait for job id instead. Warns of
 * what cannot be moved.
 */
void slurm_job_move_dependents(const slurm_job_info_t *now, uint32_t id);

/* Set the comment of a job of this user. */
int slurm_job_set_comment(uint32_t id, const char *comment, struct err *err);

#endif
