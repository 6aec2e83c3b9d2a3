/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore.h - a generation becomes a tree again */
#ifndef RESTORE_H
#define RESTORE_H

#include "keeper.h"

/*
 * Restore the plan's generation in the capsule c. In the keeper itself and not
 * in a worker: the restored root is a child of the process that runs criu, and
 * must not lose its parent (getppid(2), PR_SET_PDEATHSIG); the keeper has
 * nothing else to do meanwhile. failure is in memory that is shared with a
 * child of the keeper's, which tells the listener how far it is.
 *
 * *r is the report for the supervisor. Returns the root's PID, or 0.
 */
pid_t restore_tree(const struct keeper_plan *plan, struct capsule *c,
	const struct progress_listener *listener, struct err *failure,
	struct report *r);

#endif
