/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sharedfs.h - which files do other nodes see? */
#ifndef SHAREDFS_H
#define SHAREDFS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A file system of a type that is known to be of one node is local; any other
 * counts as shared, since what is shared must not be written over. Of lists of
 * path prefixes, separated by blanks, the longest that fits wins over that.
 */
bool sharedfs_is_local(const char *path, const char *type,
	const char *shared_paths, const char *local_paths);

/* Is path in one of these, which are separated by blanks? */
bool sharedfs_is_named(const char *path, const char *paths);

/* The type of the file system that this directory is on. */
void sharedfs_type(int dir, char *type, size_t size);

/* Is path dir itself, or below it? Both without a slash at the end. */
bool sharedfs_is_below(const char *path, const char *dir);

/* The mounts of this process, and what is known beside their types. */
struct sharedfs {
	const char *shared_paths, *local_paths; /* borrowed */
	dev_t checkpoints; /* the file system that every node must see */
	struct sharedfs_mount {
		int id;
		char type[32];
	} *mount;
	size_t n, room;
};

/* checkpoints is a directory for checkpoints. Release with sharedfs_close(). */
void sharedfs_open(struct sharedfs *fs, const char *shared_paths,
	const char *local_paths, int checkpoints);
void sharedfs_close(struct sharedfs *fs);

/* Does only this node see what is there? False if it cannot be found out. */
bool sharedfs_only_here(const struct sharedfs *fs, const char *path);

#endif
