/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "codec.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "util.h"

/*
 * Tried first, from so many places of a frame: what does not shrink by a
 * sixteenth is not worth the time.
 */
#define PLACES 4
#define SAMPLE 2048

struct codec {
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
};

/*
 * Level 1 with matches of 7 bytes and a hash table that stays in the cache is
 * faster on memory than as it comes, and no larger.
 */
static int set_level(ZSTD_CCtx *c, int level)
{
	size_t bad = ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);

	if (!ZSTD_isError(bad) && level == 1)
		bad = ZSTD_CCtx_setParameter(c, ZSTD_c_hashLog, 15);
	if (!ZSTD_isError(bad) && level == 1)
		bad = ZSTD_CCtx_setParameter(c, ZSTD_c_minMatch, 7);
	return ZSTD_isError(bad) ? -1 : 0;
}

struct codec *codec_new(int level, struct err *err)
{
	struct codec *c = xcalloc(1, sizeof(*c));

	c->pack = ZSTD_createCCtx();
	c->unpack = ZSTD_createDCtx();
	if (c->pack && c->unpack && !set_level(c->pack, level))
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

static bool sample_is_worth_it(
	struct codec *c, const char *src, size_t n, void *dst, size_t bound)
{
	char sample[PLACES * SAMPLE];

	for (size_t i = 0; i < PLACES; i++)
		memcpy(sample + i * SAMPLE, src + i * (n / PLACES), SAMPLE);
	return worth_it(
		ZSTD_compress2(c->pack, dst, bound, sample, sizeof(sample)),
		sizeof(sample));
}

size_t codec_compress(struct codec *c, const void *src, size_t n, void *dst)
{
	size_t bound = codec_bound(n);

	if (n >= 4 * PLACES * SAMPLE &&
		!sample_is_worth_it(c, src, n, dst, bound))
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
