/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

static void kept_name(int stream, char name[16])
{
	snprintf(name, 16, "output-%d", stream);
}

#define NONE_KEPT (-2)

/* A descriptor, NONE_KEPT or -1. */
static int open_kept(int dir, const char *name, int flags, struct err *err)
{
	if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
		return NONE_KEPT;
	return open_own_file(dir, name, flags, err);
}

/* Would a rerun of the script empty the file behind this stream? */
static bool is_at_risk(int stream, struct stat *st)
{
	int flags = fcntl(stream, F_GETFL);
	struct stat out;

	if (flags < 0 || (flags & O_APPEND) ||
		(flags & O_ACCMODE) == O_RDONLY || fstat(stream, st) ||
		!S_ISREG(st->st_mode))
		return false;
	/* With 2>&1 one of the two is enough. */
	return stream == 1 || fstat(1, &out) || out.st_dev != st->st_dev ||
	       out.st_ino != st->st_ino;
}

/* Copy [from, to) to the same place in the other file. */
static int copy_range(int in, int out, off_t from, off_t to)
{
	char buf[65536];

	while (from < to) {
		size_t want = (size_t)(to - from);
		ssize_t n = pread(
			in, buf, want < sizeof(buf) ? want : sizeof(buf), from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		for (ssize_t at = 0, w; at < n; at += w) {
			w = pwrite(out, buf + at, (size_t)(n - at), from + at);
			if (w < 0)
				return -1;
		}
		from += n;
	}
	return 0;
}

static int keep_one(
	int step, int stream, const struct stat *st, struct err *err)
{
	char name[16], path[32];
	auto_close int in = -1;
	auto_close int out = -1;
	struct stat have;

	kept_name(stream, name);
	/* The stream itself may be open for writing only. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", stream);
	in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return err_set(err, errno, "read standard output's file");
	out = open_own_file(step, name, O_RDWR | O_CREAT, err);
	if (out < 0)
		return -1;
	if (fstat(out, &have))
		return err_set(err, errno, "open %s", name);
	if (copy_range(in, out, have.st_size, st->st_size) || fsync(out))
		return err_set(err, errno, "keep the output in %s", name);
	return 0;
}

int output_keep(int step, struct err *err)
{
	struct stat st;

	for (int i = 1; i < 3; i++)
		if (is_at_risk(i, &st) && keep_one(step, i, &st, err))
			return -1;
	return 0;
}

static int put_back_one(
	int step, int stream, const struct stat *st, struct err *err)
{
	auto_close int in = -1;
	struct stat have;
	char name[16];

	kept_name(stream, name);
	in = open_kept(step, name, O_RDONLY, err);
	if (in < 0)
		return in == NONE_KEPT ? 0 : -1;
	if (fstat(in, &have))
		return err_set(err, errno, "read %s", name);
	if (copy_range(in, stream, st->st_size, have.st_size) ||
		lseek(stream, 0, SEEK_END) < 0)
		return err_set(err, errno, "put back the output of %s", name);
	return 0;
}

/* --- of the job --- */

/* Seen by users of the file all the same: compared to tell if it was emptied.
 */
#define HEAD 65536

/* A job may also write to a device or a pipe: then -1. */
static int open_job_file(const char *path, struct stat *st)
{
	auto_close int fd = -1;

	if (!path || stat(path, st) || !S_ISREG(st->st_mode))
		return -1;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, st) || !S_ISREG(st->st_mode))
		return -1;
	return steal_fd(&fd);
}

/* Each file of the two streams once. */
static int for_job_streams(int dir, char *const files[2],
	int (*one)(int dir, int stream, int fd, struct err *err),
	struct err *err)
{
	struct stat st, first = {0};
	int ret = 0;

	for (int i = 1; i < 3 && !ret; i++) {
		auto_close int fd = open_job_file(files[i - 1], &st);

		if (fd < 0 || (st.st_dev == first.st_dev &&
				      st.st_ino == first.st_ino))
			continue;
		first = st;
		ret = one(dir, i, fd, err);
	}
	return ret;
}

static int keep_job_stream(int dir, int stream, int fd, struct err *err)
{
	auto_close int out = -1;
	struct stat st, have;
	char name[16];

	kept_name(stream, name);
	out = open_own_file(dir, name, O_RDWR | O_CREAT, err);
	if (out < 0)
		return -1;
	if (fstat(out, &have) || fstat(fd, &st))
		return err_set(err, errno, "open %s", name);
	if (copy_range(fd, out, have.st_size, st.st_size) || fsync(out))
		return err_set(err, errno, "keep the job's output");
	return 0;
}

int output_keep_job(int dir, char *const files[2], struct err *err)
{
	return for_job_streams(dir, files, keep_job_stream, err);
}

static bool was_emptied(int fd, int kept, off_t size, off_t kept_size)
{
	char now[HEAD], before[HEAD];
	ssize_t n, m;

	if (size < kept_size)
		return true;
	n = pread(kept, before, sizeof(before), 0);
	m = n > 0 ? pread(fd, now, (size_t)n, 0) : 0;
	return n != m || (n > 0 && memcmp(now, before, (size_t)n));
}

/* Move [0, size) of a file up, from its end on, as both places overlap. */
static int move_up(int fd, off_t size, off_t by)
{
	char buf[65536];

	for (off_t end = size, n; end > 0; end -= n) {
		n = end < (off_t)sizeof(buf) ? end : (off_t)sizeof(buf);
		if (pread(fd, buf, (size_t)n, end - n) != n ||
			pwrite(fd, buf, (size_t)n, end - n + by) != n)
			return -1;
	}
	return 0;
}

static int put_back_job_stream(int dir, int stream, int fd, struct err *err)
{
	auto_close int in = -1;
	struct stat st, have;
	char name[16];

	kept_name(stream, name);
	in = open_kept(dir, name, O_RDONLY, err);
	if (in < 0)
		return in == NONE_KEPT ? 0 : -1;
	if (fstat(in, &have) || fstat(fd, &st))
		return err_set(err, errno, "read %s", name);
	if (!was_emptied(fd, in, st.st_size, have.st_size))
		return 0;
	if (move_up(fd, st.st_size, have.st_size) ||
		copy_range(in, fd, 0, have.st_size))
		return err_set(err, errno, "put back the job's output");
	return 0;
}

int output_put_back_job(int dir, char *const files[2], struct err *err)
{
	return for_job_streams(dir, files, put_back_job_stream, err);
}

/* --- of a step --- */

int output_put_back(int step, struct err *err)
{
	struct stat st;

	for (int i = 1; i < 3; i++)
		if (is_at_risk(i, &st) && put_back_one(step, i, &st, err))
			return -1;
	return 0;
}

/* What is kept of standard output, the only stream that is ever cut back. */
int output_cut_back(int step, const json_t *written, struct err *err)
{
	const json_t *e;
	size_t i;

	json_array_foreach(written, i, e)
	{
		off_t size =
			(off_t)json_integer_value(json_object_get(e, "size"));
		auto_close int kept = -1;
		struct stat have;

		if (json_integer_value(json_object_get(e, "std")) != 1)
			continue;
		kept = open_kept(step, "output-1", O_WRONLY, err);
		if (kept < 0)
			return kept == NONE_KEPT ? 0 : -1;
		if (!fstat(kept, &have) && have.st_size > size &&
			ftruncate(kept, size))
			return err_set(err, errno, "cut output-1 back");
	}
	return 0;
}
