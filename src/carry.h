/* SPDX-License-Identifier: GPL-2.0-or-later */
/* carry.h - files of this node alone that have to go where the tree goes */
#ifndef CARRY_H
#define CARRY_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "config.h"
#include "err.h"
#include "private.h"

/*
 * Only what belongs to the user is carried, regular files, directories,
 * symlinks and FIFOs:
 *  - staged: in a private directory, on the host below its layer. Of the job's
 *    TMPDIR all; else what the tree uses, or names on a command line, and with
 *    it all below the first directory of the user's own on the way there.
 *  - outside: anywhere else on a file system that other nodes do not see. What
 *    the tree has open or mapped; and working directories, and what a command
 *    line names, with all below.
 */
struct carry {
	const struct config *cfg;
	const struct private *private;
	int checkpoints;    /* a directory of the checkpoints; see sharedfs.h */
	bool outside;       /* a successor may come to another node */
	const char *tmpdir; /* one outside, of which all goes, or NULL */
};

/* What is to be carried; release with carry_release(). */
struct carry_list {
	/* Files of names relative to the directory, see tar.h; -1: none. */
	int staged[PRIVATE_MAX_DIRS];
	int outside; /* relative to the root */
	/*
	 * Of all outside, the directories before what is in them, each with
	 * a NUL at its end: type, mode in octal, mtime, path, such as
	 * "f 644 1700000000.000000000 /local/alice/x". -1: none.
	 */
	int records;
	uint64_t bytes, largest_bytes;
	size_t files;
	char *largest; /* path, or NULL */
};

/*
 * Look for it; std as in inuse.h. -1 with *err, also if it is more than
 * [files] carry_limit.
 */
int carry_find(const struct carry *c, pid_t root, const struct stat std[3],
	struct carry_list *l, struct err *err);

/* Tell the user, if it is much. */
void carry_tell(const struct carry_list *l);

void carry_release(struct carry_list *l);

#endif
