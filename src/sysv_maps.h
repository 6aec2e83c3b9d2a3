/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sysv_maps.h - which process has which memory segment attached, and where */
#ifndef SYSV_MAPS_H
#define SYSV_MAPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "proc.h"

/* A segment, as /proc/sysvipc/shm has it. */
struct sysv_segment {
	int key, id;
	unsigned mode; /* with SHM_DEST and SHM_LOCKED */
	unsigned uid, gid;
	uint64_t size;      /* in bytes, as it was asked for */
	uint64_t rss, swap; /* of it, bytes that exist */
};

struct sysv_segments {
	struct sysv_segment *v;
	size_t n;
};

/* One line of that file. False if it is another one, as the first is. */
bool sysv_parse_segment(const char *line, struct sysv_segment *s);

/* The segments of the caller's namespace; release with free(s->v). */
int sysv_list_segments(struct sysv_segments *s, struct err *err);

/* A stretch of a process's memory that is a segment's. */
struct sysv_piece {
	uint64_t start, end, offset; /* bytes; offset in the segment */
	unsigned major, minor;       /* of the file system of the kernel */
	int id;
	int prot; /* PROT_READ, ... */
};

/* Is this the name of a segment in /proc/PID/maps? */
bool sysv_is_name(const char *path);

/*
 * Does this text of /proc/TID/syscall tell of a wait for semaphores, without a
 * limit of time? Then call has its number and four arguments.
 */
bool sysv_parse_wait(const char *text, uint64_t call[5]);

/* One line of /proc/PID/maps. False if it is of something else. */
bool sysv_parse_piece(const char *line, struct sysv_piece *p);

/*
 * An attachment that is still one: n pieces in their order, without a gap,
 * from the segment's first byte to its last (size of the segment in bytes).
 */
bool sysv_is_whole(const struct sysv_piece *p, size_t n, uint64_t size);

/*
 * All attachments of these processes, which must stand still:
 * [{ "pid": 1001, "id": 0, "at": ADDRESS, "size": BYTES, "readonly": false,
 *    "prot": [[START, END, PROT], ...] }, ...]; prot has what was changed with
 * mprotect(2). NULL with *err if one cannot be carried.
 */
json_t *sysv_attachments(const struct int_list *processes,
	const struct sysv_segments *segments, struct err *err);

#endif
