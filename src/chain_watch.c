/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "chain_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "log.h"
#include "util.h"

static int watch_path(int inotify, const char *path, uint32_t events)
{
	return inotify_add_watch(inotify, path, events) < 0 ? -1 : 0;
}

int chain_watch_begin(
	struct chain_watch *w, const struct chain *c, struct err *err)
{
	auto_free char *journal = xasprintf("%s/journal", c->path);

	*w = (struct chain_watch){.chain = c, .size = -1};
	w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->inotify < 0)
		return err_set(err, errno, "inotify");
	if (!watch_path(w->inotify, journal, IN_MODIFY))
		return 0;
	err_set(err, errno, "watch %s", journal);
	chain_watch_end(w);
	return -1;
}

void chain_watch_step(struct chain_watch *w, unsigned step)
{
	auto_free char *path = xasprintf("%s/step-%u", w->chain->path, step);

	/* Nothing but the progress is missed then. */
	if (watch_path(w->inotify, path, IN_CLOSE_WRITE | IN_DELETE))
		log_debug("cannot watch %s", path);
}

static void drain(int inotify)
{
	char events[4096];

	while (read(inotify, events, sizeof(events)) > 0)
		;
}

enum watched chain_watch_wait(struct chain_watch *w, int fd, double seconds)
{
	struct pollfd p[2] = {
		{.fd = w->inotify, .events = POLLIN},
		{.fd = fd, .events = POLLIN},
	};
	int n;

	do
		n = poll(p, LEN(p), seconds < 0 ? -1 : (int)(seconds * 1000));
	while (n < 0 && errno == EINTR);
	if (p[0].revents)
		drain(w->inotify);
	if (n > 0 && p[1].revents)
		return WATCH_FD;
	return n > 0 ? WATCH_CHANGED : WATCH_TIME;
}

bool chain_watch_grown(struct chain_watch *w)
{
	off_t before = w->size;
	struct stat st;

	if (fstat(w->chain->journal, &st))
		return false;
	w->size = st.st_size;
	return w->size != before;
}

void chain_watch_end(struct chain_watch *w)
{
	release_fd(&w->inotify);
}
