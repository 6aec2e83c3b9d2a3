/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_look.h - any job of Slurm's: how it stands, and signals to it */
#ifndef SLURM_LOOK_H
#define SLURM_LOOK_H

#include "err.h"
#include "sched.h"

/* As look() and signal() of sched.h. */
int slurm_look(const char *id, struct sched_seen *seen, struct err *err);
int slurm_signal(const char *id, int sig, struct err *err);

#endif
