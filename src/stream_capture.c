/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_capture.c - a dump: what criu streams goes into the store */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "request.h"
#include "stream.h"
#include "stream_loop.h"
#include "util.h"

struct capture {
	struct store_writer *writer;
	struct progress_meter *meter; /* or NULL */
	int dir, sock, conn, wake;
	struct loop loop;
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool finish;  /* criu has ended */
	bool drained; /* what had been sent was read */
	bool over;    /* the thread has ended */
	bool failed;
	struct err err;
};

static const char capture_name[] = "streamer-capture.sock";

static int accept_criu(struct capture *c, struct err *err)
{
	c->conn = accept4(c->sock, NULL, NULL, SOCK_CLOEXEC);
	if (c->conn < 0)
		return err_set(err, errno, "accept criu");
	release_fd(&c->sock);
	return loop_watch(&c->loop, c->conn, EPOLLIN, EV_CONN, err);
}

/* 1, or 0 when criu asks for no more, or -1 with *err */
static int begin_image(struct capture *c, struct err *err)
{
	char name[REQUEST_NAME];
	int got = request_read(c->conn, name, err), fd, stream;

	if (got <= 0)
		return got;
	fd = request_pipe(c->conn, err);
	if (fd < 0)
		return -1;
	stream = store_add(c->writer, name, err);
	if (stream < 0) {
		close(fd);
		return -1;
	}
	if (!loop_add(&c->loop, fd, stream, EPOLLIN, err))
		return -1;
	fcntl(fd, F_SETPIPE_SZ,
		strncmp(name, "pages-", 6) ? PIPE_BYTES_SMALL : PIPE_BYTES);
	return 1;
}

static int take_image(struct capture *c, struct source *s, struct err *err)
{
	ssize_t n = store_take(c->writer, s->stream, s->fd, err);

	if (n > 0)
		progress_add(c->meter, (uint64_t)n);
	if (n != 0)
		return n < 0 ? -1 : 0;
	loop_remove(&c->loop, s);
	return 0;
}

static bool has_input(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

static int get_images(struct capture *c, struct err *err)
{
	int got = begin_image(c, err);

	if (!got)
		release_fd(&c->conn);
	return got < 0 ? -1 : 0;
}

/* All that was sent until now. */
static int drain(struct capture *c, struct err *err)
{
	int ret = 0;

	if (has_input(c->sock))
		ret = accept_criu(c, err);
	while (!ret && has_input(c->conn))
		ret = get_images(c, err);
	for (size_t i = 0; !ret && i < c->loop.n; i++)
		while (!ret && has_input(c->loop.source[i].fd))
			ret = take_image(c, &c->loop.source[i], err);
	return ret;
}

/* criu has come to a halt, or has ended: then no more will come. */
static int on_wake(struct capture *c, struct err *err)
{
	eventfd_t count;
	bool finish;
	int ret;

	eventfd_read(c->wake, &count);
	ret = drain(c, err);
	pthread_mutex_lock(&c->lock);
	/* If it has failed, the end of the thread tells why. */
	c->drained = !ret;
	finish = c->finish;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (finish)
		release_fd(&c->sock);
	return ret;
}

static int on_capture(
	struct capture *c, const struct epoll_event *e, struct err *err)
{
	struct source *s;

	switch (e->data.u64) {
	case EV_LISTEN:
		return c->sock >= 0 ? accept_criu(c, err) : 0;
	case EV_CONN:
		return c->conn >= 0 ? get_images(c, err) : 0;
	case EV_WAKE:
		return on_wake(c, err);
	default:
		s = loop_source(&c->loop, e->data.u64);
		return s ? take_image(c, s, err) : 0;
	}
}

static void end_capture(struct capture *c, const struct err *err)
{
	pthread_mutex_lock(&c->lock);
	c->over = true;
	c->failed = err != NULL;
	if (err)
		c->err = *err;
	/* criu, if it is still there, gets EPIPE and gives up. */
	release_fd(&c->conn);
	release_fd(&c->sock);
	loop_end(&c->loop);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static void *capture_thread(void *arg)
{
	struct capture *c = arg;
	struct epoll_event e[16];
	struct err err;
	int n, ret = 0;

	while (!ret && (c->sock >= 0 || c->conn >= 0 || c->loop.open)) {
		n = epoll_wait(c->loop.poll, e, LEN(e), -1);
		if (n < 0 && errno != EINTR)
			ret = err_set(&err, errno, "epoll_wait");
		for (int i = 0; !ret && i < n; i++) {
			ret = on_capture(c, &e[i], &err);
			/* The others may be drained now: a read would wait. */
			if (e[i].data.u64 == EV_WAKE)
				break;
		}
	}
	end_capture(c, ret ? &err : NULL);
	return NULL;
}

static int add_extra(struct capture *c, const struct capture_extra *extra,
	size_t n, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < n; i++) {
		int stream =
			ret ? -1 : store_add(c->writer, extra[i].name, err);

		if (stream < 0 ||
			!loop_add(&c->loop, extra[i].fd, stream, EPOLLIN, err))
			ret = -1;
		if (stream < 0)
			close(extra[i].fd);
	}
	return ret;
}

static int start_capture(struct capture *c, struct err *err)
{
	sigset_t all, old;
	int bad;

	c->sock = request_listen(c->dir, capture_name, err);
	if (c->sock < 0)
		return -1;
	c->wake = eventfd(0, EFD_CLOEXEC);
	if (c->wake < 0)
		return err_set(err, errno, "eventfd");
	if (loop_watch(&c->loop, c->sock, EPOLLIN, EV_LISTEN, err) ||
		loop_watch(&c->loop, c->wake, EPOLLIN, EV_WAKE, err))
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	bad = pthread_create(&c->thread, NULL, capture_thread, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->has_thread = !bad;
	return bad ? err_set(err, bad, "start a thread") : 0;
}

static void free_capture(struct capture *c)
{
	unlinkat(c->dir, capture_name, 0);
	release_fd(&c->conn);
	release_fd(&c->sock);
	release_fd(&c->wake);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

struct capture *stream_capture(struct store_writer *w, int dir,
	const struct capture_extra *extra, size_t n_extra,
	struct progress_meter *meter, struct err *err)
{
	struct capture *c = xcalloc(1, sizeof(*c));

	c->writer = w;
	c->meter = meter;
	c->dir = dir;
	c->sock = c->conn = c->wake = -1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	c->loop.poll = epoll_create1(EPOLL_CLOEXEC);
	if (c->loop.poll < 0)
		err_set(err, errno, "epoll_create1");
	else if (!add_extra(c, extra, n_extra, err) && !start_capture(c, err))
		return c;
	loop_end(&c->loop);
	free_capture(c);
	return NULL;
}

static int outcome(const struct capture *c, struct err *err)
{
	if (c->failed && err)
		*err = c->err;
	return c->failed ? -1 : 0;
}

int stream_drain(struct capture *c, struct err *err)
{
	int ret;

	pthread_mutex_lock(&c->lock);
	c->drained = false;
	eventfd_write(c->wake, 1);
	while (!c->drained && !c->over)
		pthread_cond_wait(&c->changed, &c->lock);
	ret = outcome(c, err);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

int stream_captured(struct capture *c, struct err *err)
{
	int ret;

	pthread_mutex_lock(&c->lock);
	c->finish = true;
	eventfd_write(c->wake, 1);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	ret = outcome(c, err);
	free_capture(c);
	return ret;
}
