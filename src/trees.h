/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trees.h - whole trees of directories: removed, measured */
#ifndef TREES_H
#define TREES_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"

/* A stream of the directory that leaves dir's own offset alone, or NULL. */
DIR *tree_list(int dir);

/* Is this the directory itself or the one above? */
bool tree_is_dot(const char *name);

/*
 * Remove name below dir with all that is in it, as rm -rf does; no symbolic
 * link is followed. Goes on after a failure: -1 with the last one in *err.
 */
int tree_remove(int dir, const char *name, struct err *err);

/* Bytes on disk of all that is in the directory; links count for themselves. */
uint64_t tree_bytes(int dir);

#endif
