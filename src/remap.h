/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remap.h - processes that are restored get their shared memory segments back
 */
#ifndef REMAP_H
#define REMAP_H

#include <jansson.h>
#include <sys/types.h>

#include "err.h"

/*
 * criu has restored the tree of root and left it stopped, with files of nothing
 * where segments of System V were attached. Attach those that sysv_make() has
 * made, in every process, by ptrace(2), and let the tree run on; but not what
 * was stopped when it was dumped. No process learns that it, or a child of its,
 * was stopped meanwhile. facts are those of sysv_load(). -1 with *err: then the
 * tree is of no use.
 */
int remap_tree(pid_t root, const json_t *facts, struct err *err);

#endif
