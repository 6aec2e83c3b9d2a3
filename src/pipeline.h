/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pipeline.h - what reads the output of a step outside its tree */
#ifndef PIPELINE_H
#define PIPELINE_H

#include <sys/types.h>

/*
 * In `checkpointer -- a | b >>out`, b is no part of what is checkpointed: it
 * ends with the leg, and has to write out what it holds before. So close
 * standard output and error where they are pipes, and wait until the processes
 * below shell that read them, and those that read from these, have ended; at
 * most so many seconds. Not if one of them is another step. The streams are
 * /dev/null from then on.
 */
void pipeline_drain(pid_t shell, double seconds);

#endif
