/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util.h - ownership, and small helpers that belong to no module */
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
 * Write a whole file so that after a crash either the old or the new content
 * is there: NAME.new, fsync, rename, fsync of the directory. Mode 0600.
 */
int write_file_at(int dirfd, const char *name, const void *data, size_t n,
	struct err *err);

/*
 * "90", "90s", "10m", "2h30m", "1d", "1-12:00:00", "30:00" (minutes:seconds),
 * "1:30:00" to seconds. Slurm's forms are those of sbatch(1), --time, except
 * that a bare number is seconds here. Returns 0, or -1 with *err.
 */
int parse_duration(const char *text, double *seconds, struct err *err);

/* "4096", "64K", "1.5G", "2T" (powers of 1024) to bytes. */
int parse_size(const char *text, uint64_t *bytes, struct err *err);

/* "USR1", "SIGUSR1", "10" to a signal number, or -1. */
int parse_signal(const char *text);

/* "USR1"; "SIG42"-style numbers for those without a name. Static storage. */
const char *signal_name(int sig);

/* For people: "9 s", "2 min 5 s", "1 h 3 min"; "812 KB", "1.4 GB". */
const char *show_duration(double seconds, char buf[32]);
const char *show_size(uint64_t bytes, char buf[32]);

/* CLOCK_REALTIME and CLOCK_MONOTONIC in seconds. */
double now_wall(void);
double now_mono(void);

/* 64-bit FNV-1a, for names only, never for integrity. Start with seed 0. */
uint64_t hash_text(const char *text, uint64_t seed);

/* The nearest of n words to a misspelt one, or NULL if none is near. */
const char *did_you_mean(
	const char *word, const char *const *words, size_t n);

#endif
