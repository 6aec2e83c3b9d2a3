/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rollback.h - output files that went on after the checkpoint was made */
#ifndef ROLLBACK_H
#define ROLLBACK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "err.h"

/*
 * After a periodic checkpoint and a crash, a file that the command writes is
 * longer than it was. CRIU refuses it then (unless it is open for appending),
 * and what the command writes again would stand there twice. So the sizes are
 * recorded with the generation, and the files are cut back to them first.
 */

/*
 * The regular files that the tree of root has open for writing, but not for
 * appending: [{ "path": "/home/a/data", "size": 4096 }, ...]. Those that are
 * a standard stream (std[0..2], as of fstat(2), st_nlink 0: none) are listed
 * with its number as "std", also if they are open for appending. The tree must
 * be stopped. NULL with *err when memory is out.
 */
json_t *rollback_survey(pid_t root, const struct stat std[3], struct err *err);

/*
 * Cut those that have grown back to their sizes. What is cut off is kept in
 * the directory keep, as "0003.tail-0", "0003.tail-1", ... with gen 3. A file
 * that shrank or is gone is left for criu to name. Standard output is cut back
 * only with streams set, and only if the caller's own descriptor is still the
 * same file, which must not be that of standard error: messages of ours are in
 * there.
 */
int rollback_apply(const json_t *list, int keep, unsigned gen, bool streams,
	struct err *err);

#endif
