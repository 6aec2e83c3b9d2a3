/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tmpdir.h - the directory that a site gives each job for temporary files */
#ifndef TMPDIR_H
#define TMPDIR_H

#include <stdbool.h>

#include "config.h"

/*
 * The command's TMPDIR, if it has to travel with it: an absolute path of a
 * directory of the user's own, below one of private_dirs, as *below says, or
 * on a file system that other nodes do not see; checkpoints is as in
 * sharedfs.h. The caller frees it; NULL: there is none.
 */
char *tmpdir_find(const struct config *cfg, int checkpoints, bool *below);

#endif
