/* SPDX-License-Identifier: GPL-2.0-or-later */
/* engine.h - CRIU: dump, restore, and what its log says in plain words */
#ifndef ENGINE_H
#define ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/*
 * These functions run the criu program and wait for it: for a process that
 * has nothing else to do meanwhile.
 */
struct engine {
	char criu[4096];      /* absolute path of the criu program */
	bool unprivileged;    /* not run by root */
	uint64_t ghost_limit; /* bytes */
	const char *extra;    /* lines for criu's configuration, ';' between */
	bool deny_io_uring;   /* to the command; a filter of ours does it */
	/* Where criu's cache, logs and sockets lie; best on a tmpfs. */
	int work;
	bool verbose; /* a full log instead of errors and warnings */
};

/* Find the program that the configuration names. */
int engine_find(const char *name, char *path, size_t size, struct err *err);

/*
 * Dump the tree of root. The images go to whoever listens for criu in the work
 * directory, see stream.h. outside is that of files_outside(). frozen(arg) is
 * called when all images are written and the tree is still frozen; if it
 * returns non-zero the dump fails. Afterwards the tree runs on, or is left
 * stopped (by SIGSTOP) if stop is set. On failure it runs on, and *err holds
 * the reason in one sentence.
 */
int engine_dump(const struct engine *e, pid_t root, bool stop,
	const json_t *outside, int (*frozen)(void *), void *arg,
	struct err *err);

/*
 * Restore from the images that are served in the work directory; the tree runs
 * when this returns. Returns the PID of its root, which is a child of the
 * caller; -1 with *err.
 */
pid_t engine_restore(
	const struct engine *e, const json_t *outside, struct err *err);

/*
 * The first real error of a criu log (text), and what to do about it: fills
 * *err with "what criu said (hint)". Never empty.
 */
void engine_explain(const char *log, const char *what, struct err *err);

#endif
