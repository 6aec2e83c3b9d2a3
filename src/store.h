/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store.h - the generations of a step: make, commit, find, read, collect */
#ifndef STORE_H
#define STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "err.h"

/*
 * A step's directory holds, for every generation, NNNN.pack (pages that no
 * earlier pack has), NNNN.index (streams, where their pages are, and their
 * hashes) and NNNN.json (the manifest). The rename of the index is the commit:
 * what has no index was never a generation. A pack outlives its generation
 * for as long as a later index refers to it. docs/store-format.md has every
 * byte.
 */

struct store_options {
	enum compression compression;
	int level;           /* of zstd */
	unsigned threads;    /* that compress or decompress; 0: one a CPU */
	unsigned full_every; /* generations that may share a page; 0: any */
	uint64_t room;       /* bytes that this generation may take; 0: any */
	/* No page may begin with these 8 bytes; NULL: any may. */
	const unsigned char *refused;
};

/* What one generation took. */
struct store_cost {
	uint64_t memory; /* bytes of all streams */
	uint64_t fresh;  /* of them, in pages that no earlier pack had */
	uint64_t bytes;  /* pack, index and manifest */
};

/* --- writing --- */

struct store_writer;

/*
 * Begin generation gen: pack and index are made aside. The newest committed
 * generation below it, if it is good, is what pages are looked up in. NULL
 * with *err.
 */
struct store_writer *store_begin(
	int step, unsigned gen, const struct store_options *o, struct err *err);

/* A new stream, with a number from 0. -1 with *err: a bad or a double name. */
int store_add(struct store_writer *w, const char *name, struct err *err);

/*
 * Read once from fd, a pipe or a file, into the stream. Returns how much came,
 * 0 at the end of file, -1 with *err (errno EAGAIN is an error, too).
 */
ssize_t store_take(struct store_writer *w, int stream, int fd, struct err *err);

/*
 * Commit: when this returns 0, the generation is on the disk and will be
 * found. manifest is an object; the function adds to it and does not take it
 * over. The writer is freed in any case. On failure nothing of the
 * generation is left.
 */
int store_commit(struct store_writer *w, json_t *manifest,
	struct store_cost *cost, struct err *err);

/* Give up: nothing of the generation is left. */
void store_abandon(struct store_writer *w);

/* --- finding --- */

/* The newest committed generation below the given one; 0 if there is none. */
unsigned store_newest(int step, unsigned below);

/* The number for the next generation: above every one that left a trace. */
unsigned store_next(int step);

/*
 * Read the manifest of a generation and check it against the index. Returns
 * the manifest (json_decref), or NULL with *err.
 */
json_t *store_manifest(int step, unsigned gen, struct err *err);

/* --- reading --- */

struct store_reader;

/*
 * Open a committed generation; the index is checked wholly, and that its packs
 * are there with their sizes. NULL with *err.
 */
struct store_reader *store_open(int step, unsigned gen, struct err *err);
void store_close(struct store_reader *r);

size_t store_streams(const struct store_reader *r);
const char *store_name(const struct store_reader *r, size_t stream);
uint64_t store_size(const struct store_reader *r, size_t stream);

/* The number of the stream with this name, or -1. */
int store_find(const struct store_reader *r, const char *name);

/*
 * Write a whole stream to fd, every byte checked. -1 with *err, which begins
 * with "generation N is damaged" if it is.
 */
int store_copy(struct store_reader *r, size_t stream, int fd, struct err *err);

/*
 * The same for many streams at once, to descriptors that do not block. A
 * cursor is a place in a stream, first its beginning. NULL with *err.
 */
struct store_cursor;

/*
 * Before the first cursor: all descriptors will be pipes, whose readers want
 * the data as they are, so they are not copied where they need not be.
 */
void store_lend(struct store_reader *r);

struct store_cursor *store_cursor(
	struct store_reader *r, size_t stream, struct err *err);
void store_cursor_free(struct store_reader *r, struct store_cursor *c);

/* Bytes of the stream behind it. */
uint64_t store_left(const struct store_cursor *c);

enum store_fed {
	STORE_MORE,  /* something was written, and there is more */
	STORE_FULL,  /* the descriptor takes no more now */
	STORE_WAITS, /* more will be in memory when store_ready_fd() says so */
	STORE_DONE,
	STORE_FAILED, /* *err */
};

/* Write what can be written; with wait set never STORE_WAITS. */
enum store_fed store_feed(struct store_reader *r, struct store_cursor *c,
	int fd, bool wait, struct err *err);

/* An eventfd: read it when it is readable. From the first cursor on. */
int store_ready_fd(const struct store_reader *r);

/* Read everything and check every page against its hash. */
int store_verify(struct store_reader *r, struct err *err);

/* --- keeping house --- */

/*
 * Forget a generation, committed or not, and packs that no index refers to any
 * more. A missing one is no error.
 */
int store_remove(int step, unsigned gen, struct err *err);

/*
 * Remove what interrupted dumps left, all committed generations but the
 * newest keep, and packs that no index refers to. Best effort: what cannot be
 * removed is told with log_warn().
 */
void store_collect(int step, unsigned keep);

/* What one committed generation holds, and what its removal would give back. */
struct store_info {
	unsigned gen;
	uint64_t memory; /* bytes of all streams */
	uint64_t fresh;  /* of them, first stored by this generation */
	uint64_t unique; /* bytes on disk that no other generation needs */
	uint64_t shared; /* bytes of packs that others need as well */
};

/*
 * All committed generations of a step, oldest first; *n of them (free). A
 * damaged index gives memory 0. NULL with *n 0 if there is none.
 */
struct store_info *store_list(int step, size_t *n);

/* Bytes on disk of everything in the step's directory. */
uint64_t store_usage(int step);

#endif
