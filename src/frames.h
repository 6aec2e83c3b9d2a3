/* SPDX-License-Identifier: GPL-2.0-or-later */
/* frames.h - frames of packs, read ahead and unpacked by threads */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "pack.h"

/* So many are in memory at a time. */
#define FRAMES_HELD 96

struct frames;

/* threads 0: as many as CPUs; lend as in pack_read(). NULL with *err. */
struct frames *frames_new(unsigned threads, bool lend, struct err *err);
void frames_free(struct frames *f);

/* An eventfd, readable when frames have come since it was last read. */
int frames_fd(const struct frames *f);

/*
 * Frame number of a pack will be needed soon; the pack is borrowed until
 * frames_free(). False: there is no room for it now.
 */
bool frames_want(struct frames *f, struct pack *p, uint32_t number);

/* A frame in memory; the holder may read it until frames_put(). */
struct held_frame {
	struct pack *pack;
	uint32_t number;
	struct pack_content content;
	/* The rest is not the holder's business. */
	unsigned char *room;
	unsigned holders;
	int state;
	uint64_t used;
	struct err err;
};

/*
 * 1: *out is it; 0: not there yet (never with wait set); -1 with *err: it
 * cannot be read. One thread only may call these functions.
 */
int frames_get(struct frames *f, struct pack *p, uint32_t number, bool wait,
	struct held_frame **out, struct err *err);
void frames_put(struct frames *f, struct held_frame *h);

#endif
