/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>

#include "log.h"

static void *need_memory(void *p)
{
	if (!p) {
		log_error("out of memory");
		exit(EX_OSERR);
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	/* calloc(0, x) may return NULL, which is no failure. */
	return need_memory(calloc(n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return need_memory(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return need_memory(n < 0 ? NULL : text);
}

int write_all(int fd, const void *buf, size_t n)
{
	const char *at = buf;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = EIO;
		if (done <= 0)
			return -1;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Open a regular file for reading; a FIFO must not block the open. */
static int open_regular(
	int dirfd, const char *name, off_t *size, struct err *err)
{
	auto_close int fd = openat(
		dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return err_set(err, 0, "%s is a symbolic link", name);
	if (fd < 0)
		return err_set(err, errno, "cannot open %s", name);
	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "cannot examine %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, 0, "%s is not a regular file", name);
	*size = st.st_size;
	return steal_fd(&fd);
}

int open_own_file(int dirfd, const char *name, int flags, struct err *err)
{
	/* Not to wait for the other end of a FIFO. */
	auto_close int fd = openat(
		dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 && (errno == ELOOP || errno == ENXIO || errno == EISDIR))
		return err_set(
			err, errno, "%s is not a regular file of yours", name);
	if (fd < 0 || fstat(fd, &st))
		return err_set(err, errno, "open %s", name);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return err_set(
			err, 0, "%s is not a regular file of yours", name);
	return steal_fd(&fd);
}

/* Read up to n bytes, fewer only at the end of the file. */
static ssize_t read_up_to(int fd, char *buf, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(fd, buf + have, n - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

char *read_file_at(
	int dirfd, const char *name, size_t max, size_t *len, struct err *err)
{
	off_t told = 0;
	auto_close int fd = open_regular(dirfd, name, &told, err);
	size_t have = 0, room;
	char *buf = NULL;

	if (fd < 0)
		return NULL;
	if (told > 0 && (uintmax_t)told > max)
		goto too_large;
	/* The size is a hint only: files of /proc have none, others grow. */
	room = told > 0 ? (size_t)told + 1 : 4096;
	buf = xcalloc(room + 1, 1);
	for (;;) {
		ssize_t n = read_up_to(fd, buf + have, room - have);

		if (n < 0) {
			err_set(err, errno, "cannot read %s", name);
			goto fail;
		}
		have += (size_t)n;
		if (have > max)
			goto too_large;
		if (have < room)
			break;
		room *= 2;
		buf = need_memory(realloc(buf, room + 1));
	}
	buf[have] = '\0';
	if (len)
		*len = have;
	return buf;
too_large:
	err_set(err, EFBIG, "%s has more than %zu bytes", name, max);
fail:
	free(buf);
	return NULL;
}

/* Make the rename of NAME last: it is an entry of NAME's directory. */
static int sync_parent(int dirfd, const char *name)
{
	const char *slash = strrchr(name, '/');
	auto_free char *dir =
		!slash ? xstrdup(".")
		       : xasprintf("%.*s/", (int)(slash - name), name);
	auto_close int fd =
		openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	/* EINVAL: a file system without it, which has nothing to sync. */
	return fsync(fd) < 0 && errno != EINVAL ? -1 : 0;
}

/* Create the file anew, with the data safely on the disk. */
static int write_new(int dirfd, const char *name, const void *data, size_t n)
{
	auto_close int fd = -1;

	/* What a crash, or somebody else, left there is not written through. */
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(dirfd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (write_all(fd, data, n) < 0 || fsync(fd) < 0)
		return -1;
	/* Over NFS, close() is where a full disk may be told. */
	return close(steal_fd(&fd));
}

int write_file_at(int dirfd, const char *name, const void *data, size_t n,
	struct err *err)
{
	auto_free char *temp = xasprintf("%s.new", name);

	if (write_new(dirfd, temp, data, n) < 0) {
		err_set(err, errno, "cannot write %s", temp);
		goto undo;
	}
	if (renameat(dirfd, temp, dirfd, name) < 0) {
		err_set(err, errno, "cannot rename %s to %s", temp, name);
		goto undo;
	}
	if (sync_parent(dirfd, name) < 0)
		return err_set(
			err, errno, "cannot sync the directory of %s", name);
	return 0;
undo:
	/* Left over, it does no harm: the next write removes it. */
	(void)unlinkat(dirfd, temp, 0);
	return -1;
}

static double now(clockid_t clock)
{
	struct timespec t = {0, 0};

	/* Cannot fail with a clock that exists, and both always do. */
	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double now_wall(void)
{
	return now(CLOCK_REALTIME);
}

double now_mono(void)
{
	return now(CLOCK_MONOTONIC);
}

unsigned cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

uint64_t hash_text(const char *text, uint64_t seed)
{
	uint64_t h = seed ? seed : 0xcbf29ce484222325;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3;
	return h;
}

void ignore_sent_signals(void)
{
	static const int own[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
		SIGSEGV, SIGSYS, SIGPIPE, SIGCHLD, SIGXFSZ, SIGKILL, SIGSTOP};
	size_t i;

	for (int sig = 1; sig < SIGRTMIN; sig++) {
		for (i = 0; i < LEN(own) && own[i] != sig; i++)
			;
		if (i == LEN(own))
			signal(sig, SIG_IGN);
	}
}
