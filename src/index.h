/* SPDX-License-Identifier: GPL-2.0-or-later */
/* index.h - which streams a generation has, and where their pages are */
#ifndef INDEX_H
#define INDEX_H

#include <jansson.h>
#include <stdint.h>

#include "err.h"
#include "pack.h"
#include "spool.h"

/*
 * The file is a head and sections, each at a multiple of 16; all of it is
 * mapped. docs/store-format.md explains it. Pages are numbered as they came,
 * all streams together, pages of zeros and the ends of streams (less than a
 * page, kept in the index) not counted.
 */

#define INDEX_MAGIC   "CKPTINDX"
#define INDEX_VERSION 1

enum index_section {
	S_STREAMS, /* struct index_stream */
	S_NAMES,   /* of the streams, each with a NUL behind it */
	S_TAILS,   /* the ends of the streams */
	S_EXTENTS, /* struct index_extent, in the order of their pages */
	S_PACKS,   /* struct index_pack, by generation */
	S_HASHES,  /* struct page_hash of each page */
	S_SLOTS,   /* uint32_t: a table to find pages by their hashes */
	N_SECTIONS
};

struct page_hash {
	uint64_t low, high; /* XXH3-128 with the seed of the step */
};

struct index_part {
	uint64_t offset, size; /* bytes */
};

struct index_head {
	unsigned char magic[8];
	uint32_t version, gen;
	uint64_t seed;
	uint64_t memory, fresh; /* bytes of streams; of pages stored here */
	uint64_t manifest_size;
	struct page_hash manifest; /* of its text, with seed 0 */
	struct page_hash body;     /* of all behind the head */
	struct index_part part[N_SECTIONS];
	uint64_t check; /* XXH3-64 of all before it */
};

struct index_stream {
	uint64_t size;
	uint64_t tail;     /* where its end is in S_TAILS */
	uint32_t name;     /* where its name is in S_NAMES */
	uint16_t name_len; /* without the NUL */
	uint16_t tail_len;
};

struct index_extent {
	uint32_t first; /* number of its first page; zeros: of the next one */
	uint32_t count; /* pages */
	uint32_t stream;
	uint32_t gen; /* of the pack; 0: all zeros */
	uint64_t at;  /* its first page in that pack */
};

struct index_pack {
	uint32_t gen;
	uint32_t pages; /* of that pack, that this generation has */
	uint64_t size;
	struct pack_id id;
};

/* --- reading --- */

struct index {
	const struct index_head *head; /* the mapped file */
	size_t size;
	const struct index_stream *streams;
	const struct index_extent *extents;
	const struct index_pack *packs;
	const struct page_hash *hashes;
	const uint32_t *slots;
	uint32_t n_streams, n_extents, n_packs, n_pages;
	uint64_t n_slots;
};

/* Map an index and check all of it. -1 with *err. */
int index_open(struct index *x, int step, unsigned gen, struct err *err);
void index_close(struct index *x);

/*
 * Read the head only, checked by itself, and the list of packs, if packs is
 * not NULL: an array of head->part[S_PACKS].size bytes (free).
 */
int index_peek(int step, unsigned gen, struct index_head *head,
	struct index_pack **packs, struct err *err);

/* Let go of the memory that what was read of it takes; it stays mapped. */
void index_forget(const struct index *x);

static inline const char *index_name_at(const struct index *x, uint32_t stream)
{
	return (const char *)x->head + x->head->part[S_NAMES].offset +
	       x->streams[stream].name;
}

static inline const unsigned char *index_tail_at(
	const struct index *x, uint32_t stream)
{
	return (const unsigned char *)x->head + x->head->part[S_TAILS].offset +
	       x->streams[stream].tail;
}

/* The entry of the pack of generation gen; NULL: not needed. */
const struct index_pack *index_pack_of(const struct index *x, uint32_t gen);

/*
 * The extent that has page number n (not one of zeros), near the extent hint
 * if there are many. There must be such a page.
 */
uint32_t index_extent_of(const struct index *x, uint32_t n, uint32_t hint);

/*
 * The table of S_SLOTS for n pages: 2 n slots, in windows of at most
 * INDEX_WINDOW, so that it can be made with little memory. A slot is 0 or, in
 * its lower bits (as many as n needs), the number of a page plus 1, and above
 * that as many bits of its hash. A page is in the window and at or behind the
 * place that its hash gives, before the next empty slot, around the window's
 * end.
 */
#define INDEX_WINDOW (1U << 22)

struct index_slots {
	uint64_t windows;
	uint32_t window, number_bits;
};

struct index_slots index_slots(uint32_t pages);

/* Where a hash begins to look; the window's first slot is returned in *base. */
uint32_t index_slot(
	const struct index_slots *s, const struct page_hash *h, uint64_t *base);

/* What a slot has above the number, for this hash. */
uint32_t index_slot_tag(const struct index_slots *s, const struct page_hash *h);

/* --- writing --- */

/*
 * Write the index of generation gen aside, from its sections, without
 * S_SLOTS, which is made from S_HASHES. head has gen, seed, memory, fresh and
 * what there is to know of the manifest. *size is that of the file.
 */
int index_write(int step, struct index_head *head,
	struct spool parts[N_SECTIONS], uint64_t *size, struct err *err);

/* Rename it: the commit. */
int index_commit(int step, unsigned gen, struct err *err);

/* The name of a generation's index, and while it is being written. */
void index_name(unsigned gen, char buf[24]);
void index_new_name(unsigned gen, char buf[24]);

#endif
