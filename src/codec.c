/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "codec.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zstd.h>

#include "util.h"

/* Tried first; what does not shrink by a sixteenth is not worth the time. */
#define SAMPLE 8192

struct codec {
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
};

struct codec *codec_new(int level, struct err *err)
{
	struct codec *c = xcalloc(1, sizeof(*c));

	c->pack = ZSTD_createCCtx();
	c->unpack = ZSTD_createDCtx();
	if (c->pack && c->unpack &&
		!ZSTD_isError(ZSTD_CCtx_setParameter(
			c->pack, ZSTD_c_compressionLevel, level)))
		return c;
	codec_free(c);
	err_set(err, ENOMEM, "zstd");
	return NULL;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->pack);
	ZSTD_freeDCtx(c->unpack);
	free(c);
}

size_t codec_bound(size_t n)
{
	return ZSTD_compressBound(n);
}

static bool worth_it(size_t packed, size_t n)
{
	return !ZSTD_isError(packed) && packed < n - n / 16;
}

size_t codec_compress(struct codec *c, const void *src, size_t n, void *dst)
{
	size_t bound = codec_bound(n);

	/* From the middle: the first page of a mapping is often a header. */
	if (n >= 4 * SAMPLE &&
		!worth_it(ZSTD_compress2(c->pack, dst, bound,
				  (const char *)src + n / 2, SAMPLE),
			SAMPLE))
		return 0;
	bound = ZSTD_compress2(c->pack, dst, bound, src, n);
	return worth_it(bound, n) ? bound : 0;
}

int codec_decompress(struct codec *c, const void *src, size_t n, void *dst,
	size_t want, struct err *err)
{
	size_t got = ZSTD_decompressDCtx(c->unpack, dst, want, src, n);

	if (ZSTD_isError(got))
		return err_set(err, 0, "zstd: %s", ZSTD_getErrorName(got));
	if (got != want)
		return err_set(
			err, 0, "%zu bytes instead of %zu come out", got, want);
	return 0;
}
