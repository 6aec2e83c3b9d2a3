/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guard.h - the process that stands between a batch shell and its signals */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "err.h"

/*
 * Slurm sends the warning signal of `sbatch --signal=B:...` to the batch shell
 * alone, which would die of it, and the steps with it. So the first step of
 * the script starts a guard, which seizes the shell and lives as long as it:
 *
 * - A signal that means a checkpoint goes to the steps; the shell only gets it
 *   if it has a trap for it.
 * - One that asks the job to end goes to the steps; the shell stays stopped
 *   at it, and gets it when no step is left: nothing of the script runs
 *   meanwhile.
 * - At the end of the leg, it makes the shell end with a status of our choice.
 *
 * While there is nothing to do it waits, and nothing wakes it.
 */

struct guard {
	pid_t shell; /* 0: there is none, as after `exec checkpointer` */
	pid_t pid;   /* 0: no guard could be had */
	int pipe;    /* to it, or -1 */
};

/*
 * Tell the guard of this shell that the calling process is a step; start the
 * guard if there is none. With shell 0 or the caller itself nothing is to be
 * done. -1 with *err if the shell cannot be guarded: num is EPERM where
 * tracing is forbidden. The guard inherits nothing that is open.
 */
int guard_join(struct guard *g, pid_t shell, const struct config *cfg,
	struct err *err);

/*
 * Make the shell end with this status (as of waitpid(2)), and wait until it
 * has. -1 with *err if that cannot be done.
 */
int guard_end_shell(const struct guard *g, int status, struct err *err);

void guard_forget(struct guard *g);

#endif
