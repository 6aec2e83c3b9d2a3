/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util.h - ownership, whole files, clocks */
#ifndef UTIL_H
#define UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "err.h"
#include "text.h"

#define LEN(a) (sizeof(a) / sizeof(*(a)))

/* A variable so marked is released at the end of its scope, errno kept. */
#define auto_free  __attribute__((cleanup(release_mem)))
#define auto_close __attribute__((cleanup(release_fd)))
#define auto_file  __attribute__((cleanup(release_file)))

static inline void release_mem(void *p)
{
	free(*(void **)p);
}

static inline void release_fd(int *fd)
{
	int e = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = e;
}

static inline void release_file(FILE **f)
{
	int e = errno;

	if (*f)
		fclose(*f);
	errno = e;
}

/* Take the value out of a marked variable: the caller's duty from now on. */
static inline int steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

/*
 * Allocation that ends the program (EX_OSERR, with a message) when memory is
 * out. Only small, bounded sizes are asked for.
 */
void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

/* Write all n bytes; 0, or -1 with errno. Restarts after a signal. */
int write_all(int fd, const void *buf, size_t n);

/*
 * Read a whole file of at most max bytes, relative to dirfd, following no
 * symlink. Returns a NUL-terminated string that the caller frees, its length
 * in *len (len may be NULL); NULL with *err on failure.
 */
char *read_file_at(
	int dirfd, const char *name, size_t max, size_t *len, struct err *err);

/*
 * Open, or with O_CREAT make, a regular file of the caller's own: what else
 * lies in its place is told by its name, and neither followed nor waited for.
 */
int open_own_file(int dirfd, const char *name, int flags, struct err *err);

/*
 * Write a whole file so that after a crash either the old or the new content
 * is there: NAME.new, fsync, rename, fsync of the directory. Mode 0600.
 */
int write_file_at(int dirfd, const char *name, const void *data, size_t n,
	struct err *err);

/* CLOCK_REALTIME and CLOCK_MONOTONIC in seconds. */
double now_wall(void);
double now_mono(void);

/* The CPUs that this process may use, at least 1. */
unsigned cpu_count(void);

/* 64-bit FNV-1a, for names only, never for integrity. Start with seed 0. */
uint64_t hash_text(const char *text, uint64_t seed);

/*
 * Ignore the signals that others send. Slurm sends them to all processes of a
 * job, and what makes a dump, or copies the last words, has to come to its end.
 * Left as they are: those of a process's own faults, of its children and
 * of broken pipes.
 */
void ignore_sent_signals(void);

#endif
