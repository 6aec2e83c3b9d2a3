/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spool.h - a list that grows without bound, in an unnamed file */
#ifndef SPOOL_H
#define SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct spool {
	int fd;
	uint64_t size; /* bytes added */
	size_t held;   /* of them, not in the file yet */
	unsigned char *hold;
};

/* An unnamed file in the directory dir, so that memory stays bounded. */
int spool_open(struct spool *s, int dir, struct err *err);
int spool_add(struct spool *s, const void *data, size_t n, struct err *err);

/* All that was added is then in the file. */
int spool_flush(struct spool *s, struct err *err);

/* May be called for one that was never opened, if it is zeroed. */
void spool_close(struct spool *s);

#endif
