/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remap.h - processes that are restored get their shared memory segments back
 */
#ifndef REMAP_H
#define REMAP_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "store.h"

/*
 * Restore with criu(arg, stop, err), which returns the root of the tree, or -1
 * with *err; with stop the tree has to be left stopped. What the generation has
 * of System V IPC is made before; criu puts files of nothing where segments
 * were attached, and then, by ptrace(2), every process attaches them, and the
 * tree runs on, but for what was stopped when it was dumped. No process learns
 * that it, or a child of its, was stopped meanwhile. Returns the root; -1 with
 * *err: then what there is of the tree is of no use.
 */
pid_t remap_restore(struct store_reader *generation,
	pid_t (*criu)(void *arg, bool stop, struct err *err), void *arg,
	struct err *err);

#endif
