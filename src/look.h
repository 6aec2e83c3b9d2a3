/* SPDX-License-Identifier: GPL-2.0-or-later */
/* look.h - before the first dump is needed: can this be dumped at all? */
#ifndef LOOK_H
#define LOOK_H

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "err.h"

/*
 * Look at every process below parent (not at parent itself) for what CRIU
 * cannot dump, and say so with log_warn(): process, descriptor, what to do.
 * Only /proc is read; the processes are not disturbed. policy says what is to
 * become of connections with what is outside the tree. Returns the number of
 * findings.
 */
unsigned look_at_tree(pid_t parent, enum outside policy);

/* One thing that cannot be dumped. The texts are only lent. */
struct look_finding {
	pid_t pid;
	const char *comm, *what, *advice;
};

/* The same, but call say() for each finding. */
unsigned look_at_tree_with(pid_t parent, enum outside policy,
	void (*say)(const struct look_finding *f, void *arg), void *arg);

/* The version of the program, as major * 100 + minor; -1 with *err. Runs it. */
int look_criu_version(const char *criu, struct err *err);

/* The running kernel's in the same way; 0 if it cannot be told. */
int look_kernel_version(void);

/*
 * Does the criu program fit this kernel, the isolation, and the sockets of
 * the tree of root? Runs it (--version), so it takes milliseconds. -1 with *err
 * if no dump can work.
 */
int look_can_dump(const char *criu, pid_t root, bool by_root, bool in_capsule,
	struct err *err);

/* The same of this user, and of the tree below parent. */
int look_at_criu(
	const char *criu, pid_t parent, bool in_capsule, struct err *err);

/* The parts of that, for tests: versions as major * 100 + minor. */
int look_criu_fits(
	int criu, int kernel, bool root, bool in_capsule, struct err *err);
int look_sockets_fit(int criu, int kernel, pid_t parent, struct err *err);

#endif
