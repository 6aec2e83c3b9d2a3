/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapfiles.h - mappings of files that criu cannot open by their name
 *
 * criu opens the file of a mapping as /proc/PID/map_files/START-END, which the
 * kernel allows to nobody in a user namespace, or else by its name. A file
 * that was deleted has none: Python's multiprocessing locks are such. And of
 * one on an overlay criu may not believe that it is the same. So while criu
 * dumps, these openings are answered here, by seccomp's user notifications;
 * see seccomp_unotify(2).
 */
#ifndef MAPFILES_H
#define MAPFILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* Does a process of this tree map such a file? Asked in the tree's mounts. */
bool mapfiles_needed(pid_t root);

/*
 * In the process that becomes criu, behind a fork of one with threads: from
 * now on its openings may be answered by whoever has the other end of sock.
 * 0, or -1 with errno.
 */
int mapfiles_ask(int sock);

struct mapfiles;

/*
 * The one who answers, when criu runs. Files of up to limit bytes are looked
 * at. NULL with *err; released with mapfiles_free().
 */
struct mapfiles *mapfiles_new(
	int sock, pid_t root, uint64_t limit, struct err *err);
void mapfiles_free(struct mapfiles *m);

/* Can be read when there is a question. */
int mapfiles_fd(const struct mapfiles *m);

/*
 * Answer one question. What cannot be answered is left to the kernel, which
 * says no; the reason is then in *err, if it is a better one.
 */
void mapfiles_answer(struct mapfiles *m, struct err *err);

#endif
