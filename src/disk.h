/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk.h - long writes to one file, the way that is the fastest there */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "err.h"

/* How fast something has gone, lately: the past counts less and less. */
struct rate {
	double bytes, seconds;
};

void rate_add(struct rate *r, double bytes, double seconds);

/* Bytes a second, 0 if it is not known. */
double rate_speed(const struct rate *r);

/* Zeroed but for fd, to begin with. One thread only. */
struct disk {
	int fd;
	bool direct, never_direct;
	struct rate trial[2]; /* through the page cache, directly */
};

/* The most that disk_write() takes. */
#define DISK_IOV 64

/*
 * Write n pieces, bytes together, at offset: addresses, lengths and offset are
 * multiples of 4096. It is on the disk then, or nearly, and not in the page
 * cache. iov is changed.
 */
int disk_write(struct disk *d, struct iovec *iov, int n, uint64_t offset,
	uint64_t bytes, struct err *err);

/* What follows is written with write(2), at any offset and length. */
void disk_plain(struct disk *d);

/* A failure to write what, by errno, in words that help. Returns -1. */
int disk_error(const char *what, struct err *err);

#endif
