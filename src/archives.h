/* SPDX-License-Identifier: GPL-2.0-or-later */
/* archives.h - what a generation holds beside criu's images */
#ifndef ARCHIVES_H
#define ARCHIVES_H

#include <sys/stat.h>

#include "capsule.h"
#include "carry.h"
#include "err.h"
#include "store.h"

/* The streams of what is outside: records as in carry.h, and a tar archive. */
#define CARRIED_RECORDS "carried.list"
#define CARRIED_FILES   "carried.tar"

/* Of each private directory its layer and what was staged; what is outside. */
#define ARCHIVES_MAX (2 * PRIVATE_MAX_DIRS + 2)

/* One stream each, through a pipe; -1: there is none. */
struct archives {
	char name[ARCHIVES_MAX][32];
	int from[ARCHIVES_MAX]; /* to be read */
	int to[ARCHIVES_MAX];   /* to be written to */
};

/* Make the pipes. -1 with *err. */
int archives_open(struct archives *a, const struct carry *c, struct err *err);
/* Close the ends that are written to. */
void archives_close(struct archives *a);

/*
 * Write all that is to go with the tree of root, which must be stopped, and
 * close each pipe when it has all. Empty streams mean nothing. -1 with *err.
 */
int archives_write(struct archives *a, const struct carry *c, pid_t root,
	const struct stat std[3], struct err *err);

/*
 * Is something of somebody else's where archives_put_back() would put a file?
 * Asked in the host's user namespace, as in another one all are nobody's. -1
 * with *err, which names the path and its owner.
 */
int archives_check(int step, unsigned gen, struct err *err);

/*
 * Put back what a generation has from outside the private directories, at the
 * same paths. What is there already and is the user's own is replaced, one
 * file after the other. -1 with *err, which names the path: something of
 * somebody else's is in the way, or the directory for it cannot be made.
 */
int archives_put_back(
	struct store_reader *generation, bool user_ns, struct err *err);

#endif
