/* SPDX-License-Identifier: GPL-2.0-or-later */
/* relay.h - output streams that CRIU cannot give back as they are */
#ifndef RELAY_H
#define RELAY_H

#include <jansson.h>
#include <sys/types.h>

#include "err.h"

/*
 * Standard output or error may be a socket (which CRIU cannot dump), or a
 * pipe of another user (which it cannot open again), or a file where the
 * tree was dumped with a pipe. Then the tree gets a pipe of ours, and a small
 * process copies what comes through it.
 */
struct relay {
	pid_t pid[3]; /* 0: none */
	int fd[3];    /* what the tree is to have as 0, 1, 2 */
};

/* No relays yet: the tree gets 0, 1 and 2. */
void relay_init(struct relay *r);

/*
 * Make the relays that are needed. outside is the list of the manifest that
 * is to be restored (see files.h), or NULL for a fresh start.
 */
int relay_make(struct relay *r, const json_t *outside, struct err *err);

/* When the tree is gone: wait until all it wrote has been copied. */
void relay_end(struct relay *r);

#endif
