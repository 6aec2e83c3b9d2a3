/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_serve.c - a restore: criu has the streams of the store that it wants
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "request.h"
#include "stream.h"
#include "stream_loop.h"
#include "timers.h"
#include "util.h"

/* Streams that are not longer go straight into criu's pipe. */
#define SHORT_STREAM 65536

/* More than the state of one process takes, and less than a pipe holds. */
#define CORE_ROOM 32768

/*
 * A stream on its way. A pipe has one lock, held while a reader copies out of
 * it, and while we add to it page by page: with one pipe only one of the two
 * works. So what comes next is made ready in a pipe of our own (the stage)
 * while criu reads, and moved at once, with one short call.
 */
struct feeding {
	struct store_cursor *cursor;
	int stage[2];          /* -1, -1: none */
	size_t staged;         /* bytes in it */
	bool full;             /* criu's; epoll will tell when it is not */
	enum store_fed filled; /* why no more was put into the stage */
};

struct serve {
	struct store_reader *reader;
	const json_t *pending;        /* signals, see timers.h */
	struct progress_meter *meter; /* or NULL */
	int sock, conn;
	bool woken; /* the store's eventfd is watched */
	struct loop loop;
};

static const char serve_name[] = "streamer-serve.sock";

static void end_feeding(struct serve *s, struct source *src)
{
	struct feeding *f = src->feeding;

	store_cursor_free(s->reader, f->cursor);
	release_fd(&f->stage[0]);
	release_fd(&f->stage[1]);
	free(f);
	src->feeding = NULL;
	loop_remove(&s->loop, src);
}

/* As much as there is and fd takes. -1 with *err. */
static int fill(struct serve *s, struct feeding *f, int fd, struct err *err)
{
	uint64_t before = store_left(f->cursor);

	do
		f->filled = store_feed(s->reader, f->cursor, fd, false, err);
	while (f->filled == STORE_MORE);
	f->staged += before - store_left(f->cursor);
	progress_add(s->meter, before - store_left(f->cursor));
	return f->filled == STORE_FAILED ? -1 : 0;
}

/* From our pipe to criu's. 1, or 0 if nothing could be moved, or -1 with *err.
 */
static int move_staged(struct feeding *f, int fd, struct err *err)
{
	ssize_t n;

	if (f->full || !f->staged)
		return 0;
	n = splice(f->stage[0], NULL, fd, NULL, f->staged, SPLICE_F_NONBLOCK);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return err_set(err, errno, "write the stream");
	if (n > 0)
		f->staged -= (size_t)n;
	f->full = f->staged > 0;
	return n > 0;
}

static int feed_staged(
	struct serve *s, struct feeding *f, int fd, struct err *err)
{
	int moved;

	do {
		if (f->filled != STORE_DONE && fill(s, f, f->stage[1], err))
			return -1;
		moved = move_staged(f, fd, err);
	} while (moved > 0);
	return moved;
}

/* Write what can be written; the source ends with its stream. */
static int feed(struct serve *s, struct source *src, struct err *err)
{
	struct feeding *f = src->feeding;
	struct err why;
	int ret = f->stage[0] < 0 ? fill(s, f, src->fd, &why)
				  : feed_staged(s, f, src->fd, &why);

	if (!ret &&
		(f->filled != STORE_DONE || (f->stage[0] >= 0 && f->staged)))
		return 0;
	/* criu need not read to the end. */
	if (ret && why.num == EPIPE)
		ret = 0;
	/* When criu sees the end, the reason for it must be there. */
	if (ret)
		*err = why;
	end_feeding(s, src);
	return ret;
}

/* What cannot be had is done without. */
static void make_stage(struct feeding *f, int fd)
{
	fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
	if (pipe2(f->stage, O_CLOEXEC | O_NONBLOCK))
		f->stage[0] = f->stage[1] = -1;
	else
		fcntl(f->stage[0], F_SETPIPE_SZ, PIPE_BYTES);
}

static int begin_serving(struct serve *s, int stream, int fd, struct err *err)
{
	struct store_cursor *c = store_cursor(s->reader, (size_t)stream, err);
	struct source *src = NULL;
	struct feeding *f;
	int flags = fcntl(fd, F_GETFL);

	if (!c || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
		close(fd);
		return c ? err_set(err, errno, "a pipe of criu") : -1;
	}
	/* Only when it is full, or memory has come, there is more to do. */
	src = loop_add(&s->loop, fd, stream, EPOLLOUT | EPOLLET, err);
	if (!src)
		return -1;
	f = xcalloc(1, sizeof(*f));
	*f = (struct feeding){.cursor = c, .stage = {-1, -1}};
	src->feeding = f;
	if (store_size(s->reader, (size_t)stream) > SHORT_STREAM)
		make_stage(f, fd);
	if (!s->woken && loop_watch(&s->loop, store_ready_fd(s->reader),
				 EPOLLIN, EV_WAKE, err))
		return -1;
	s->woken = true;
	return feed(s, src, err);
}

/* All of a short stream, through a pipe, which takes it whole. */
static ssize_t read_short(
	struct serve *s, int stream, unsigned char *buf, struct err *err)
{
	int fds[2], ret;
	ssize_t n = 0, got = 1;

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	ret = store_copy(s->reader, (size_t)stream, fds[1], err);
	close(fds[1]);
	while (!ret && got > 0 && n < CORE_ROOM) {
		got = read(fds[0], buf + n, CORE_ROOM - (size_t)n);
		n += got > 0 ? got : 0;
	}
	close(fds[0]);
	return ret ? -1 : n;
}

/* The state of a process, whose timers may have to be mended. */
static int serve_core(
	struct serve *s, int stream, pid_t pid, int fd, struct err *err)
{
	auto_free unsigned char *buf = xcalloc(1, CORE_ROOM);
	ssize_t n = read_short(s, stream, buf, err);
	int ret = n < 0 ? -1 : 0;

	if (!ret)
		timers_mend(buf, (size_t)n, timers_pending_of(s->pending, pid));
	if (!ret && write_all(fd, buf, (size_t)n) && errno != EPIPE)
		ret = err_set(err, errno, "write the stream");
	close(fd);
	return ret;
}

static int begin_one(
	struct serve *s, const char *name, int stream, int fd, struct err *err)
{
	int pid, end = 0;

	if (sscanf(name, "core-%d.img%n", &pid, &end) == 1 && end &&
		store_size(s->reader, (size_t)stream) <= CORE_ROOM)
		return serve_core(s, stream, pid, fd, err);
	return begin_serving(s, stream, fd, err);
}

/* As request_read(). */
static int answer(struct serve *s, struct err *err)
{
	char name[REQUEST_NAME];
	int got = request_read(s->conn, name, err), stream, fd;

	if (got <= 0)
		return got;
	stream = store_find(s->reader, name);
	if (request_answer(s->conn, stream >= 0, err))
		return -1;
	if (stream < 0)
		return 1;
	fd = request_pipe(s->conn, err);
	if (fd < 0 || begin_one(s, name, stream, fd, err))
		return -1;
	return 1;
}

static int feed_stalled(struct serve *s, struct err *err)
{
	eventfd_t count;

	eventfd_read(store_ready_fd(s->reader), &count);
	for (size_t i = 0; i < s->loop.n; i++) {
		struct source *src = loop_source(&s->loop, i);

		if (src && src->feeding->filled == STORE_WAITS &&
			feed(s, src, err))
			return -1;
	}
	return 0;
}

static int on_serve(
	struct serve *s, const struct epoll_event *e, struct err *err)
{
	struct source *src;
	int got;

	switch (e->data.u64) {
	case EV_LISTEN:
		s->conn = accept4(s->sock, NULL, NULL, SOCK_CLOEXEC);
		if (s->conn < 0)
			return err_set(err, errno, "accept criu");
		release_fd(&s->sock);
		return loop_watch(&s->loop, s->conn, EPOLLIN, EV_CONN, err);
	case EV_CONN:
		got = answer(s, err);
		if (!got)
			release_fd(&s->conn);
		return got < 0 ? -1 : 0;
	case EV_WAKE:
		return feed_stalled(s, err);
	default:
		src = loop_source(&s->loop, e->data.u64);
		if (!src)
			return 0;
		src->feeding->full = false;
		return feed(s, src, err);
	}
}

static int serve(int sock, struct store_reader *r, const json_t *pending,
	struct progress_meter *meter, struct err *err)
{
	struct serve s = {.reader = r,
		.pending = pending,
		.meter = meter,
		.sock = sock,
		.conn = -1};
	struct epoll_event e[16];
	int n, ret = 0;

	signal(SIGPIPE, SIG_IGN);
	store_lend(r);
	s.loop.poll = epoll_create1(EPOLL_CLOEXEC);
	if (s.loop.poll < 0)
		ret = err_set(err, errno, "epoll_create1");
	if (!ret)
		ret = loop_watch(&s.loop, sock, EPOLLIN, EV_LISTEN, err);
	while (!ret && (s.sock >= 0 || s.conn >= 0 || s.loop.open)) {
		n = epoll_wait(s.loop.poll, e, LEN(e), -1);
		if (n < 0 && errno != EINTR)
			ret = err_set(err, errno, "epoll_wait");
		for (int i = 0; !ret && i < n; i++)
			ret = on_serve(&s, &e[i], err);
	}
	loop_end(&s.loop);
	release_fd(&s.sock);
	release_fd(&s.conn);
	return ret;
}

pid_t stream_serve(int dir, struct store_reader *r, const json_t *pending,
	struct progress_meter *meter, struct err *failure)
{
	int sock = request_listen(dir, serve_name, failure);
	pid_t pid = sock < 0 ? -1 : fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "checkpt-images");
		_exit(serve(sock, r, pending, meter, failure) ? 1 : 0);
	}
	if (sock >= 0 && pid < 0)
		err_set(failure, errno, "fork");
	release_fd(&sock);
	return pid;
}

void stream_served(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
