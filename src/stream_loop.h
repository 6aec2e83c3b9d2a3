/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_loop.h - what the two directions of stream.h have in common */
#ifndef STREAM_LOOP_H
#define STREAM_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Fewer and longer reads and writes, where the kernel lets a user have it. */
#define PIPE_BYTES (1 << 20)

/*
 * Most images are small, and many are open at a time. All pipes of a user have
 * to share fs.pipe-user-pages-soft, see pipe(7); criu fails where that is used
 * up.
 */
#define PIPE_BYTES_SMALL (1 << 14)

/* A pipe of criu's, and the stream of the store that goes through it. */
struct source {
	int fd; /* -1: the entry is free */
	int stream;
	struct feeding *feeding; /* a restore: the source's */
};

struct loop {
	int poll;
	struct source *source;
	size_t n, open;
};

/* What epoll tells: a source's number, or one of these. */
#define EV_LISTEN ((uint64_t)1 << 32)
#define EV_CONN   ((uint64_t)2 << 32)
#define EV_WAKE   ((uint64_t)3 << 32)

int loop_watch(struct loop *l, int fd, uint32_t events, uint64_t what,
	struct err *err);

/* Takes the descriptor over. NULL with *err. */
struct source *loop_add(
	struct loop *l, int fd, int stream, uint32_t events, struct err *err);

/* The source that epoll tells of, or NULL if it has ended since. */
struct source *loop_source(struct loop *l, uint64_t what);

void loop_remove(struct loop *l, struct source *s);

/* Closes all, too. */
void loop_end(struct loop *l);

#endif
