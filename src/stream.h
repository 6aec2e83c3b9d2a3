/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream.h - images from criu into the store, and back; see request.h */
#ifndef STREAM_H
#define STREAM_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"
#include "progress.h"
#include "store.h"

/* --- a dump --- */

struct capture;

/* A stream that does not come from criu. */
struct capture_extra {
	const char *name;
	int fd; /* owned by the capture from stream_capture() on */
};

/*
 * Listen in the directory dir, and take what comes into the store, in a
 * thread, until stream_captured(). The writer and the meter, which may be NULL,
 * are the thread's meanwhile. NULL with *err.
 */
struct capture *stream_capture(struct store_writer *w, int dir,
	const struct capture_extra *extra, size_t n_extra,
	struct progress_meter *meter, struct err *err);

/*
 * Wait until all memory that criu has sent was read. What lies in the pipes
 * is the tree's own memory and no copy of it: it must not run before that.
 * -1 with *err if something could not be stored.
 */
int stream_drain(struct capture *c, struct err *err);

/*
 * Wait until all streams have ended; criu must have ended, too, or not be
 * there. -1 with *err as before. Frees the capture.
 */
int stream_captured(struct capture *c, struct err *err);

/* --- a restore --- */

/*
 * Fork a process that gives criu, when it comes to the directory dir, what it
 * asks for; timers are mended by the signals that were pending, see timers.h.
 * meter, if it is not NULL, tells how far it is. Why it could not is in
 * *failure, which must be shared with it. Returns its PID, or -1.
 */
pid_t stream_serve(int dir, struct store_reader *r, const json_t *pending,
	struct progress_meter *meter, struct err *failure);

/* criu has had everything, or has failed: the process ends. */
void stream_served(pid_t pid);

#endif
