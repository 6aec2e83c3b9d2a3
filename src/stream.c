/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "request.h"
#include "util.h"

/* Fewer and longer reads and writes, where the kernel lets a user have it. */
#define PIPE_BYTES (1 << 20)

/* --- what both loops need --- */

struct source {
	int fd; /* -1: the entry is free */
	int stream;
	bool stalled;                /* a restore: waits for the store */
	struct store_cursor *cursor; /* a restore */
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

static int watch_fd(
	struct loop *l, int fd, uint32_t events, uint64_t what, struct err *err)
{
	struct epoll_event e = {.events = events, .data.u64 = what};

	if (epoll_ctl(l->poll, EPOLL_CTL_ADD, fd, &e))
		return err_set(err, errno, "epoll_ctl");
	return 0;
}

/* Takes the descriptor over. NULL with *err. */
static struct source *add_source(
	struct loop *l, int fd, int stream, uint32_t events, struct err *err)
{
	size_t i = 0;

	while (i < l->n && l->source[i].fd >= 0)
		i++;
	if (i == l->n) {
		struct source *more =
			realloc(l->source, (l->n + 64) * sizeof(*more));

		if (!more) {
			close(fd);
			err_set(err, ENOMEM, "an image more");
			return NULL;
		}
		l->source = more;
		for (size_t k = 0; k < 64; k++)
			l->source[l->n++].fd = -1;
	}
	l->source[i] = (struct source){.fd = fd, .stream = stream};
	l->open++;
	if (!watch_fd(l, fd, events, i, err))
		return &l->source[i];
	return NULL;
}

static void end_source(struct loop *l, struct source *s)
{
	release_fd(&s->fd);
	l->open--;
}

static void end_loop(struct loop *l)
{
	for (size_t i = 0; i < l->n; i++)
		release_fd(&l->source[i].fd);
	free(l->source);
	release_fd(&l->poll);
}

/* --- a dump --- */

struct capture {
	struct store_writer *writer;
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
static const char serve_name[] = "streamer-serve.sock";

static int accept_criu(struct capture *c, struct err *err)
{
	c->conn = accept4(c->sock, NULL, NULL, SOCK_CLOEXEC);
	if (c->conn < 0)
		return err_set(err, errno, "accept criu");
	release_fd(&c->sock);
	return watch_fd(&c->loop, c->conn, EPOLLIN, EV_CONN, err);
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
	if (!add_source(&c->loop, fd, stream, EPOLLIN, err))
		return -1;
	if (!strncmp(name, "pages-", 6))
		fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
	return 1;
}

static int take_image(struct capture *c, struct source *s, struct err *err)
{
	ssize_t n = store_take(c->writer, s->stream, s->fd, err);

	if (n != 0)
		return n < 0 ? -1 : 0;
	end_source(&c->loop, s);
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
		if (e->data.u64 >= c->loop.n)
			return 0;
		s = &c->loop.source[e->data.u64];
		return s->fd >= 0 ? take_image(c, s, err) : 0;
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
	end_loop(&c->loop);
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

		if (stream < 0 || !add_source(&c->loop, extra[i].fd, stream,
					  EPOLLIN, err))
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
	if (watch_fd(&c->loop, c->sock, EPOLLIN, EV_LISTEN, err) ||
		watch_fd(&c->loop, c->wake, EPOLLIN, EV_WAKE, err))
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
	const struct capture_extra *extra, size_t n_extra, struct err *err)
{
	struct capture *c = xcalloc(1, sizeof(*c));

	c->writer = w;
	c->dir = dir;
	c->sock = c->conn = c->wake = -1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	c->loop.poll = epoll_create1(EPOLL_CLOEXEC);
	if (c->loop.poll < 0)
		err_set(err, errno, "epoll_create1");
	else if (!add_extra(c, extra, n_extra, err) && !start_capture(c, err))
		return c;
	end_loop(&c->loop);
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

/* --- a restore --- */

struct serve {
	struct store_reader *reader;
	int sock, conn;
	bool woken; /* the store's eventfd is watched */
	struct loop loop;
};

/* Write what can be written; the source ends with its stream. */
static int feed(struct serve *s, struct source *src, struct err *err)
{
	enum store_fed fed = STORE_MORE;
	struct err why;

	while (fed == STORE_MORE)
		fed = store_feed(s->reader, src->cursor, src->fd, false, &why);
	src->stalled = fed == STORE_WAITS;
	if (fed == STORE_FULL || fed == STORE_WAITS)
		return 0;
	store_cursor_free(s->reader, src->cursor);
	end_source(&s->loop, src);
	/* criu need not read to the end. */
	if (fed != STORE_FAILED || why.num == EPIPE)
		return 0;
	*err = why;
	return -1;
}

static int begin_serving(struct serve *s, int stream, int fd, struct err *err)
{
	struct store_cursor *c = store_cursor(s->reader, (size_t)stream, err);
	struct source *src = NULL;
	int flags = fcntl(fd, F_GETFL);

	if (!c || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
		close(fd);
		return c ? err_set(err, errno, "a pipe of criu") : -1;
	}
	if (store_size(s->reader, (size_t)stream) > 65536)
		fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
	/* Only when it is full, or memory has come, there is more to do. */
	src = add_source(&s->loop, fd, stream, EPOLLOUT | EPOLLET, err);
	if (!src)
		return -1;
	src->cursor = c;
	if (!s->woken && watch_fd(&s->loop, store_ready_fd(s->reader), EPOLLIN,
				 EV_WAKE, err))
		return -1;
	s->woken = true;
	return feed(s, src, err);
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
	if (fd < 0 || begin_serving(s, stream, fd, err))
		return -1;
	return 1;
}

static int feed_stalled(struct serve *s, struct err *err)
{
	eventfd_t count;

	eventfd_read(store_ready_fd(s->reader), &count);
	for (size_t i = 0; i < s->loop.n; i++) {
		struct source *src = &s->loop.source[i];

		if (src->fd >= 0 && src->stalled && feed(s, src, err))
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
		return watch_fd(&s->loop, s->conn, EPOLLIN, EV_CONN, err);
	case EV_CONN:
		got = answer(s, err);
		if (!got)
			release_fd(&s->conn);
		return got < 0 ? -1 : 0;
	case EV_WAKE:
		return feed_stalled(s, err);
	default:
		if (e->data.u64 >= s->loop.n)
			return 0;
		src = &s->loop.source[e->data.u64];
		return src->fd >= 0 ? feed(s, src, err) : 0;
	}
}

static int serve(int sock, struct store_reader *r, struct err *err)
{
	struct serve s = {.reader = r, .sock = sock, .conn = -1};
	struct epoll_event e[16];
	int n, ret = 0;

	signal(SIGPIPE, SIG_IGN);
	s.loop.poll = epoll_create1(EPOLL_CLOEXEC);
	if (s.loop.poll < 0)
		ret = err_set(err, errno, "epoll_create1");
	if (!ret)
		ret = watch_fd(&s.loop, sock, EPOLLIN, EV_LISTEN, err);
	while (!ret && (s.sock >= 0 || s.conn >= 0 || s.loop.open)) {
		n = epoll_wait(s.loop.poll, e, LEN(e), -1);
		if (n < 0 && errno != EINTR)
			ret = err_set(err, errno, "epoll_wait");
		for (int i = 0; !ret && i < n; i++)
			ret = on_serve(&s, &e[i], err);
	}
	end_loop(&s.loop);
	release_fd(&s.sock);
	release_fd(&s.conn);
	return ret;
}

pid_t stream_serve(int dir, struct store_reader *r, struct err *failure)
{
	int sock = request_listen(dir, serve_name, failure);
	pid_t pid = sock < 0 ? -1 : fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "checkpt-images");
		_exit(serve(sock, r, failure) ? 1 : 0);
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
