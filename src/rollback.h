/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rollback.h - output files that went on after the checkpoint was made */
#ifndef ROLLBACK_H
#define ROLLBACK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "capsule.h"
#include "config.h"
#include "err.h"
#include "store.h"

/*
 * After a checkpoint and a crash, a file that the command writes is not what
 * it was: CRIU refuses it if its size has changed (unless it is open for
 * writing and appending only), and what the command writes again would stand
 * there twice. So what the files were is noted while the tree is frozen, small
 * ones that are open for reading and writing are stored, and all is put back
 * before a restore.
 *
 * An entry of the list in the manifest, "written":
 *   path       as of readlink(2), see files_path_text()
 *   size, mode, uid, gid, ino, mtime, btime (ns; 0: not known)
 *   dir        inode number of its directory
 *   handle     hash of its file handle, if it has one
 *   std        number of the standard stream that it is, if it is one
 *   append     every descriptor of it is open for appending
 *   checked    criu looks at its size
 *   edge       hash of the last EDGE bytes, if they could be read
 *   content    hash of all of it; then it is in the stream "written.data"
 *   at         where it is there
 *   beside     it is not open itself, but belongs to the file before
 *   absent     it was not there, and would spoil the file before if it were
 */

/* Name of the stream with the contents. */
#define ROLLBACK_STREAM "written.data"

/* --- a dump --- */

struct rollback_survey {
	pid_t root; /* of the tree, which must be stopped */
	/* The standard streams as of fstat(2); st_nlink 0: none. */
	struct stat std[3];
	/* What lies in its private directories is carried, and left out. */
	const struct capsule *capsule;
	uint64_t snapshot_limit; /* bytes */
};

/*
 * The regular files that the tree has open, or mapped, for writing. Those
 * whose content is to be stored have a "content" that is only null yet. NULL
 * with *err when memory is out.
 */
json_t *rollback_survey(const struct rollback_survey *s, struct err *err);

/*
 * Write the contents that are to be stored to out, and complete the list. The
 * tree is still stopped. -1 with *err if out takes no more.
 */
int rollback_snapshot(json_t *list, int out, struct err *err);

/* --- a restore --- */

struct rollback_job {
	const json_t *list;
	struct store_reader *generation; /* for the contents */
	unsigned gen;
	/*
	 * What is cut off or replaced is kept in this directory: with gen 3 as
	 * "0003.tail-0" (the end of the first file of the list) or
	 * "0003.file-0" (all of it), with .2, .3, ... behind it if that exists.
	 */
	int keep;
	/* The tree ran on after the checkpoint, so far as is known. */
	bool went_on;
	enum rollback policy;
};

enum rollback_result {
	ROLLBACK_DONE,
	ROLLBACK_UNFIT, /* *err: this generation cannot be restored */
	ROLLBACK_FATAL, /* *err: nothing is to be restored */
};

/*
 * Put the files back. First all are looked at, then what will be taken away is
 * kept, and only then is anything changed: so if the result is not
 * ROLLBACK_DONE, at most the content of the generation could not be read.
 * Standard output is cut back only if the tree went on, and only if the
 * caller's own descriptor is still the same file, which must not be that of
 * standard error: messages of ours are in there.
 */
enum rollback_result rollback_apply(
	const struct rollback_job *r, struct err *err);

#endif
