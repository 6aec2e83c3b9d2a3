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
/* What to do where there is none that will do. */
#define CRIU_WANTED                                                            \
	"install CRIU 4.1 or newer (apt install criu, dnf install criu), or "  \
	"name one, as in --set criu.binary=/opt/criu/sbin/criu"

#define ENGINE_DUMP_LOG    "dump.log"
#define ENGINE_RESTORE_LOG "restore.log"

struct engine {
	char criu[4096];      /* absolute path of the criu program */
	bool unprivileged;    /* not run by root */
	uint64_t ghost_limit; /* bytes */
	bool tcp;             /* may move TCP connections: a private network */
	const char *extra;    /* lines for criu's configuration, ';' between */
	bool carries_sysv;    /* shared memory segments: see sysv.h */
	bool deny_io_uring;   /* to the command; a filter of ours does it */
	bool filtered; /* is criu: its privilege, if any, is not its file's */
	/* Where criu's cache, logs and sockets lie; best on a tmpfs. */
	int work;
	/* Where its log is kept if a dump or restore fails; -1: nowhere. */
	int keep;
	bool verbose; /* a full log instead of errors and warnings */
};

/* Find the program that the configuration names. */
int engine_find(const char *name, char *path, size_t size, struct err *err);

/*
 * What is called while criu dumps; if it returns non-zero the dump fails.
 */
struct engine_calls {
	/* All images are written, and the tree is still frozen. */
	int (*frozen)(void *arg);
	/*
	 * Memory of the tree will be changed. What criu has sent is that
	 * memory and no copy, so it must have been read when this returns.
	 * Not called if criu is not filtered, see engine_leavings().
	 */
	int (*changing)(void *arg);
	void *arg;
};

/*
 * What a page begins with, 8 bytes of it, if criu's change was read in place of
 * what was there: to run a system call in a process, criu overwrites the begin
 * of its first executable mapping for a moment. NULL if that cannot happen.
 */
const unsigned char *engine_leavings(const struct engine *e);

/*
 * Dump the tree of root. The images go to whoever listens for criu in the work
 * directory, see stream.h. outside is that of files_outside(). Afterwards the
 * tree runs on, or is left stopped (by SIGSTOP) if stop is set. On failure it
 * runs on, and *err holds the reason in one sentence; *killed tells if criu has
 * died of a signal, and so the tree may, too.
 */
int engine_dump(const struct engine *e, pid_t root, bool stop,
	const json_t *outside, const struct engine_calls *calls, bool *killed,
	struct err *err);

/* How far criu is with a restore; the tree does not run yet. */
enum engine_point {
	ENGINE_BEGINS = 1, /* the kernel has been tried, nothing is made yet */
	ENGINE_ALL_THERE, /* all connections still send nothing by themselves */
	ENGINE_RESUMES,
};

/*
 * Restore from the images that are served in the work directory; the tree runs
 * when this returns, or is stopped (by SIGSTOP) if stop is set. Where
 * connections may be among it (tcp), reached(arg, point) is called meanwhile;
 * if it returns non-zero the restore fails. Returns the PID of its root, which
 * is a child of the caller; -1 with *err.
 */
pid_t engine_restore(const struct engine *e, bool stop, const json_t *outside,
	int (*reached)(void *, enum engine_point), void *arg, struct err *err);

#endif
