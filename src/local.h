/* SPDX-License-Identifier: GPL-2.0-or-later */
/* local.h - the embedded scheduler: what a job and its steps tell each other */
#ifndef LOCAL_H
#define LOCAL_H

#include <sys/types.h>

/*
 * A local job is one of two things:
 *
 *   checkpointer --time-limit=T -- CMD     the supervisor is the job. To run
 *       the successor it executes itself again: same process, same terminal.
 *   checkpointer batch --time-limit=T SCRIPT   a batch script with any number
 *       of steps. The successor is another run of the script, by the process
 *       of `checkpointer batch`, to which the steps report through a FIFO.
 *
 * These variables carry the job from leg to leg and to the steps:
 */
#define LOCAL_JOB    "CHECKPOINTER_LOCAL_JOB"    /* id of the leg */
#define LOCAL_END    "CHECKPOINTER_LOCAL_END"    /* seconds after 1970 */
#define LOCAL_REPORT "CHECKPOINTER_LOCAL_REPORT" /* path of the FIFO */
#define LOCAL_SHELL  "CHECKPOINTER_LOCAL_SHELL"  /* PID of the script */
#define LOCAL_DIR    "CHECKPOINTER_LOCAL_DIR"    /* where it has begun */
#define LOCAL_CHAIN  "CHECKPOINTER_CHAIN"

/* What goes through the FIFO, in one write(2) each. */
struct local_report {
	char what;
	pid_t pid;  /* of the step's supervisor */
	int status; /* of the script, as of waitpid(2) */
};

#define LOCAL_BEGIN  'b' /* a step has begun */
#define LOCAL_SUBMIT 's' /* a step wants a successor */
#define LOCAL_LEFT   'l' /* a step has left and waits for its end */
#define LOCAL_DONE   'd' /* a step has ended */

/* A step was the whole script: it is to end with status. */
#define LOCAL_END_SCRIPT 'e'

/* A name for a new chain or job: "local-HOST-20260131-235959-PID". Owned. */
char *local_new_name(void);

#endif
