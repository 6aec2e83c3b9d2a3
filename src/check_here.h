/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_here.h - facts about this machine and user, for `check' */
#ifndef CHECK_HERE_H
#define CHECK_HERE_H

#include "config.h"
#include "findings.h"

/*
 * What the groups of facts share. A group is found in a child of its own, as
 * it may block: what later ones need is found by the first, which does not.
 */
struct check {
	const struct config *cfg;
	bool in_capsule; /* a capsule can be made, and is wanted */
	bool many_nodes; /* a batch system runs legs on different ones */
};

/* Each for findings_from(); arg is the struct check. */
void check_kernel(struct findings *f, void *arg);  /* ptrace, pid_max */
void check_criu(struct findings *f, void *arg);    /* and GNU tar */
void check_dir(struct findings *f, void *arg);     /* for checkpoints */
void check_scratch(struct findings *f, void *arg); /* for private files */

/* Isolation; finds out in_capsule. To be called in a process of its own. */
void check_isolation(struct findings *f, void *arg);

/* Did check_isolation() find that a capsule is what will be used? */
bool check_chose_capsule(const struct findings *f);

#endif
