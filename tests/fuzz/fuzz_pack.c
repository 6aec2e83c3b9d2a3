/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_pack.c - a pack whose head, tail and table have right checksums */
#include "fuzz.h"

#include <stddef.h>
#include <xxhash.h>

static void mend(unsigned char *pack, size_t size)
{
	struct pack_head h;
	struct pack_tail t;
	unsigned char *tail = pack + size - sizeof(t);

	memcpy(&h, pack, sizeof(h));
	h.check = XXH3_64bits(&h, offsetof(struct pack_head, check));
	memcpy(pack, &h, sizeof(h));
	memcpy(&t, tail, sizeof(t));
	if (t.table < size - sizeof(t))
		t.table_check = XXH3_64bits(
			pack + t.table, size - sizeof(t) - (size_t)t.table);
	t.check = XXH3_64bits(&t, offsetof(struct pack_tail, check));
	memcpy(tail, &t, sizeof(t));
}

/* Frames, too: so zstd gets what is not zstd's. */
static void mend_frames(unsigned char *pack, size_t size)
{
	struct pack_tail t;

	memcpy(&t, pack + size - sizeof(t), sizeof(t));
	for (size_t at = (size_t)t.table;
		at < size && size - at >= sizeof(t) + sizeof(struct pack_frame);
		at += sizeof(struct pack_frame)) {
		struct pack_frame f;

		memcpy(&f, pack + at, sizeof(f));
		if (f.offset < size && f.stored <= size - f.offset)
			f.check = XXH3_64bits(pack + f.offset, f.stored);
		memcpy(pack + at, &f, sizeof(f));
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static struct fuzz f;
	unsigned char *copy;

	if (!f.good)
		fuzz_begin(&f, "0002.pack");
	copy = fuzz_damage(&f, data, size);
	mend_frames(copy, f.size);
	mend(copy, f.size);
	fuzz_put(&f, "0002.pack", copy, f.size);
	fuzz_read(&f, 2);
	free(copy);
	return 0;
}
