/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "output.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util.h"

static void kept_name(int stream, char name[16])
{
	snprintf(name, 16, "output-%d", stream);
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
	out = openat(
		step, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0 || fstat(out, &have))
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
	in = openat(step, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return errno == ENOENT ? 0
				       : err_set(err, errno, "open %s", name);
	if (fstat(in, &have))
		return err_set(err, errno, "read %s", name);
	if (copy_range(in, stream, st->st_size, have.st_size) ||
		lseek(stream, 0, SEEK_END) < 0)
		return err_set(err, errno, "put back the output of %s", name);
	return 0;
}

int output_put_back(int step, struct err *err)
{
	struct stat st;

	for (int i = 1; i < 3; i++)
		if (is_at_risk(i, &st) && put_back_one(step, i, &st, err))
			return -1;
	return 0;
}
