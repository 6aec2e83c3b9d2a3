/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connections.h - the TCP connections of a tree around a dump and a restore */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "engine.h"
#include "err.h"
#include "network.h"

/* On the node's own network all of these do nothing, and succeed. */

/*
 * Before a dump, and after all is written with the tree still frozen: is there
 * a connection of the tree of root that would be lost? -1 with *err.
 */
int connections_fit(const struct network *n, enum outside policy, pid_t root,
	struct err *err);
int connections_are_whole(const struct network *n, pid_t root, struct err *err);

/*
 * For engine_restore() in the keeper, with its struct network: hold all TCP
 * packets back while criu restores one connection after the other, let them go
 * when all are there, and close those whose other end is not among them. What
 * goes wrong is logged.
 */
int connections_restore(void *network, enum engine_point point);

/*
 * What a criu that was killed has left: filters that let no packet through,
 * and connections in a state in which they send nothing.
 */
void connections_mend(const struct network *n, pid_t root);

/*
 * Stop the tree, as soon as criu lets it go: criu ends the locks of a tree that
 * it lets run, not of one that it leaves stopped, and one that is killed ends
 * none. False, if nothing had to be stopped.
 */
bool connections_stop(const struct network *n, pid_t root);

#endif
