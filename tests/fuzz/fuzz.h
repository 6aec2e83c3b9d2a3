/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz.h - a small good generation, and a damaged copy of one of its files */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "index.h"
#include "log.h"
#include "pack.h"
#include "store.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* A directory below the current one with two generations, made once. */
struct fuzz {
	int dir, null;
	unsigned char *good; /* the file that is damaged */
	size_t size;
};

static inline void fuzz_need(bool ok)
{
	if (!ok)
		abort();
}

static inline void fuzz_generation(int dir, unsigned gen)
{
	struct store_options o = {
		.compression = gen == 1 ? COMPRESSION_NONE : COMPRESSION_ZSTD,
		.level = 1,
		.threads = 1};
	struct store_cost cost;
	struct store_writer *w = store_begin(dir, gen, &o, NULL);
	json_t *m = json_pack("{s:s}", "host", "here");

	fuzz_need(w && m);
	for (int s = 0; s < 3; s++) {
		unsigned char page[PAGE];
		char name[16];
		int fd = memfd_create("image", 0), stream;

		snprintf(name, sizeof(name), "image-%d", s);
		for (unsigned p = 0; p < 5; p++) {
			memset(page, s == 1 ? 0 : 'a', sizeof(page));
			snprintf((char *)page, sizeof(page), "%u %d", p,
				s == 2 && p == 3 ? (int)gen : s);
			fuzz_need(!write_all(
				fd, page, p < 4 ? sizeof(page) : 100));
		}
		lseek(fd, 0, SEEK_SET);
		stream = store_add(w, name, NULL);
		while (store_take(w, stream, fd, NULL) > 0)
			;
		close(fd);
	}
	fuzz_need(!store_commit(w, m, &cost, NULL));
	json_decref(m);
}

static inline void fuzz_begin(struct fuzz *f, const char *name)
{
	char path[] = "fuzz.XXXXXX";
	struct stat st;
	int fd;

	log_set_level(LOG_ERROR);
	fuzz_need(mkdtemp(path) != NULL);
	f->dir = open(path, O_RDONLY | O_DIRECTORY);
	f->null = open("/dev/null", O_WRONLY);
	fuzz_generation(f->dir, 1);
	fuzz_generation(f->dir, 2);
	fd = openat(f->dir, name, O_RDONLY);
	fuzz_need(fd >= 0 && !fstat(fd, &st));
	f->size = (size_t)st.st_size;
	f->good = malloc(f->size);
	fuzz_need(read(fd, f->good, f->size) == st.st_size);
	close(fd);
}

/*
 * A copy of the good file with some bytes changed: the input is a list of
 * offsets (16 bits) and bytes. What is found by a checksum is not of interest
 * here: the caller mends those.
 */
static inline unsigned char *fuzz_damage(
	const struct fuzz *f, const unsigned char *data, size_t size)
{
	unsigned char *copy = malloc(f->size);

	fuzz_need(copy != NULL);
	memcpy(copy, f->good, f->size);
	for (size_t i = 0; i + 3 <= size; i += 3)
		copy[(data[i] | (size_t)data[i + 1] << 8) % f->size] =
			data[i + 2];
	return copy;
}

static inline void fuzz_put(
	const struct fuzz *f, const char *name, const void *data, size_t size)
{
	int fd = openat(f->dir, name, O_WRONLY | O_TRUNC | O_CREAT, 0600);

	fuzz_need(fd >= 0 && !write_all(fd, data, size));
	close(fd);
}

/* Read whatever there is to read. */
static inline void fuzz_read(const struct fuzz *f, unsigned gen)
{
	struct store_reader *r = store_open(f->dir, gen, NULL);
	struct err err;

	if (!r)
		return;
	store_verify(r, &err);
	for (size_t s = 0; s < store_streams(r); s++)
		/* Pages of zeros may be many, and are written all. */
		if (store_size(r, s) < 1U << 20)
			store_copy(r, s, f->null, &err);
	store_find(r, "image-1");
	store_close(r);
}

#endif
