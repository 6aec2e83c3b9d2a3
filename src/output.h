/* SPDX-License-Identifier: GPL-2.0-or-later */
/* output.h - output files that the batch script would cut off */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <jansson.h>
#include <sys/types.h>

#include "err.h"

/*
 * A line such as `checkpointer -- a >a.out` empties a.out when the script
 * runs again from its top in the next leg. So what standard output and error
 * have in such a file is kept with the step at each checkpoint and before a leg
 * ends, and put back by the next one. Files opened for appending (>>, Slurm's
 * own) and all that is no regular file need no such care.
 */

/*
 * Keep what is new in the files since the last time, in the step's directory
 * ("output-1", "output-2"), fsynced.
 */
int output_keep(int step, struct err *err);

/* Write what is missing in the files; their offset is then at their end. */
int output_put_back(int step, struct err *err);

/*
 * The same for the output of the whole job, which Slurm empties when a job is
 * requeued without --open-mode=append: the files with these two names, of which
 * each may be NULL. dir is the chain's directory.
 */
int output_keep_job(int dir, char *const files[2], struct err *err);

/* What the job has written by now comes behind what was kept. */
int output_put_back_job(int dir, char *const files[2], struct err *err);

/*
 * The step was restored: what comes behind the sizes in the generation's list
 * "written" is written anew, and may differ from what was kept of it.
 */
int output_cut_back(int step, const json_t *written, struct err *err);

#endif
