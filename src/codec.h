/* SPDX-License-Identifier: GPL-2.0-or-later */
/* codec.h - zstd for one frame at a time */
#ifndef CODEC_H
#define CODEC_H

#include <stddef.h>

#include "err.h"

struct codec;

/* For one thread. level is zstd's. NULL with *err when memory is out. */
struct codec *codec_new(int level, struct err *err);
void codec_free(struct codec *c);

/* Room that codec_compress() may need for n bytes. */
size_t codec_bound(size_t n);

/*
 * Compress n bytes into dst, which has codec_bound(n). Returns the size, or 0
 * if it is not worth it: a sample is tried first, so that random data cost
 * next to nothing.
 */
size_t codec_compress(struct codec *c, const void *src, size_t n, void *dst);

/* Decompress into exactly want bytes. -1 with *err if it is anything else. */
int codec_decompress(struct codec *c, const void *src, size_t n, void *dst,
	size_t want, struct err *err);

#endif
