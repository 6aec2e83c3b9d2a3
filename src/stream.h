/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream.h - CRIU's image-streamer protocol, in both directions */
#ifndef STREAM_H
#define STREAM_H

#include <stddef.h>

#include "err.h"
#include "store.h"

/*
 * With the option `stream' criu opens no image files. It connects to a socket
 * in its image directory and asks for each image by name: a length (32 bits,
 * of this machine), a protobuf message with the name as field 1, and one byte
 * with the end of a pipe attached. When it restores, it first wants to hear
 * whether there is such an image. criu/img-streamer.c has the other side.
 */

/* --- a dump --- */

struct capture;

/* A stream that does not come from criu. */
struct capture_extra {
	const char *name;
	int fd; /* owned by the capture from stream_capture() on */
};

/*
 * Listen in the directory dir, and take what comes into the store, in a
 * thread, until stream_captured(). The writer is the thread's meanwhile. NULL
 * with *err.
 */
struct capture *stream_capture(struct store_writer *w, int dir,
	const struct capture_extra *extra, size_t n_extra, struct err *err);

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

/* The socket in dir, to be listened on. -1 with *err. */
int stream_listen_serve(int dir, struct err *err);

/*
 * Give criu what it asks for on the socket, until it has had everything. For
 * a process of its own. -1 with *err.
 */
int stream_serve(int sock, struct store_reader *r, struct err *err);

/*
 * The name in a request of n bytes; -1 if that is none. Of other fields it
 * takes no notice.
 */
int stream_parse(const unsigned char *msg, size_t n, char *name, size_t size);

#endif
