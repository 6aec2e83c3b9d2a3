/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pack.h - the pages of one generation, in compressed frames */
#ifndef PACK_H
#define PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "store.h"

#define PAGE        4096U
#define FRAME_PAGES 64U
#define FRAME_BYTES (FRAME_PAGES * PAGE)

/* --- the file; docs/store-format.md explains it --- */

struct pack_id {
	uint64_t v[2];
};

#define PACK_MAGIC      "CKPTPACK"
#define PACK_TAIL_MAGIC "CKPTTAIL"
#define PACK_VERSION    1

struct pack_head {
	unsigned char magic[8];
	uint32_t version, gen;
	uint32_t page_bytes, frame_pages;
	struct pack_id id;
	uint64_t check; /* XXH3-64 of all before it */
};

enum pack_codec {
	PACK_RAW,
	PACK_ZSTD,
};

struct pack_frame {
	uint64_t offset; /* of the stored bytes: a multiple of PAGE */
	uint32_t stored; /* how many */
	uint16_t pages;  /* how many come out: FRAME_PAGES but in the last */
	uint16_t codec;
	uint64_t check; /* XXH3-64 of the stored bytes */
};

struct pack_tail {
	uint64_t table; /* offset of the array of struct pack_frame */
	uint64_t table_check;
	uint32_t frames, pages;
	struct pack_id id;
	unsigned char magic[8];
	uint64_t check; /* of all before it */
};

/* --- writing --- */

/* A buffer to be filled with pages; from pack_frame() to pack_put(). */
struct frame {
	unsigned char *raw; /* FRAME_BYTES, aligned to PAGE */
	unsigned pages;     /* filled so far */
	/* The rest is the writer's own business. */
	struct frame *next;
	unsigned char *out;
	uint32_t number, stored;
	enum pack_codec codec;
	uint64_t check;
};

struct pack_writer;

/*
 * Begin the pack of generation gen below the directory step: threads compress,
 * one more writes. The memory taken does not depend on the size of the pack. On
 * failure there is no file, unless there was one before.
 */
struct pack_writer *pack_create(
	int step, unsigned gen, const struct store_options *o, struct err *err);

/*
 * An empty buffer, waiting until there is one; NULL with *err after a failure
 * to write, which is then repeated each time.
 */
struct frame *pack_frame(struct pack_writer *w, struct err *err);

/* Queue it: not empty, and full if another one is to follow. */
void pack_put(struct pack_writer *w, struct frame *f);

/* What the index has to know of a finished pack. */
struct pack_facts {
	struct pack_id id;
	uint64_t size; /* bytes on disk */
	uint32_t pages;
};

/* All is on the disk when this returns 0. */
int pack_finish(
	struct pack_writer *w, struct pack_facts *facts, struct err *err);

/* End the threads, and free. The file stays. */
void pack_release(struct pack_writer *w);

/* --- reading --- */

struct pack;

/*
 * Open the pack of generation gen, and check its head, tail and table. It
 * must be that of *id and have this size.
 */
struct pack *pack_open(int step, unsigned gen, const struct pack_id *id,
	uint64_t size, struct err *err);
void pack_close(struct pack *p);

/* What belongs to one thread that reads frames. */
struct pack_lane;
struct pack_lane *pack_lane_new(struct err *err);
void pack_lane_free(struct pack_lane *l);

/*
 * Frame number n will be read soon: have the disk begin. True if it is stored
 * as it is, or damaged, so that pack_read() takes no time worth a thread.
 */
bool pack_hint(struct pack *p, uint32_t n);

/* A frame, checked. */
struct pack_content {
	const unsigned char *data;
	unsigned pages;
	bool mapped;     /* data is the file itself, and not buf */
	uint64_t offset; /* then: where it is in the file */
};

/*
 * Read frame number n into buf (FRAME_BYTES) and check it. With lend set, what
 * is stored as it is is not in buf but in the mapped file: that is for pipes,
 * since who reads it himself gets SIGBUS where the disk fails. -1 with *err.
 */
int pack_read(struct pack *p, struct pack_lane *l, uint32_t n, bool lend,
	unsigned char *buf, struct pack_content *out, struct err *err);

/* A mapped frame is not needed any more; it may be read again, though. */
void pack_done(const struct pack *p, uint32_t n);

/*
 * Give n bytes of the file to a pipe, as splice(2) does, without a copy.
 */
ssize_t pack_splice(const struct pack *p, uint64_t offset, int pipe, size_t n,
	unsigned flags);

uint32_t pack_pages(const struct pack *p);

/* Give its page cache back: nobody will read it again soon. */
void pack_forget(const struct pack *p);

/* The name of a generation's pack. */
void pack_name(unsigned gen, char buf[24]);

#endif
