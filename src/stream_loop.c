/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "util.h"

int loop_watch(
	struct loop *l, int fd, uint32_t events, uint64_t what, struct err *err)
{
	struct epoll_event e = {.events = events, .data.u64 = what};

	if (epoll_ctl(l->poll, EPOLL_CTL_ADD, fd, &e))
		return err_set(err, errno, "epoll_ctl");
	return 0;
}

struct source *loop_add(
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
	if (!loop_watch(l, fd, events, i, err))
		return &l->source[i];
	return NULL;
}

struct source *loop_source(struct loop *l, uint64_t what)
{
	return what < l->n && l->source[what].fd >= 0 ? &l->source[what] : NULL;
}

void loop_remove(struct loop *l, struct source *s)
{
	/* Closing would do only if nobody else had the same pipe end open. */
	epoll_ctl(l->poll, EPOLL_CTL_DEL, s->fd, NULL);
	release_fd(&s->fd);
	l->open--;
}

void loop_end(struct loop *l)
{
	for (size_t i = 0; i < l->n; i++)
		release_fd(&l->source[i].fd);
	free(l->source);
	release_fd(&l->poll);
}
