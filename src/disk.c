/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "util.h"

/* This much is tried directly, and as much through the page cache. */
#define TRIAL (16U << 20)

/* Bytes a second: much less than memory takes. */
#define SLOW 1e9

/* With one call that much is brought to the disk. */
#define PUSH (8U << 20)

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

/* A burst is no speed: some disks take the first megabytes in no time. */
static bool is_slow(const struct disk *d)
{
	return d->total.bytes > 2 * TRIAL && rate_speed(&d->total) < SLOW;
}

/*
 * Past the page cache or through it: what is faster differs from file system
 * to file system, so both are tried. Where both are slow, the page cache takes
 * what the program need not be stopped for.
 */
static void choose_way(struct disk *d)
{
	const struct rate *cached = &d->trial[0], *direct = &d->trial[1];
	bool better = rate_speed(direct) >= rate_speed(cached);

	if (direct->bytes < TRIAL || cached->bytes < TRIAL)
		better = direct->bytes < TRIAL;
	if (!d->behind && is_slow(d)) {
		pthread_mutex_lock(&d->lock);
		d->behind = true;
		d->speed = d->total;
		pthread_mutex_unlock(&d->lock);
	}
	set_direct(d, !d->never_direct && better && !d->behind);
}

/* --- out of the page cache --- */

/* How much may wait there, in bytes. */
static uint64_t to_spare(void)
{
	auto_free char *text =
		read_file_at(AT_FDCWD, "/proc/meminfo", 65536, NULL, NULL);
	const char *line = text ? strstr(text, "MemAvailable:") : NULL;

	return line ? strtoull(line + strlen("MemAvailable:"), NULL, 10) *
			       1024 / 4
		    : 0;
}

/*
 * An error of the disk is told once, here or by fsync, so it must not be lost.
 * 0, or its errno.
 */
static int push_out(int fd, uint64_t offset, uint64_t bytes)
{
	if (sync_file_range(fd, (off_t)offset, (off_t)bytes,
		    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			    SYNC_FILE_RANGE_WAIT_AFTER))
		return errno == EINVAL || errno == ENOSYS || errno == ESPIPE
			       ? 0
			       : errno;
	posix_fadvise(fd, (off_t)offset, (off_t)bytes, POSIX_FADV_DONTNEED);
	return 0;
}

static void *pusher(void *arg)
{
	struct disk *d = arg;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		uint64_t from, n;
		double start;
		int bad;

		while (d->written == d->pushed && !d->finish)
			pthread_cond_wait(&d->changed, &d->lock);
		from = d->pushed;
		n = d->written - from;
		if (n == 0 || d->failed || d->given_up)
			break;
		if (n > PUSH)
			n = PUSH;
		pthread_mutex_unlock(&d->lock);
		start = now_mono();
		bad = push_out(d->fd, from, n);
		pthread_mutex_lock(&d->lock);
		d->failed = bad;
		d->pushed += n;
		if (d->behind) {
			d->speed.bytes += (double)n;
			d->speed.seconds += now_mono() - start;
		}
		pthread_cond_broadcast(&d->changed);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static int start_pusher(struct disk *d, uint64_t offset, struct err *err)
{
	sigset_t all, old;
	int bad;

	if (d->has_pusher)
		return 0;
	d->pushed = d->written = offset;
	d->spare = to_spare();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	bad = pthread_create(&d->pusher, NULL, pusher, d);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	d->has_pusher = !bad;
	return bad ? err_set(err, bad, "start a thread") : 0;
}

static int failed(const struct disk *d, struct err *err)
{
	if (!d->failed)
		return 0;
	errno = d->failed;
	return disk_error("the pack", err);
}

/* The pusher's from now on; with behind set that may be later. */
static int hand_over(
	struct disk *d, uint64_t offset, uint64_t bytes, struct err *err)
{
	int ret;

	if (start_pusher(d, offset, err))
		return -1;
	pthread_mutex_lock(&d->lock);
	/* What lies between was written directly. */
	if (d->pushed == d->written)
		d->pushed = offset;
	d->written = offset + bytes;
	pthread_cond_broadcast(&d->changed);
	while (!d->failed &&
		d->written - d->pushed > (d->behind ? d->spare : 0))
		pthread_cond_wait(&d->changed, &d->lock);
	ret = failed(d, err);
	pthread_mutex_unlock(&d->lock);
	return ret;
}

static int end_pusher(struct disk *d, bool give_up, struct err *err)
{
	if (d->has_pusher) {
		pthread_mutex_lock(&d->lock);
		d->finish = true;
		d->given_up = give_up;
		pthread_cond_broadcast(&d->changed);
		pthread_mutex_unlock(&d->lock);
		pthread_join(d->pusher, NULL);
	}
	d->has_pusher = false;
	return failed(d, err);
}

/* --- the whole --- */

void disk_begin(struct disk *d, int fd)
{
	*d = (struct disk){.fd = fd};
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
}

static void measure(struct disk *d, uint64_t bytes, double seconds)
{
	if (d->trial[d->direct].bytes < TRIAL)
		rate_add(&d->trial[d->direct], (double)bytes, seconds);
	d->total.bytes += (double)bytes;
	d->total.seconds += seconds;
	pthread_mutex_lock(&d->lock);
	if (!d->behind)
		rate_add(&d->speed, (double)bytes, seconds);
	pthread_mutex_unlock(&d->lock);
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
		ret = hand_over(d, offset, bytes, err);
	if (!ret)
		measure(d, bytes, now_mono() - start);
	return ret;
}

double disk_speed(struct disk *d)
{
	double speed;

	pthread_mutex_lock(&d->lock);
	speed = rate_speed(&d->speed);
	pthread_mutex_unlock(&d->lock);
	return speed;
}

int disk_plain(struct disk *d, struct err *err)
{
	set_direct(d, false);
	return end_pusher(d, false, err);
}

void disk_end(struct disk *d)
{
	end_pusher(d, true, NULL);
	release_fd(&d->fd);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
}
