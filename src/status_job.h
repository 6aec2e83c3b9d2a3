/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_job.h - what the scheduler knows of a chain's jobs */
#ifndef STATUS_JOB_H
#define STATUS_JOB_H

#include <jansson.h>
#include <stdbool.h>

/*
 * Both take what status_of() has made, and wait for the scheduler's answer some
 * seconds at most. It is no failure if it is away.
 */

/* Add how the job stands that is to go on. */
void status_job_add_successor(json_t *status);

/*
 * Does the leg run nevertheless, of which no lock is seen here? The locks of
 * some file systems are the business of one machine alone.
 */
bool status_job_runs_elsewhere(const json_t *status);

#endif
