/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_site.h - what a cluster's settings mean for checkpointer; pure */
#ifndef SLURM_SITE_H
#define SLURM_SITE_H

#include <stdbool.h>

#include "config.h"
#include "findings.h"

/* A value in what `scontrol show config' prints; owned, NULL: not there. */
char *slurm_site_value(const char *text, const char *name);

/*
 * The number at its beginning, 0 for "INFINITE" and the like; -1 if there is
 * none.
 */
long slurm_site_number(const char *text, const char *name);

struct slurm_partition {
	const char *name;
	bool preempts;  /* its jobs may be requeued or cancelled for others */
	unsigned grace; /* seconds that they get */
};

/* May jobs be preempted at all? */
bool slurm_site_preempts(const char *text);

/* One finding for each setting in that text that matters. */
void slurm_site_rules(
	struct findings *f, const struct config *cfg, const char *text);

/* And for each partition in which that is so. */
void slurm_partition_rule(struct findings *f, const struct slurm_partition *p);

#endif
