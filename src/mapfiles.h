/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapfiles.h - mappings of files that criu cannot open by their name
 *
 * criu opens the file of a mapping as /proc/PID/map_files/START-END, which the
 * kernel allows to nobody in a user namespace, or else by its name. A file
 * that was deleted has none: Python's multiprocessing locks are such. And of
 * one on an overlay criu may not believe that it is the same.
 */
#ifndef MAPFILES_H
#define MAPFILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* Does a process of this tree map such a file? Asked in the tree's mounts. */
bool mapfiles_needed(pid_t root);

struct mapfiles;

/* Files of up to limit bytes are copied, where nothing else helps. */
struct mapfiles *mapfiles_new(pid_t root, uint64_t limit);
void mapfiles_free(struct mapfiles *m);

/*
 * The file behind /proc/PID/map_files/NAME, for criu, while the tree stands
 * still: a descriptor that stays ours; the same file for every mapping of it.
 * -1: criu is to go on by itself; *err is only set if that cannot end well.
 */
int mapfiles_open(
	struct mapfiles *m, pid_t pid, const char *name, struct err *err);

#endif
