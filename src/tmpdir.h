/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tmpdir.h - the directory that a site gives each job for temporary files */
#ifndef TMPDIR_H
#define TMPDIR_H

#include <jansson.h>
#include <stdbool.h>

#include "config.h"
#include "err.h"

/*
 * The command's TMPDIR, if it has to travel with it: an absolute path of a
 * directory of the user's own, below one of private_dirs, as *below says, or
 * on a file system that other nodes do not see; checkpoints is as in
 * sharedfs.h. The caller frees it; NULL: there is none.
 */
char *tmpdir_find(const struct config *cfg, int checkpoints, bool *below);

/*
 * Without a capsule the directory itself is carried. A command that has no
 * TMPDIR gets one of its own below /tmp, with a name that no other step has.
 */
struct step_tmpdir {
	char *path; /* NULL: there is none */
	bool made;  /* by us */
};

/*
 * That which the manifest of a generation records, or else that of a command
 * that is to be started, which TMPDIR is set for. facts ("chain", "step", see
 * keeper.h) are what it is named by, and are told of it for the next manifest.
 * -1 with *err.
 */
int tmpdir_begin(struct step_tmpdir *t, const struct config *cfg,
	int checkpoints, const json_t *manifest, json_t *facts,
	struct err *err);

/* Remove it, if it was made here. */
void tmpdir_remove(const struct step_tmpdir *t);

#endif
