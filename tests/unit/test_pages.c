/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "index.h"
#include "pages.h"
#include "tree.h"
#include "util.h"

#define SEED 42

struct fixture {
	char path[64];
	int dir;
	struct index base;
	struct pages *pages;
	uint32_t stale; /* a generation */
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	snprintf(f->path, sizeof(f->path), "/tmp/test_pages.XXXXXX");
	if (!mkdtemp(f->path))
		return -1;
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->dir < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc = remove_tree(f->path);

	pages_free(f->pages);
	index_close(&f->base);
	close(f->dir);
	free(f);
	return rc;
}

static bool is_stale(const void *arg, uint32_t gen)
{
	const struct fixture *f = arg;

	return gen == f->stale;
}

/* --- a generation before --- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* As good as that of a page whose content is number n. */
static struct page_hash hash_of(uint64_t n)
{
	return (struct page_hash){mix(n), mix(mix(n) + n)};
}

static void fill(struct spool *s, const void *data, size_t n)
{
	struct err err;

	assert_int_equal(spool_add(s, data, n, &err), 0);
}

static void add_stream(struct spool *part, uint64_t pages, const char *name)
{
	struct index_stream s = {
		.size = pages * PAGE,
		.name = (uint32_t)part[S_NAMES].size,
		.name_len = (uint16_t)strlen(name),
	};

	fill(&part[S_STREAMS], &s, sizeof(s));
	fill(&part[S_NAMES], name, strlen(name) + 1);
}

/*
 * Generation 9 with these extents, of streams "pages-1" and "pages-12", where
 * page n has the content n modulo contents.
 */
static void make_base(struct fixture *f, const struct index_extent *e, size_t n,
	uint64_t contents)
{
	struct index_head h = {.gen = 9, .seed = SEED};
	struct spool part[N_SECTIONS] = {0};
	uint64_t pages[2] = {0}, size, numbered = 0;
	struct err err = {0};

	for (size_t i = 0; i < S_SLOTS; i++)
		assert_int_equal(spool_open(&part[i], f->dir, &err), 0);
	for (size_t i = 0; i < n; i++) {
		pages[e[i].stream] += e[i].count;
		if (e[i].gen)
			numbered += e[i].count;
	}
	add_stream(part, pages[0], "pages-1");
	add_stream(part, pages[1], "pages-12");
	fill(&part[S_EXTENTS], e, n * sizeof(*e));
	for (uint32_t gen = 1; gen < 4; gen++) {
		struct index_pack p = {.gen = gen};

		fill(&part[S_PACKS], &p, sizeof(p));
	}
	for (uint64_t i = 0; i < numbered; i++) {
		struct page_hash hash = hash_of(i % contents);

		fill(&part[S_HASHES], &hash, sizeof(hash));
	}
	if (index_write(f->dir, &h, part, &size, &err) ||
		index_commit(f->dir, 9, &err) ||
		index_open(&f->base, f->dir, 9, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < N_SECTIONS; i++)
		spool_close(&part[i]);
	f->pages = pages_new(&f->base, SEED, is_stale, f);
}

/* 20 pages: 0 to 11 and 14 to 17 of pages-1, the others of pages-12. */
static const struct index_extent few[] = {
	{0, 4, 0, 1, 100},
	{4, 3, 0, 0, 0},
	{4, 8, 0, 2, 0},
	{12, 2, 1, 3, 50},
	{14, 4, 0, 1, 10},
	{18, 1, 1, 0, 0},
	{18, 2, 1, 3, 7},
};

static const uint64_t where[] = {100, 101, 102, 103, 0, 1, 2, 3, 4, 5, 6, 7, 50,
	51, 10, 11, 12, 13, 7, 8};
static const uint32_t pack[] = {
	1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 1, 1, 1, 1, 3, 3};

static void want(const struct fixture *f, struct page_cursor *c, uint32_t n)
{
	struct page_hash h = hash_of(n);
	struct page_place place = {0};

	if (!pages_find(f->pages, c, &h, &place))
		fail_msg("page %u was not found", n);
	assert_int_equal(place.gen, pack[n]);
	assert_int_equal(place.at, where[n]);
}

static void want_not(const struct fixture *f, struct page_cursor *c, uint32_t n)
{
	struct page_hash h = hash_of(n);
	struct page_place place;

	if (pages_find(f->pages, c, &h, &place))
		fail_msg("page %u was found", n);
}

/* --- found --- */

static void test_in_order(void **state)
{
	struct fixture *f = *state;
	struct page_cursor c, d;

	make_base(f, few, LEN(few), UINT64_MAX);
	c = pages_cursor(f->pages, "pages-1");
	d = pages_cursor(f->pages, "pages-12");
	assert_int_equal(c.next, 0);
	assert_int_equal(d.next, 12);
	for (uint32_t n = 0; n < 12; n++)
		want(f, &c, n);
	for (uint32_t n = 12; n < 14; n++)
		want(f, &d, n);
	for (uint32_t n = 14; n < 18; n++)
		want(f, &c, n);
	for (uint32_t n = 18; n < 20; n++)
		want(f, &d, n);
	want_not(f, &c, 20);
}

static void test_names_are_compared_wholly(void **state)
{
	static const char *const names[] = {"", "pages-", "pages-123", "core"};
	struct fixture *f = *state;

	make_base(f, few, LEN(few), UINT64_MAX);
	for (size_t i = 0; i < LEN(names); i++) {
		struct page_cursor c = pages_cursor(f->pages, names[i]);

		assert_int_equal(c.next, UINT32_MAX);
		want(f, &c, 3);
		want(f, &c, 4);
	}
}

static void test_a_page_has_changed(void **state)
{
	struct fixture *f = *state;
	struct page_cursor c;

	make_base(f, few, LEN(few), UINT64_MAX);
	c = pages_cursor(f->pages, "pages-1");
	want(f, &c, 0);
	want_not(f, &c, 1000);
	/* Without a look into the table. */
	assert_int_equal(c.next, 2);
	want(f, &c, 2);
	want_not(f, &c, 1001);
	want_not(f, &c, 1002);
	want(f, &c, 5);
}

static void test_pages_came_between(void **state)
{
	struct fixture *f = *state;
	struct page_cursor c;

	make_base(f, few, LEN(few), UINT64_MAX);
	c = pages_cursor(f->pages, "pages-1");
	for (uint32_t n = 0; n < 50; n++)
		want_not(f, &c, 1000 + n);
	for (uint32_t n = 0; n < 20; n++)
		want(f, &c, n);
	for (uint32_t n = 0; n < 50; n++)
		want_not(f, &c, 2000 + n);
	want(f, &c, 0);
}

static void test_in_any_order(void **state)
{
	struct fixture *f = *state;
	struct page_cursor c;

	make_base(f, few, LEN(few), UINT64_MAX);
	c = pages_cursor(f->pages, "pages-12");
	for (uint32_t n = 20; n > 0; n--)
		want(f, &c, n - 1);
	for (uint32_t n = 0; n < 100; n++)
		want(f, &c, n * 7 % 20);
}

/* Which of those that are the same does not matter, but it is one of them. */
static void test_many_that_are_the_same(void **state)
{
	static const struct index_extent e[] = {{0, 9000, 0, 1, 0}};
	struct fixture *f = *state;
	struct page_cursor c, d = {UINT32_MAX, 0};

	make_base(f, e, 1, 3);
	c = pages_cursor(f->pages, "pages-1");
	for (uint32_t n = 0; n < 9000; n++) {
		struct page_hash h = hash_of(n % 3);
		struct page_place p, q;

		assert_true(pages_find(f->pages, &c, &h, &p));
		assert_int_equal(p.at, n);
		d.next = UINT32_MAX;
		assert_true(pages_find(f->pages, &d, &h, &q));
		/* The first one is in the table. */
		assert_int_equal(q.at, n % 3);
	}
	want_not(f, &c, 3);
}

/* More than one window of the table. */
static void test_very_many(void **state)
{
	static const struct index_extent e[] = {
		{0, INDEX_WINDOW / 2 + 1000, 0, 1, 5}};
	struct fixture *f = *state;
	struct page_cursor c = {UINT32_MAX, 0};

	make_base(f, e, 1, UINT64_MAX);
	for (uint32_t n = 0; n < e->count; n += 13) {
		struct page_hash h = hash_of(n);
		struct page_place place;

		c.next = UINT32_MAX;
		if (!pages_find(f->pages, &c, &h, &place))
			fail_msg("page %u was not found", n);
		assert_int_equal(place.at, n + 5);
	}
	for (uint32_t n = 0; n < 100000; n++)
		want_not(f, &c, e->count + n);
}

static void test_all_in_small_extents(void **state)
{
	static struct index_extent e[20000];
	struct fixture *f = *state;
	struct page_cursor c;

	for (uint32_t i = 0; i < LEN(e); i++)
		e[i] = (struct index_extent){
			i, 1, i / 7 % 2, 1 + i % 3, 1000000 - i};
	make_base(f, e, LEN(e), UINT64_MAX);
	c = pages_cursor(f->pages, "pages-1");
	for (uint32_t i = 0; i < 3 * LEN(e); i++) {
		uint32_t n = i < LEN(e) ? i : (uint32_t)(i * 7919ULL % LEN(e));
		struct page_hash h = hash_of(n);
		struct page_place place;

		assert_true(pages_find(f->pages, &c, &h, &place));
		assert_int_equal(place.gen, 1 + n % 3);
		assert_int_equal(place.at, 1000000 - n);
	}
}

/* --- not to be used --- */

static void test_stale_packs(void **state)
{
	struct fixture *f = *state;
	struct page_place place, own = {10, 77};
	struct page_hash h = hash_of(5);
	struct page_cursor c;

	make_base(f, few, LEN(few), UINT64_MAX);
	f->stale = 2;
	c = pages_cursor(f->pages, "pages-1");
	for (uint32_t n = 0; n < 20; n++)
		if (pack[n] == 2)
			want_not(f, &c, n);
		else
			want(f, &c, n);
	/* Once it is stored again, that is the place. */
	pages_add(f->pages, &h, &own);
	assert_true(pages_find(f->pages, &c, &h, &place));
	assert_int_equal(place.gen, 10);
	assert_int_equal(place.at, 77);
}

static void test_nothing_before(void **state)
{
	static const struct index_extent e[] = {{0, 5, 0, 0, 0}};
	struct fixture *f = *state;
	struct page_cursor c;

	make_base(f, e, 1, UINT64_MAX);
	c = pages_cursor(f->pages, "pages-1");
	assert_int_equal(c.next, UINT32_MAX);
	want_not(f, &c, 0);
}

/* --- what has come lately --- */

static void test_recent(void **state)
{
	struct fixture *f = *state;
	struct page_cursor c;
	struct page_hash h = {0x10005, 1}, other_high = {0x10005, 2},
			 other_low = {0x20005, 1};
	struct page_place place, first = {1, 0}, second = {1, 1};

	f->pages = pages_new(NULL, SEED, is_stale, f);
	c = pages_cursor(f->pages, "pages-1");
	assert_false(pages_find(f->pages, &c, &h, &place));
	pages_add(f->pages, &h, &first);
	assert_true(pages_find(f->pages, &c, &h, &place));
	assert_int_equal(place.at, 0);
	/* One in the same place of the table is not taken for it. */
	assert_false(pages_find(f->pages, &c, &other_high, &place));
	assert_false(pages_find(f->pages, &c, &other_low, &place));
	pages_add(f->pages, &other_low, &second);
	assert_true(pages_find(f->pages, &c, &other_low, &place));
	assert_int_equal(place.at, 1);
	assert_false(pages_find(f->pages, &c, &h, &place));
}

/* An empty place of the table is not a page whose hash is 0. */
static void test_a_hash_of_zeros(void **state)
{
	struct fixture *f = *state;
	struct page_cursor c;
	struct page_hash zero = {0, 0};
	struct page_place place;

	f->pages = pages_new(NULL, SEED, is_stale, f);
	c = pages_cursor(f->pages, "pages-1");
	assert_false(pages_find(f->pages, &c, &zero, &place));
}

/* --- pages themselves --- */

static void test_zero_pages(void **state)
{
	static const size_t places[] = {0, 1, 7, 8, 15, 16, 17, 31, 32, 2048,
		PAGE - 17, PAGE - 16, PAGE - 1};
	unsigned char page[PAGE] = {0};

	(void)state;
	assert_true(pages_is_zero(page));
	for (size_t i = 0; i < LEN(places); i++) {
		page[places[i]] = 0x80;
		assert_false(pages_is_zero(page));
		page[places[i]] = 0;
	}
	memset(page, 0xff, sizeof(page));
	assert_false(pages_is_zero(page));
}

static void test_hashes_have_the_seed(void **state)
{
	struct fixture *f = *state;
	struct pages *other = pages_new(NULL, SEED + 1, is_stale, f);
	unsigned char page[PAGE] = "a page";
	struct page_hash a, b;

	f->pages = pages_new(NULL, SEED, is_stale, f);
	a = pages_hash(f->pages, page);
	b = pages_hash(f->pages, page);
	assert_memory_equal(&a, &b, sizeof(a));
	b = pages_hash(other, page);
	assert_memory_not_equal(&a, &b, sizeof(a));
	pages_free(other);
}

#define WITH_DIR(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(test_in_order),
		WITH_DIR(test_names_are_compared_wholly),
		WITH_DIR(test_a_page_has_changed),
		WITH_DIR(test_pages_came_between),
		WITH_DIR(test_in_any_order),
		WITH_DIR(test_many_that_are_the_same),
		WITH_DIR(test_very_many),
		WITH_DIR(test_all_in_small_extents),
		WITH_DIR(test_stale_packs),
		WITH_DIR(test_nothing_before),
		WITH_DIR(test_recent),
		WITH_DIR(test_a_hash_of_zeros),
		cmocka_unit_test(test_zero_pages),
		WITH_DIR(test_hashes_have_the_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
