/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_env.h - the environment of a job's successor */
#ifndef SLURM_ENV_H
#define SLURM_ENV_H

#include <sys/resource.h>
#include <sys/types.h>

#include "err.h"

/*
 * sbatch hands these to slurmd in the environment, and slurmstepd takes them
 * out again before the batch script starts (ulimits.c, mgr.c of slurmstepd).
 */
struct slurm_env_facts {
	const struct rlimit *limits; /* RLIM_NLIMITS, by number; or NULL */
	const char *propagate;       /* value of --propagate, or NULL */
	int priority;                /* getpriority(2) */
	mode_t umask;
};

/*
 * All lists of this file are "NAME=value" strings ended by NULL, each string
 * and the list allocated. They are never NULL, except where that is said, and
 * released with slurm_env_free(), which takes NULL, too.
 */

/*
 * The environment for the same job again, from the initial one of the batch
 * shell. What slurmctld and slurmd set for one job is left out; what sbatch
 * sets, or the user, stays; what was taken out on the way is set again: the
 * limits, the priority, the umask, the options of SPANK plugins.
 */
char **slurm_env_next(char *const *env, const struct slurm_env_facts *facts);

/* The SPANK job environment (spank_job_env): "X=v" for each SLURM_SPANK_X=v. */
char **slurm_env_spank(char *const *env);

/* Replace the variable, or add it. */
void slurm_env_set(char ***env, const char *name, const char *value);

/* The value of the variable, or NULL; valid as long as its entry. */
const char *slurm_env_get(char *const *env, const char *name);

void slurm_env_free(char **env);

/*
 * The environment that the process was started with; entries that are no
 * "NAME=value" are left out. NULL with *err.
 */
char **slurm_env_read(pid_t pid, struct err *err);

#endif
