/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_index.c - an index whose checksums are right, and nothing else */
#include "fuzz.h"

#include <stddef.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static struct fuzz f;
	struct index_head h;
	XXH128_hash_t body;
	unsigned char *copy;

	if (!f.good)
		fuzz_begin(&f, "0002.index");
	copy = fuzz_damage(&f, data, size);
	memcpy(&h, copy, sizeof(h));
	body = XXH3_128bits(copy + sizeof(h), f.size - sizeof(h));
	h.body = (struct page_hash){body.low64, body.high64};
	h.check = XXH3_64bits(&h, offsetof(struct index_head, check));
	memcpy(copy, &h, sizeof(h));
	fuzz_put(&f, "0002.index", copy, f.size);
	fuzz_read(&f, 2);
	free(store_list(f.dir, &size));
	/* A dump looks pages up in it. */
	fuzz_generation(f.dir, 3);
	store_remove(f.dir, 3, NULL);
	free(copy);
	return 0;
}
