/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "index.h"
#include "tree.h"
#include "util.h"

struct fixture {
	char path[64];
	int dir;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	snprintf(f->path, sizeof(f->path), "/tmp/test_index.XXXXXX");
	if (!mkdtemp(f->path))
		return -1;
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->dir < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc = remove_tree(f->path);

	close(f->dir);
	free(f);
	return rc;
}

/* --- the table of slots --- */

static const uint32_t counts[] = {0, 1, 2, 3, 1000, INDEX_WINDOW / 2,
	INDEX_WINDOW / 2 + 1, INDEX_WINDOW, 100 * INDEX_WINDOW + 17,
	UINT32_MAX / 2, UINT32_MAX / 2 + 1, UINT32_MAX - 1};

static void test_there_are_slots_enough(void **state)
{
	(void)state;
	for (size_t i = 0; i < LEN(counts); i++) {
		struct index_slots s = index_slots(counts[i]);

		assert_true(s.windows * s.window >= 2 * (uint64_t)counts[i]);
		assert_true(s.window <= INDEX_WINDOW);
		/* The numbers, plus 1, have room below the tag. */
		assert_int_equal((uint64_t)counts[i] >> s.number_bits, 0);
		if (s.number_bits)
			assert_true(counts[i] >> (s.number_bits - 1));
	}
}

static void test_slots_are_in_their_window(void **state)
{
	static const uint64_t halves[] = {0, 1, UINT32_MAX,
		(uint64_t)UINT32_MAX << 32, UINT64_MAX, 0x123456789abcdef0};

	(void)state;
	for (size_t i = 1; i < LEN(counts); i++)
		for (size_t k = 0; k < LEN(halves); k++) {
			struct index_slots s = index_slots(counts[i]);
			struct page_hash h = {halves[k], halves[k]};
			uint64_t base;

			assert_true(index_slot(&s, &h, &base) < s.window);
			assert_int_equal(base % s.window, 0);
			assert_true(base / s.window < s.windows);
			assert_int_equal((uint64_t)index_slot_tag(&s, &h) &
						 ((1ULL << s.number_bits) - 1),
				0);
		}
}

/* --- an index to read --- */

/* Zeros, gaps in packs, and streams that take turns. */
static const struct index_extent extents[] = {
	{0, 4, 0, 1, 10},
	{4, 7, 0, 0, 0},
	{4, 1, 1, 2, 0},
	{5, 1, 0, 1, 14},
	{6, 1, 1, 2, 1},
	{7, 2, 1, 0, 0},
	{7, 3, 1, 0, 0},
	{7, 5, 0, 1, 2},
};
#define N_PAGES 12U

static const struct index_stream streams[] = {
	{17 * PAGE, 0, 0, 1, 0},
	{7 * PAGE + 3, 0, 2, 2, 3},
};

static const struct index_pack packs[] = {
	{1, 10, 100000, {{1, 2}}},
	{2, 2, 20000, {{3, 4}}},
};

static void fill(struct spool *s, const void *data, size_t n)
{
	struct err err;

	assert_int_equal(spool_add(s, data, n, &err), 0);
}

static uint64_t write_index(const struct fixture *f)
{
	struct index_head h = {.gen = 2,
		.seed = 7,
		.memory = 24 * PAGE + 3,
		.fresh = 2 * PAGE};
	struct spool part[N_SECTIONS] = {0};
	struct err err = {0};
	uint64_t size;

	for (size_t i = 0; i < S_SLOTS; i++)
		assert_int_equal(spool_open(&part[i], f->dir, &err), 0);
	fill(&part[S_STREAMS], streams, sizeof(streams));
	fill(&part[S_NAMES], "a\0bc", 5);
	fill(&part[S_TAILS], "end", 3);
	fill(&part[S_EXTENTS], extents, sizeof(extents));
	fill(&part[S_PACKS], packs, sizeof(packs));
	for (uint64_t i = 0; i < N_PAGES; i++) {
		struct page_hash hash = {i * i, i << 33 | i << 30};

		fill(&part[S_HASHES], &hash, sizeof(hash));
	}
	if (index_write(f->dir, &h, part, &size, &err) ||
		index_commit(f->dir, 2, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < N_SECTIONS; i++)
		spool_close(&part[i]);
	return size;
}

static void test_what_was_written_is_read(void **state)
{
	const struct fixture *f = *state;
	uint64_t size = write_index(f);
	struct err err = {0};
	struct stat st;
	struct index x;

	assert_int_equal(fstatat(f->dir, "0002.index.new", &st, 0), -1);
	assert_int_equal(fstatat(f->dir, "0002.index", &st, 0), 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(index_open(&x, f->dir, 2, &err), 0);
	assert_int_equal(x.n_streams, 2);
	assert_memory_equal(x.streams, streams, sizeof(streams));
	assert_string_equal(index_name_at(&x, 0), "a");
	assert_string_equal(index_name_at(&x, 1), "bc");
	assert_memory_equal(index_tail_at(&x, 1), "end", 3);
	assert_int_equal(x.n_extents, LEN(extents));
	assert_memory_equal(x.extents, extents, sizeof(extents));
	assert_int_equal(x.n_pages, N_PAGES);
	assert_int_equal(x.n_slots, 2 * N_PAGES);
	assert_int_equal(index_pack_of(&x, 2)->size, 20000);
	assert_null(index_pack_of(&x, 3));
	assert_int_equal(x.head->seed, 7);
	index_close(&x);
}

static void test_extent_of(void **state)
{
	const struct fixture *f = *state;
	struct err err = {0};
	struct index x;

	write_index(f);
	assert_int_equal(index_open(&x, f->dir, 2, &err), 0);
	for (uint32_t n = 0; n < N_PAGES; n++)
		for (uint32_t hint = 0; hint < LEN(extents) + 2; hint++) {
			uint32_t e = index_extent_of(&x, n, hint);

			assert_true(x.extents[e].gen);
			assert_true(n >= x.extents[e].first);
			assert_true(
				n < x.extents[e].first + x.extents[e].count);
		}
	index_close(&x);
}

static void test_peek(void **state)
{
	const struct fixture *f = *state;
	struct index_pack *list;
	struct err err = {0};
	struct index_head h;

	write_index(f);
	assert_int_equal(index_peek(f->dir, 2, &h, &list, &err), 0);
	assert_int_equal(h.memory, 24 * PAGE + 3);
	assert_int_equal(h.part[S_PACKS].size, sizeof(packs));
	assert_memory_equal(list, packs, sizeof(packs));
	free(list);
	assert_int_equal(index_peek(f->dir, 3, &h, &list, &err), -1);
	assert_null(list);
}

static void test_an_empty_index(void **state)
{
	const struct fixture *f = *state;
	struct index_head h = {.gen = 1};
	struct spool part[N_SECTIONS] = {0};
	struct err err = {0};
	uint64_t size;
	struct index x;

	for (size_t i = 0; i < S_SLOTS; i++)
		assert_int_equal(spool_open(&part[i], f->dir, &err), 0);
	assert_int_equal(index_write(f->dir, &h, part, &size, &err), 0);
	/* Not the one that is there. */
	assert_int_equal(index_write(f->dir, &h, part, &size, &err), -1);
	assert_int_equal(index_commit(f->dir, 1, &err), 0);
	assert_int_equal(index_open(&x, f->dir, 1, &err), 0);
	assert_int_equal(x.n_streams + x.n_extents + x.n_pages, 0);
	index_close(&x);
	for (size_t i = 0; i < N_SECTIONS; i++)
		spool_close(&part[i]);
}

/* --- what makes no sense, although the checksums are right --- */

struct file {
	unsigned char *data;
	size_t size;
	struct index_head *h;
	struct index_stream *streams;
	struct index_extent *extents;
	struct index_pack *packs;
};

static struct file read_index(const struct fixture *f)
{
	struct file x;
	struct err err;

	x.data = (unsigned char *)read_file_at(
		f->dir, "0002.index", 1U << 20, &x.size, &err);
	assert_non_null(x.data);
	x.h = (struct index_head *)x.data;
	x.streams = (void *)(x.data + x.h->part[S_STREAMS].offset);
	x.extents = (void *)(x.data + x.h->part[S_EXTENTS].offset);
	x.packs = (void *)(x.data + x.h->part[S_PACKS].offset);
	return x;
}

static void mend(const struct file *x)
{
	XXH128_hash_t body =
		XXH3_128bits(x->data + sizeof(*x->h), x->size - sizeof(*x->h));

	x->h->body = (struct page_hash){body.low64, body.high64};
	x->h->check = XXH3_64bits(x->h, offsetof(struct index_head, check));
}

static int try(const struct fixture *f, const struct file *x, struct err *err)
{
	struct index i;
	int ret;

	assert_int_equal(
		write_file_at(f->dir, "0002.index", x->data, x->size, err), 0);
	ret = index_open(&i, f->dir, 2, err);
	if (!ret)
		index_close(&i);
	return ret;
}

enum wrong {
	NOTHING,
	OTHER_MAGIC,
	OTHER_VERSION,
	OTHER_GENERATION,
	PART_IN_HEAD,
	PART_NOT_ALIGNED,
	PART_BEHIND_END,
	PART_TOO_LONG,
	PART_WRAPS,
	PART_OF_ODD_SIZE,
	NAME_OUTSIDE,
	NAME_TOO_LONG,
	NAME_TOO_SHORT,
	TAIL_OUTSIDE,
	TAIL_TOO_LONG,
	TAIL_OF_A_PAGE,
	SIZE_WITHOUT_TAIL,
	STREAM_TOO_LONG,
	EXTENTS_WITH_GAP,
	EXTENT_OF_NOTHING,
	EXTENT_OF_NO_STREAM,
	EXTENT_OF_NO_PACK,
	ZEROS_THAT_COUNT,
	FEWER_EXTENTS,
	FEWER_SLOTS,
	N_WRONG
};

static void spoil(struct file *x, enum wrong wrong)
{
	struct index_part *part = x->h->part;

	switch (wrong) {
	case OTHER_MAGIC:
		x->h->magic[0] = 'X';
		break;
	case OTHER_VERSION:
		x->h->version++;
		break;
	case OTHER_GENERATION:
		x->h->gen++;
		break;
	case PART_IN_HEAD:
		part[S_TAILS].offset = 16;
		break;
	case PART_NOT_ALIGNED:
		part[S_NAMES].offset++;
		break;
	case PART_BEHIND_END:
		part[S_TAILS].offset = (x->size + 31) / 16 * 16;
		part[S_TAILS].size = 0;
		break;
	case PART_TOO_LONG:
		part[S_TAILS].size = x->size;
		break;
	case PART_WRAPS:
		part[S_TAILS].size = UINT64_MAX - part[S_TAILS].offset + 17;
		break;
	case PART_OF_ODD_SIZE:
		part[S_PACKS].size--;
		break;
	case NAME_OUTSIDE:
		x->streams[1].name = 5;
		break;
	case NAME_TOO_LONG:
		x->streams[0].name_len = 2;
		break;
	case NAME_TOO_SHORT:
		x->streams[1].name_len = 1;
		break;
	case TAIL_OUTSIDE:
		x->streams[1].tail = UINT64_MAX;
		break;
	case TAIL_TOO_LONG:
		x->streams[1].tail = 1;
		break;
	case TAIL_OF_A_PAGE:
		x->streams[1].tail_len = PAGE;
		break;
	case SIZE_WITHOUT_TAIL:
		x->streams[1].size -= 3;
		break;
	case STREAM_TOO_LONG:
		x->streams[0].size += PAGE;
		break;
	case EXTENTS_WITH_GAP:
		x->extents[4].first++;
		break;
	case EXTENT_OF_NOTHING:
		x->extents[1].count = 0;
		x->streams[0].size -= 7 * (uint64_t)PAGE;
		break;
	case EXTENT_OF_NO_STREAM:
		x->extents[7].stream = 2;
		break;
	case EXTENT_OF_NO_PACK:
		x->extents[2].gen = 3;
		break;
	case ZEROS_THAT_COUNT:
		x->extents[1].gen = 1;
		break;
	case FEWER_EXTENTS:
		part[S_EXTENTS].size -= sizeof(struct index_extent);
		break;
	case FEWER_SLOTS:
		part[S_SLOTS].size -= sizeof(uint32_t);
		break;
	default:
		break;
	}
}

static void test_what_makes_no_sense(void **state)
{
	const struct fixture *f = *state;
	struct file good, x;
	struct err err = {0};

	write_index(f);
	good = read_index(f);
	for (enum wrong wrong = NOTHING; wrong < N_WRONG; wrong++) {
		assert_int_equal(write_file_at(f->dir, "0002.index", good.data,
					 good.size, &err),
			0);
		x = read_index(f);
		spoil(&x, wrong);
		mend(&x);
		if (try(f, &x, &err) != (wrong ? -1 : 0))
			fail_msg("case %u: %s", wrong, err.text);
		if (wrong == OTHER_VERSION)
			assert_non_null(strstr(err.text, "version 2"));
		else if (wrong)
			assert_string_equal(err.text, "index 2: it is damaged");
		free(x.data);
	}
	free(good.data);
}

#define WITH_DIR(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_are_slots_enough),
		cmocka_unit_test(test_slots_are_in_their_window),
		WITH_DIR(test_what_was_written_is_read),
		WITH_DIR(test_extent_of),
		WITH_DIR(test_peek),
		WITH_DIR(test_an_empty_index),
		WITH_DIR(test_what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
