/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "log.h"
#include "pack.h"
#include "store.h"
#include "tree.h"
#include "util.h"

#define MIB (1UL << 20)

struct fixture {
	char path[64];
	int dir; /* of the step */
	struct store_options options;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	f->options = (struct store_options){
		.compression = COMPRESSION_AUTO, .level = 1, .threads = 2};
	snprintf(f->path, sizeof(f->path), "/tmp/test_store.XXXXXX");
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

/* --- what is stored --- */

/* A stream, as it goes in and has to come out. */
struct image {
	const char *name;
	unsigned char *data;
	size_t size;
};

/* The same bytes for the same seed; seed 0: zeros. */
static void noise(unsigned char *p, size_t n, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15ULL;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = seed ? (unsigned char)(x >> 32) : 0;
	}
}

static void prose(unsigned char *p, size_t n, uint64_t seed)
{
	char text[64];

	for (size_t i = 0; i < n; i += 32) {
		size_t len = n - i < 32 ? n - i : 32;

		snprintf(text, sizeof(text), "observation %8llu of sample   ",
			(unsigned long long)seed + i);
		memcpy(p + i, text, len);
	}
}

static struct image random_image(const char *name, size_t size, uint64_t seed)
{
	struct image i = {name, malloc(size + 1), size};

	assert_non_null(i.data);
	noise(i.data, size, seed);
	return i;
}

static void free_images(struct image *i, size_t n)
{
	while (n > 0)
		free(i[--n].data);
}

/* --- in and out --- */

static struct store_writer *begin(const struct fixture *f, unsigned gen)
{
	struct err err = {0};
	struct store_writer *w = store_begin(f->dir, gen, &f->options, &err);

	if (!w)
		fail_msg("generation %u: %s", gen, err.text);
	return w;
}

static int file_of(const struct image *i)
{
	int fd = memfd_create(i->name, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, i->data, i->size), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* The streams take turns, read by read. 0, or -1 with *err. */
static int take_all(struct store_writer *w, const struct image *images,
	size_t n, struct err *err)
{
	int fd[64], stream[64], ret = 0;
	size_t open = n;

	assert_true(n <= 64);
	for (size_t i = 0; i < n; i++) {
		fd[i] = file_of(&images[i]);
		stream[i] = store_add(w, images[i].name, err);
		assert_true(stream[i] >= 0);
	}
	while (open > 0 && !ret)
		for (size_t i = 0; i < n && !ret; i++) {
			ssize_t got;

			if (fd[i] < 0)
				continue;
			got = store_take(w, stream[i], fd[i], err);
			if (got < 0)
				ret = -1;
			if (got == 0) {
				release_fd(&fd[i]);
				open--;
			}
		}
	for (size_t i = 0; i < n; i++)
		release_fd(&fd[i]);
	return ret;
}

static struct store_cost commit(const struct fixture *f, unsigned gen,
	const struct image *images, size_t n)
{
	struct store_writer *w = begin(f, gen);
	json_t *m = json_pack("{s:s}", "host", "here");
	struct store_cost cost = {0};
	struct err err = {0};

	if (take_all(w, images, n, &err) || store_commit(w, m, &cost, &err))
		fail_msg("generation %u: %s", gen, err.text);
	json_decref(m);
	return cost;
}

/* What a stream has: a buffer, and its length; NULL with *err. */
static unsigned char *read_stream(
	struct store_reader *r, const char *name, size_t *n, struct err *err)
{
	int stream = store_find(r, name);
	auto_close int fd = memfd_create("out", MFD_CLOEXEC);
	unsigned char *data;

	assert_true(fd >= 0);
	if (stream < 0) {
		err_set(err, 0, "no stream %s", name);
		return NULL;
	}
	if (store_copy(r, (size_t)stream, fd, err))
		return NULL;
	*n = (size_t)lseek(fd, 0, SEEK_CUR);
	data = malloc(*n + 1);
	assert_non_null(data);
	assert_int_equal(pread(fd, data, *n, 0), (ssize_t)*n);
	return data;
}

/* 0 if all is as it was stored, -1 with *err if the store says that it is
 * damaged; fails if it gives anything else. */
static int compare(const struct fixture *f, unsigned gen,
	const struct image *images, size_t n, struct err *err)
{
	struct store_reader *r = store_open(f->dir, gen, err);
	json_t *m = r ? store_manifest(f->dir, gen, err) : NULL;
	int ret = m ? store_verify(r, err) : -1;

	for (size_t i = 0; !ret && i < n; i++) {
		size_t size;
		unsigned char *data =
			read_stream(r, images[i].name, &size, err);

		if (!data) {
			ret = -1;
			break;
		}
		assert_int_equal(size, images[i].size);
		assert_memory_equal(data, images[i].data, size);
		free(data);
	}
	if (m)
		assert_string_equal(
			json_string_value(json_object_get(m, "host")), "here");
	json_decref(m);
	store_close(r);
	return ret;
}

static void want_same(const struct fixture *f, unsigned gen,
	const struct image *images, size_t n)
{
	struct err err = {0};

	if (compare(f, gen, images, n, &err))
		fail_msg("generation %u: %s", gen, err.text);
}

static bool exists(const struct fixture *f, const char *name)
{
	return !faccessat(f->dir, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void put_file(const struct fixture *f, const char *name)
{
	auto_close int fd =
		openat(f->dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
}

/* --- round trips --- */

static void test_every_length(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 4095, 4096, 4097, 8191, 65536,
		FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * MIB + 5};
	static const char *const names[] = {
		"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
	struct fixture *f = *state;
	struct image i[LEN(sizes)];

	for (size_t k = 0; k < LEN(sizes); k++)
		i[k] = random_image(names[k], sizes[k], k + 1);
	commit(f, 1, i, LEN(i));
	want_same(f, 1, i, LEN(i));
	free_images(i, LEN(i));
}

static void test_zeros_cost_nothing(void **state)
{
	struct fixture *f = *state;
	struct image i[2] = {random_image("pages-1.img", 8 * MIB, 0),
		random_image("core-1.img", 100, 1)};
	struct store_cost cost = commit(f, 1, i, 2);

	assert_int_equal(cost.memory, 8 * MIB + 100);
	assert_int_equal(cost.fresh, 0);
	assert_true(cost.bytes < 16384);
	want_same(f, 1, i, 2);
	free_images(i, 2);
}

static void test_compression(void **state)
{
	static const enum compression how[] = {
		COMPRESSION_NONE, COMPRESSION_AUTO, COMPRESSION_ZSTD};
	struct fixture *f = *state;
	struct image i[2] = {random_image("pages-1.img", 4 * MIB, 0),
		random_image("pages-2.img", 4 * MIB, 7)};
	struct store_cost cost[LEN(how)];

	prose(i[0].data, i[0].size, 1);
	f->options.full_every = 1;
	for (unsigned k = 0; k < LEN(how); k++) {
		f->options.compression = how[k];
		f->options.threads = 1 + 3 * k;
		cost[k] = commit(f, k + 1, i, 2);
		assert_int_equal(cost[k].fresh, 8 * MIB);
		want_same(f, k + 1, i, 2);
	}
	assert_true(cost[0].bytes > 8 * MIB);
	assert_true(cost[2].bytes < 5 * MIB);
	assert_true(cost[2].bytes > 4 * MIB);
	free_images(i, 2);
}

static void test_many_streams(void **state)
{
	struct fixture *f = *state;
	struct image i[60];
	char names[60][16];

	for (unsigned k = 0; k < LEN(i); k++) {
		snprintf(names[k], sizeof(names[k]), "pages-%u.img", k);
		i[k] = random_image(names[k], 4096 * (k % 7) + k, k % 5);
	}
	commit(f, 1, i, LEN(i));
	want_same(f, 1, i, LEN(i));
	commit(f, 2, i, LEN(i));
	want_same(f, 2, i, LEN(i));
	free_images(i, LEN(i));
}

/* --- what changed --- */

static void test_one_page_changes(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", 4 * MIB, 3);
	struct store_cost cost = commit(f, 1, &i, 1);

	assert_int_equal(cost.fresh, 4 * MIB);
	for (unsigned gen = 2; gen < 6; gen++) {
		noise(i.data + gen * 100 * PAGE, PAGE, 100 + gen);
		cost = commit(f, gen, &i, 1);
		assert_int_equal(cost.fresh, PAGE);
		assert_true(cost.bytes < 64 * 1024);
		want_same(f, gen, &i, 1);
	}
	want_same(f, 5, &i, 1);
	free(i.data);
}

static void test_pages_that_move(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", 2 * MIB, 3);
	struct image j = random_image("pages-2.img", 2 * MIB + 3 * PAGE, 4);

	commit(f, 1, &i, 1);
	/* Under another name, with pages before and between. */
	memcpy(j.data + PAGE, i.data, MIB);
	memcpy(j.data + MIB + 3 * PAGE, i.data + MIB, MIB);
	assert_int_equal(commit(f, 2, &j, 1).fresh, 3 * PAGE);
	want_same(f, 2, &j, 1);
	want_same(f, 1, &i, 1);
	free(i.data);
	free(j.data);
}

static void test_the_same_page_twice(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", MIB, 3);

	for (size_t k = 1; k < i.size / PAGE; k++)
		memcpy(i.data + k * PAGE, i.data, PAGE);
	assert_int_equal(commit(f, 1, &i, 1).fresh, PAGE);
	want_same(f, 1, &i, 1);
	assert_int_equal(commit(f, 2, &i, 1).fresh, 0);
	want_same(f, 2, &i, 1);
	free(i.data);
}

static void test_full_every(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", MIB, 3);

	f->options.full_every = 3;
	for (unsigned gen = 1; gen < 9; gen++) {
		struct store_cost cost = commit(f, gen, &i, 1);

		assert_int_equal(cost.fresh, gen % 3 == 1 ? MIB : 0);
		want_same(f, gen, &i, 1);
	}
	free(i.data);
}

/* A pack that is mostly dead only takes room: what lives is stored again. */
static void test_a_dying_pack(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", 4 * MIB, 3);

	commit(f, 1, &i, 1);
	noise(i.data, 3 * MIB + MIB / 2, 4);
	assert_int_equal(commit(f, 2, &i, 1).fresh, 3 * MIB + MIB / 2);
	assert_int_equal(commit(f, 3, &i, 1).fresh, MIB / 2);
	want_same(f, 3, &i, 1);
	store_collect(f->dir, 1);
	assert_false(exists(f, "0001.pack"));
	assert_true(exists(f, "0002.pack"));
	want_same(f, 3, &i, 1);
	free(i.data);
}

static void test_an_earlier_pack_is_gone(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", MIB, 3);

	commit(f, 1, &i, 1);
	assert_int_equal(unlinkat(f->dir, "0001.pack", 0), 0);
	log_set_level(LOG_ERROR);
	assert_int_equal(commit(f, 2, &i, 1).fresh, MIB);
	log_set_level(LOG_INFO);
	want_same(f, 2, &i, 1);
	free(i.data);
}

/* --- refused --- */

static void want_empty(const struct fixture *f)
{
	assert_int_equal(store_next(f->dir), 1);
	assert_int_equal(store_usage(f->dir), 0);
}

static void test_no_room(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", 32 * MIB, 3);
	struct store_writer *w;
	struct store_cost cost;
	struct err err = {0};
	json_t *m = json_object();

	f->options.room = 4 * MIB;
	w = begin(f, 1);
	if (!take_all(w, &i, 1, &err))
		assert_int_equal(store_commit(w, m, &cost, &err), -1);
	else
		store_abandon(w);
	assert_non_null(strstr(err.text, "max_size"));
	want_empty(f);
	json_decref(m);
	free(i.data);
}

static void test_bad_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", ".hidden"};
	struct fixture *f = *state;
	struct store_writer *w = begin(f, 1);
	struct err err = {0};

	for (size_t k = 0; k < LEN(bad); k++)
		assert_int_equal(store_add(w, bad[k], &err), -1);
	assert_int_equal(store_add(w, "a", &err), 0);
	assert_int_equal(store_add(w, "a", &err), -1);
	assert_non_null(strstr(err.text, "twice"));
	store_abandon(w);
	want_empty(f);
}

static void test_a_stream_without_an_end(void **state)
{
	struct fixture *f = *state;
	struct store_writer *w = begin(f, 1);
	struct store_cost cost;
	struct err err = {0};
	json_t *m = json_object();

	assert_int_equal(store_add(w, "a", &err), 0);
	assert_int_equal(store_commit(w, m, &cost, &err), -1);
	want_empty(f);
	json_decref(m);
}

/* --- keeping house --- */

static void test_leftovers(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", MIB, 3);

	commit(f, 3, &i, 1);
	put_file(f, "0004.pack");
	put_file(f, "0005.index.new");
	put_file(f, "0006.json");
	put_file(f, "0003.restored");
	put_file(f, "notes");
	assert_int_equal(store_newest(f->dir, UINT_MAX), 3);
	assert_int_equal(store_next(f->dir), 7);
	store_collect(f->dir, 2);
	assert_int_equal(store_next(f->dir), 4);
	assert_false(exists(f, "0004.pack"));
	assert_false(exists(f, "0005.index.new"));
	assert_false(exists(f, "0006.json"));
	assert_true(exists(f, "0003.restored"));
	assert_true(exists(f, "notes"));
	want_same(f, 3, &i, 1);
	free(i.data);
}

static void test_packs_stay_while_they_are_needed(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", MIB, 3);
	struct err err = {0};

	for (unsigned gen = 1; gen < 5; gen++) {
		noise(i.data + gen * PAGE, PAGE, 50 + gen);
		commit(f, gen, &i, 1);
	}
	store_collect(f->dir, 2);
	assert_int_equal(store_newest(f->dir, 3), 0);
	assert_false(exists(f, "0002.json"));
	/* Each has a page that is still there. */
	assert_true(exists(f, "0001.pack"));
	assert_true(exists(f, "0002.pack"));
	want_same(f, 4, &i, 1);
	assert_int_equal(store_remove(f->dir, 3, &err), 0);
	want_same(f, 4, &i, 1);
	assert_int_equal(store_remove(f->dir, 4, &err), 0);
	store_collect(f->dir, 1);
	want_empty(f);
	free(i.data);
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", MIB, 3);
	struct store_info *info;
	size_t n;

	assert_null(store_list(f->dir, &n));
	assert_int_equal(n, 0);
	commit(f, 1, &i, 1);
	noise(i.data, PAGE, 9);
	commit(f, 2, &i, 1);
	info = store_list(f->dir, &n);
	assert_int_equal(n, 2);
	assert_int_equal(info[0].gen, 1);
	assert_int_equal(info[0].memory, MIB);
	assert_int_equal(info[0].fresh, MIB);
	assert_true(info[0].shared > MIB);
	assert_true(info[0].unique < 32768);
	assert_int_equal(info[1].fresh, PAGE);
	assert_int_equal(info[1].shared, info[0].shared);
	assert_true(info[1].unique > PAGE);
	assert_int_equal(info[0].shared + info[0].unique + info[1].unique,
		store_usage(f->dir));
	free(info);
	free(i.data);
}

/* --- damage --- */

/*
 * Flip a bit of every step-th byte of a file in turn: whatever the store then
 * gives is right, or it says that it is damaged. Returns how often it did.
 */
static unsigned flip_bits(const struct fixture *f, const char *name,
	unsigned gen, const struct image *images, size_t n, size_t step)
{
	auto_close int fd = openat(f->dir, name, O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	unsigned found = 0;

	assert_true(size > 0);
	for (off_t at = 0; at < size; at += (off_t)step) {
		struct err err = {0};
		unsigned char was, is;

		assert_int_equal(pread(fd, &was, 1, at), 1);
		is = (unsigned char)(was ^ 1U << at % 8);
		assert_int_equal(pwrite(fd, &is, 1, at), 1);
		if (compare(f, gen, images, n, &err)) {
			assert_true(err.text[0]);
			found++;
		}
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	want_same(f, gen, images, n);
	return found;
}

static unsigned size_of(const struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(f->dir, name, &st, 0), 0);
	return (unsigned)st.st_size;
}

static void test_flipped_bits(void **state)
{
	struct fixture *f = *state;
	struct image i[3] = {random_image("pages-1.img", 3 * PAGE, 3),
		random_image("pages-2.img", 2 * PAGE, 0),
		random_image("core-1.img", 700, 5)};

	prose(i[0].data, i[0].size, 5);
	f->options.compression = COMPRESSION_ZSTD;
	commit(f, 1, i, 3);
	noise(i[0].data, PAGE, 77);
	commit(f, 2, i, 3);
	/* In index and manifest each one is found. */
	assert_int_equal(flip_bits(f, "0002.index", 2, i, 3, 1),
		size_of(f, "0002.index"));
	assert_int_equal(
		flip_bits(f, "0002.json", 2, i, 3, 1), size_of(f, "0002.json"));
	/* In a pack, there are gaps. */
	assert_true(flip_bits(f, "0002.pack", 2, i, 3, 3) > PAGE / 3);
	assert_true(flip_bits(f, "0001.pack", 2, i, 3, 3) > 20);
	free_images(i, 3);
}

static void test_cut_files(void **state)
{
	static const char *const names[] = {
		"0002.index", "0002.json", "0002.pack", "0001.pack"};
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", 8 * PAGE, 3);

	commit(f, 1, &i, 1);
	noise(i.data, PAGE, 77);
	commit(f, 2, &i, 1);
	for (size_t k = 0; k < LEN(names); k++) {
		unsigned size = size_of(f, names[k]);
		auto_close int fd =
			openat(f->dir, names[k], O_RDWR | O_CLOEXEC);
		unsigned char *all = malloc(size);
		struct err err = {0};

		assert_non_null(all);
		assert_int_equal(pread(fd, all, size, 0), size);
		for (unsigned cut = 0; cut < size; cut += 1 + size / 40) {
			assert_int_equal(ftruncate(fd, cut), 0);
			assert_int_equal(compare(f, 2, &i, 1, &err), -1);
			assert_int_equal(pwrite(fd, all, size, 0), size);
		}
		assert_int_equal(pwrite(fd, "x", 1, size), 1);
		assert_int_equal(compare(f, 2, &i, 1, &err), -1);
		assert_int_equal(ftruncate(fd, size), 0);
		want_same(f, 2, &i, 1);
		free(all);
	}
	free(i.data);
}

static void test_links_are_not_followed(void **state)
{
	static const char *const names[] = {"0001.index", "0001.pack"};
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", MIB, 3);
	struct err err = {0};

	commit(f, 1, &i, 1);
	for (size_t k = 0; k < LEN(names); k++) {
		assert_int_equal(
			renameat(f->dir, names[k], f->dir, "aside"), 0);
		assert_int_equal(symlinkat("aside", f->dir, names[k]), 0);
		assert_null(store_open(f->dir, 1, &err));
		assert_int_equal(
			renameat(f->dir, "aside", f->dir, names[k]), 0);
	}
	want_same(f, 1, &i, 1);
	free(i.data);
}

/* Only the begin of a page counts, and only of a whole one. */
static void test_refused_pages(void **state)
{
	static const unsigned char refused[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	static const size_t harmless[] = {8, PAGE + 8, 3 * PAGE - 8, 4 * PAGE};
	struct fixture *f = *state;
	struct image i = random_image("pages-1.img", 4 * PAGE + 100, 1);
	struct store_writer *w;
	struct err err = {0};

	f->options.refused = refused;
	for (size_t k = 0; k < LEN(harmless); k++)
		memcpy(i.data + harmless[k], refused, sizeof(refused));
	commit(f, 1, &i, 1);
	want_same(f, 1, &i, 1);
	memcpy(i.data + 3 * PAGE, refused, sizeof(refused));
	w = begin(f, 2);
	assert_int_equal(take_all(w, &i, 1, &err), -1);
	assert_string_equal(
		err.text, "memory was changed before it had been read");
	store_abandon(w);
	assert_int_equal(store_newest(f->dir, UINT_MAX), 1);
	f->options.refused = NULL;
	commit(f, 2, &i, 1);
	want_same(f, 2, &i, 1);
	free(i.data);
}

#define WITH_DIR(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(test_every_length),
		WITH_DIR(test_zeros_cost_nothing),
		WITH_DIR(test_compression),
		WITH_DIR(test_many_streams),
		WITH_DIR(test_one_page_changes),
		WITH_DIR(test_pages_that_move),
		WITH_DIR(test_the_same_page_twice),
		WITH_DIR(test_full_every),
		WITH_DIR(test_a_dying_pack),
		WITH_DIR(test_an_earlier_pack_is_gone),
		WITH_DIR(test_no_room),
		WITH_DIR(test_bad_names),
		WITH_DIR(test_a_stream_without_an_end),
		WITH_DIR(test_leftovers),
		WITH_DIR(test_packs_stay_while_they_are_needed),
		WITH_DIR(test_list),
		WITH_DIR(test_flipped_bits),
		WITH_DIR(test_cut_files),
		WITH_DIR(test_links_are_not_followed),
		WITH_DIR(test_refused_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
