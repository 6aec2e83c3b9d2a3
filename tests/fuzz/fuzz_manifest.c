/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_manifest.c - any text as a manifest that the index vouches for */
#include "fuzz.h"

#include <stddef.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static struct fuzz f;
	XXH128_hash_t hash = XXH3_128bits(data, size);
	struct index_head h;

	if (!f.good)
		fuzz_begin(&f, "0002.index");
	memcpy(&h, f.good, sizeof(h));
	h.manifest = (struct page_hash){hash.low64, hash.high64};
	h.manifest_size = size;
	h.check = XXH3_64bits(&h, offsetof(struct index_head, check));
	memcpy(f.good, &h, sizeof(h));
	fuzz_put(&f, "0002.index", f.good, f.size);
	fuzz_put(&f, "0002.json", data, size);
	json_decref(store_manifest(f.dir, 2, NULL));
	return 0;
}
