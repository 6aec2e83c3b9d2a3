/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sysv.h - System V IPC of a capsule: memory segments, semaphores, messages
 *
 * criu carries them only with a whole IPC namespace, which takes privilege. So
 * a dump writes two streams of ours beside criu's, and a restore makes the
 * objects again with the same ids before criu begins; see sysvipc(7). What
 * processes have attached is done by remap.h. docs/store-format.md has the
 * streams.
 */
#ifndef SYSV_H
#define SYSV_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "proc.h"
#include "store.h"
#include "stream.h"

/* What there is, as JSON; and the contents, in the same order. */
#define SYSV_FACTS   "sysv.json"
#define SYSV_DATA    "sysv.data"
#define SYSV_STREAMS 2

/* --- a dump --- */

/* A process that writes the streams; made before the worker drops what it may.
 */
struct sysv_writer {
	pid_t pid; /* 0: none */
	int go;    /* closed without a byte: not wanted */
	int from[SYSV_STREAMS];
	struct err *err; /* shared with it */
};

/*
 * Fork it, for the tree of root; stopped are those of its processes that are
 * stopped by a signal. -1 with *err.
 */
int sysv_writer_start(struct sysv_writer *w, pid_t root,
	const struct int_list *stopped, struct err *err);

/* Its streams; returns how many. They are the capture's from then on. */
size_t sysv_writer_streams(
	const struct sysv_writer *w, struct capture_extra extra[SYSV_STREAMS]);

/*
 * Let it write, and wait for it, while the tree stands still and the streams
 * are read. -1 with *err, also if something cannot be carried.
 */
int sysv_writer_run(struct sysv_writer *w, struct err *err);

/* It is not wanted any more. */
void sysv_writer_end(struct sysv_writer *w);

/* --- a restore --- */

/*
 * What a generation has: an object, empty if there is nothing. NULL with *err;
 * released with json_decref().
 */
json_t *sysv_load(struct store_reader *generation, struct err *err);

/*
 * Does a process have a segment attached, or wait for semaphores? Then there is
 * something to do before the tree runs.
 */
bool sysv_is_in_use(const json_t *facts);

/*
 * Make all anew, in the caller's namespace, which must be fresh; takes
 * CAP_CHECKPOINT_RESTORE and CAP_IPC_OWNER there. -1 with *err.
 */
int sysv_make(
	const json_t *facts, struct store_reader *generation, struct err *err);

/*
 * When all is attached that was: the modes of the segments, and which vanish
 * with their last user. -1 with *err.
 */
int sysv_settle(const json_t *facts, struct err *err);

#endif
