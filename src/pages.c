/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pages.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "util.h"

/*
 * Processes that have forked from each other share pages, which criu gives
 * once for each: so many of the last pages of this generation are known by
 * their hashes as well. A power of two.
 */
#define RECENT (1U << 16)

/* Lookups between two looks at how much memory the mapped index takes. */
#define FORGET_AFTER 256
#define FORGET_ABOVE (12U << 20)

struct recent {
	struct page_hash hash;
	struct page_place place; /* gen 0: empty */
};

struct pages {
	const struct index *base;
	struct index_slots slots;
	uint64_t seed;
	bool (*stale)(const void *arg, uint32_t gen);
	const void *arg;
	struct recent *recent;
	unsigned lookups; /* since memory was looked at */
};

struct pages *pages_new(const struct index *base, uint64_t seed,
	bool (*stale)(const void *arg, uint32_t gen), const void *arg)
{
	struct pages *p = xcalloc(1, sizeof(*p));

	p->base = base;
	p->seed = seed;
	p->stale = stale;
	p->arg = arg;
	p->recent = xcalloc(RECENT, sizeof(*p->recent));
	if (base)
		p->slots = index_slots(base->n_pages);
	return p;
}

void pages_free(struct pages *p)
{
	if (!p)
		return;
	free(p->recent);
	free(p);
}

struct page_cursor pages_cursor(const struct pages *p, const char *name)
{
	const struct index *x = p->base;
	size_t len = strlen(name);

	for (uint32_t s = 0; x && s < x->n_streams; s++) {
		if (x->streams[s].name_len != len ||
			memcmp(index_name_at(x, s), name, len))
			continue;
		for (uint32_t e = 0; e < x->n_extents; e++)
			if (x->extents[e].stream == s && x->extents[e].gen)
				return (struct page_cursor){
					x->extents[e].first, e};
	}
	return (struct page_cursor){UINT32_MAX, 0};
}

bool pages_is_zero(const unsigned char *page)
{
	uint64_t words[2];

	/* Most pages differ early; then it is compared with itself, moved. */
	memcpy(words, page, sizeof(words));
	return !(words[0] | words[1]) && !memcmp(page, page + 16, PAGE - 16);
}

struct page_hash pages_hash(const struct pages *p, const unsigned char *page)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(page, PAGE, p->seed);

	return (struct page_hash){h.low64, h.high64};
}

static bool same(const struct page_hash *a, const struct page_hash *b)
{
	return a->low == b->low && a->high == b->high;
}

/* The memory of a mapped file that was read counts as this process's. */
static void limit_memory(struct pages *p)
{
	unsigned long size, resident, shared;
	auto_file FILE *f = NULL;

	if (++p->lookups < FORGET_AFTER)
		return;
	p->lookups = 0;
	f = fopen("/proc/self/statm", "re");
	if (f && fscanf(f, "%lu %lu %lu", &size, &resident, &shared) == 3 &&
		shared * (unsigned long)sysconf(_SC_PAGESIZE) > FORGET_ABOVE)
		index_forget(p->base);
}

/* The number of a page with this hash in the generation before. */
static bool look_up(
	struct pages *p, const struct page_hash *h, uint32_t *number)
{
	const struct index *x = p->base;
	uint32_t mask = (uint32_t)((1ULL << p->slots.number_bits) - 1);
	uint32_t tag = index_slot_tag(&p->slots, h), at, slot;
	uint64_t window;

	limit_memory(p);
	at = index_slot(&p->slots, h, &window);
	for (uint32_t i = 0; i < p->slots.window; i++) {
		slot = x->slots[window + at];
		if (!slot)
			return false;
		*number = (slot & mask) - 1;
		if ((slot & ~mask) == tag && *number < x->n_pages &&
			same(&x->hashes[*number], h))
			return true;
		at = at + 1 < p->slots.window ? at + 1 : 0;
	}
	return false;
}

static bool find_before(struct pages *p, struct page_cursor *c,
	const struct page_hash *h, struct page_place *place)
{
	const struct index *x = p->base;
	const struct index_extent *e;
	uint32_t number = c->next;

	if (number >= x->n_pages || !same(&x->hashes[number], h)) {
		/* Probably it has changed, and the next one has not. */
		if (c->next < x->n_pages)
			c->next++;
		if (!x->n_pages || !look_up(p, h, &number))
			return false;
	}
	c->next = number + 1;
	c->extent = index_extent_of(x, number, c->extent);
	e = &x->extents[c->extent];
	*place = (struct page_place){e->gen, e->at + (number - e->first)};
	return !p->stale(p->arg, e->gen);
}

static struct recent *recent_of(struct pages *p, const struct page_hash *h)
{
	return &p->recent[h->low & (RECENT - 1)];
}

bool pages_find(struct pages *p, struct page_cursor *c,
	const struct page_hash *h, struct page_place *place)
{
	const struct recent *r = recent_of(p, h);

	if (p->base && find_before(p, c, h, place))
		return true;
	if (!r->place.gen || !same(&r->hash, h))
		return false;
	*place = r->place;
	return true;
}

void pages_add(struct pages *p, const struct page_hash *h,
	const struct page_place *place)
{
	*recent_of(p, h) = (struct recent){*h, *place};
}
