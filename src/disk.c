/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk.h"

#include <fcntl.h>
#include <string.h>

#include "util.h"

/* This much is tried directly, and as much through the page cache. */
#define TRIAL (16U << 20)

void rate_add(struct rate *r, double bytes, double seconds)
{
	if (r->bytes > TRIAL) {
		r->bytes /= 2;
		r->seconds /= 2;
	}
	r->bytes += bytes;
	r->seconds += seconds;
}

double rate_speed(const struct rate *r)
{
	return r->seconds > 0 ? r->bytes / r->seconds : 0;
}

int disk_error(const char *what, struct err *err)
{
	switch (errno) {
	case ENOSPC:
		return err_set(err, errno,
			"the checkpoint directory is full: free some space, or "
			"name another one with [checkpoint] dir");
	case EDQUOT:
		return err_set(err, errno,
			"your quota in the checkpoint directory is used up: "
			"free some space, or name another directory with "
			"[checkpoint] dir");
	case EFBIG:
		return err_set(err, errno,
			"%s is larger than the limit on the size of files "
			"(ulimit -f)",
			what);
	default:
		return err_set(err, errno, "write %s", what);
	}
}

static int write_at(struct disk *d, struct iovec *iov, int n, uint64_t offset,
	struct err *err)
{
	while (n > 0) {
		ssize_t done = pwritev(d->fd, iov, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return disk_error("the pack", err);
		offset += (uint64_t)done;
		for (; n > 0 && (size_t)done >= iov->iov_len; iov++, n--)
			done -= (ssize_t)iov->iov_len;
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

static void set_direct(struct disk *d, bool on)
{
	int flags = fcntl(d->fd, F_GETFL);

	if (on == d->direct || flags < 0)
		return;
	if (!fcntl(d->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT))
		d->direct = on;
	else
		d->never_direct = true;
}

/*
 * Past the page cache or through it: what is faster differs from file system
 * to file system, so both are tried.
 */
static void choose_way(struct disk *d)
{
	const struct rate *cached = &d->trial[0], *direct = &d->trial[1];
	bool better = rate_speed(direct) >= rate_speed(cached);

	if (direct->bytes < TRIAL || cached->bytes < TRIAL)
		better = direct->bytes < TRIAL;
	set_direct(d, !d->never_direct && better);
}

/* It is not needed in the page cache, and fsync has less to do. */
static void push_out(const struct disk *d, uint64_t offset, uint64_t bytes)
{
	if (!sync_file_range(d->fd, (off_t)offset, (off_t)bytes,
		    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			    SYNC_FILE_RANGE_WAIT_AFTER))
		posix_fadvise(d->fd, (off_t)offset, (off_t)bytes,
			POSIX_FADV_DONTNEED);
}

int disk_write(struct disk *d, struct iovec *iov, int n, uint64_t offset,
	uint64_t bytes, struct err *err)
{
	struct iovec copy[DISK_IOV];
	double start = now_mono();
	int ret;

	choose_way(d);
	memcpy(copy, iov, (size_t)n * sizeof(*iov));
	ret = write_at(d, iov, n, offset, err);
	/* Some file systems take the flag and refuse the write. */
	if (ret && d->direct && err->num == EINVAL) {
		d->never_direct = true;
		set_direct(d, false);
		ret = write_at(d, copy, n, offset, err);
	}
	if (!ret && !d->direct)
		push_out(d, offset, bytes);
	if (!ret && d->trial[d->direct].bytes < TRIAL)
		rate_add(&d->trial[d->direct], (double)bytes,
			now_mono() - start);
	return ret;
}

void disk_plain(struct disk *d)
{
	set_direct(d, false);
}
