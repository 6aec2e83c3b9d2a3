/* SPDX-License-Identifier: GPL-2.0-or-later */
/* private.h - directories that only the step sees, and that travel with it */
#ifndef PRIVATE_H
#define PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "store.h"

#define PRIVATE_MAX_DIRS 8

struct private_dir {
	char *path;
	int layer; /* what the step wrote or changed; -1: not private */
};

struct private
{
	bool user_ns; /* set by the caller; see tar.h */
	struct private_dir dir[PRIVATE_MAX_DIRS];
	size_t n;
	char note[256]; /* a limit the user should know of, or empty */
};

/*
 * Make the directories of the list, paths with blanks between them, private to
 * the caller's mount namespace: what is there is seen, and what is written
 * goes to a layer below scratch (a directory of the host, or NULL: memory).
 * The layers are filled from the generation, if it is not NULL.
 */
int private_enter(struct private *p, const char *dirs, const char *scratch,
	struct store_reader *generation, struct err *err);

/*
 * Write the layers as tar archives, each to its descriptor, which is then
 * closed; to that of an empty one nothing. The tree must be stopped meanwhile.
 */
int private_save(
	const struct private *p, int out[PRIVATE_MAX_DIRS], struct err *err);

/* The name of the stream of private directory i. */
void private_archive_name(size_t i, char name[32]);

/* A fresh tmpfs; mode as in mount(8), "mode=0700". */
int private_tmpfs(const char *path, const char *mode, struct err *err);

#endif
