/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "spool.h"

#include <fcntl.h>
#include <string.h>

#include "disk.h"
#include "util.h"

#define HOLD 65536U

/* NFS, among others, has no O_TMPFILE. */
static int named_and_removed(int dir)
{
	static const char name[] = ".spool";
	int fd = openat(dir, name,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	/* One that a crash left between the two calls. */
	if (fd < 0 && errno == EEXIST && !unlinkat(dir, name, 0))
		fd = openat(dir, name,
			O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0600);
	if (fd >= 0 && unlinkat(dir, name, 0))
		release_fd(&fd);
	return fd;
}

int spool_open(struct spool *s, int dir, struct err *err)
{
	*s = (struct spool){
		.fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
	if (s->fd < 0)
		s->fd = named_and_removed(dir);
	if (s->fd < 0)
		return err_set(err, errno, "make a temporary file");
	s->hold = xcalloc(1, HOLD);
	return 0;
}

int spool_flush(struct spool *s, struct err *err)
{
	if (write_all(s->fd, s->hold, s->held))
		return disk_error("a temporary file", err);
	s->held = 0;
	return 0;
}

int spool_add(struct spool *s, const void *data, size_t n, struct err *err)
{
	const unsigned char *p = data;

	s->size += n;
	while (n > 0) {
		size_t part = HOLD - s->held < n ? HOLD - s->held : n;

		memcpy(s->hold + s->held, p, part);
		s->held += part;
		p += part;
		n -= part;
		if (s->held == HOLD && spool_flush(s, err))
			return -1;
	}
	return 0;
}

void spool_close(struct spool *s)
{
	if (!s->hold)
		return;
	free(s->hold);
	release_fd(&s->fd);
	*s = (struct spool){.fd = -1};
}
