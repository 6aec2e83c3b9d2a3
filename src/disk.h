/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk.h - long writes to one file, the way that is the fastest there */
#ifndef DISK_H
#define DISK_H

#include <pthread.h>
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

/* One thread only, but for disk_speed(). */
struct disk {
	int fd;
	bool direct, never_direct;
	struct rate trial[2]; /* through the page cache, directly */
	struct rate total;

	/* What follows, and behind, is under this lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool behind;              /* written later than disk_write() says */
	struct rate speed;        /* of the disk itself */
	uint64_t written, pushed; /* offsets: into the cache, to the disk */
	uint64_t spare;           /* at most so much lies between them */
	int failed;               /* errno */
	bool finish, given_up;
	pthread_t pusher;
	bool has_pusher;
};

/* Takes fd over. */
void disk_begin(struct disk *d, int fd);

/* The most that disk_write() takes. */
#define DISK_IOV 64

/*
 * Write n pieces, bytes together, at offset: addresses, lengths and offset are
 * multiples of 4096. Each begins where the last one ended. It is on the disk
 * then, or nearly, and not in the page cache; or, if the disk is slow, a
 * quarter of the memory that is free at most waits in there. iov is changed.
 */
int disk_write(struct disk *d, struct iovec *iov, int n, uint64_t offset,
	uint64_t bytes, struct err *err);

/* How fast the disk is, in bytes a second; 0 if it is not known. */
double disk_speed(struct disk *d);

/*
 * Waits for what was written; what follows is written with write(2), at any
 * offset and length. -1 with *err.
 */
int disk_plain(struct disk *d, struct err *err);

/* Also closes the file. What waits is not waited for. */
void disk_end(struct disk *d);

/* A failure to write what, by errno, in words that help. Returns -1. */
int disk_error(const char *what, struct err *err);

#endif
