/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pages.h - pages by their content: which are stored already, and where */
#ifndef PAGES_H
#define PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "index.h"

struct page_place {
	uint32_t gen; /* of the pack */
	uint64_t at;  /* page in that pack */
};

/* Where a stream's pages were found last, in the generation before. */
struct page_cursor {
	uint32_t next;   /* the page that is tried first */
	uint32_t extent; /* near the last one found */
};

struct pages;

/*
 * Look pages up in the generation before, if base is not NULL (borrowed), and
 * in what has come lately. Pages in packs for which stale() is true count as
 * unknown. seed is that of the hashes.
 */
struct pages *pages_new(const struct index *base, uint64_t seed,
	bool (*stale)(const void *arg, uint32_t gen), const void *arg);
void pages_free(struct pages *p);

/* For a stream of this name: at the first page of the one before. */
struct page_cursor pages_cursor(const struct pages *p, const char *name);

bool pages_is_zero(const unsigned char *page);
struct page_hash pages_hash(const struct pages *p, const unsigned char *page);

/*
 * Is there such a page? First the one behind the last that was found is
 * compared: what a program does not change comes in the same order again.
 */
bool pages_find(struct pages *p, struct page_cursor *c,
	const struct page_hash *h, struct page_place *place);

/* Remember a page that has just been stored. */
void pages_add(struct pages *p, const struct page_hash *h,
	const struct page_place *place);

#endif
