/* SPDX-License-Identifier: GPL-2.0-or-later */
/* private.h - directories that only the step sees, and that travel with it */
#ifndef PRIVATE_H
#define PRIVATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "store.h"

#define PRIVATE_MAX_DIRS 10

struct private_dir {
	char *path;
	int layer;      /* what the step wrote or changed; -1: not private */
	bool has_lower; /* the host's files are seen through it */
	bool all;       /* and all that are the user's go with it */
};

struct private
{
	bool user_ns; /* see tar.h */
	struct private_dir dir[PRIVATE_MAX_DIRS];
	size_t n;
	char *tmpdir;   /* one below these, of which all goes, or NULL */
	char note[256]; /* a limit the user should know of, or empty */
};

struct private_plan {
	const char *dirs;   /* of the configuration, blanks between them */
	const char *tmpdir; /* the job's own one, or NULL; see tmpdir.h */
	/* A directory of the host for the layers, or NULL: memory. */
	const char *scratch;
	/* What to fill the layers from, or NULL, and what private_list() was.
	 */
	struct store_reader *generation;
	const json_t *recorded;
};

/*
 * Make directories private to the caller's mount namespace: what is there is
 * seen, and what is written goes to a layer. With a generation these are the
 * directories that it had, whatever the configuration says by now, and one
 * that is not on this node is made to appear.
 */
int private_enter(
	struct private *p, const struct private_plan *plan, struct err *err);

/*
 * For the manifest: [{ "path": "/tmp", "all": false }, ...]; the text as that
 * of files_path_text(). The place in the list is the number of the streams.
 * NULL when memory is out.
 */
json_t *private_list(const struct private *p);

/* Streams of directory i: its layer, and what was staged below that. */
void private_archive_name(size_t i, char name[32]);
void private_staged_name(size_t i, char name[32]);

/* Does the directory hold nothing? */
bool private_is_empty(int dir);

/* A fresh tmpfs; mode as in mount(8), "mode=0700". */
int private_tmpfs(const char *path, const char *mode, struct err *err);

#endif
