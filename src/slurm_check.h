/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_check.h - is Slurm here, does it answer, how is it set? */
#ifndef SLURM_CHECK_H
#define SLURM_CHECK_H

#include "config.h"
#include "findings.h"

/* Is there a slurm.conf? Without one, libslurm ends the process that asks. */
bool slurm_is_set_up(void);

/* See check() in sched.h. */
bool slurm_check(const struct config *cfg, struct findings *f);

#endif
