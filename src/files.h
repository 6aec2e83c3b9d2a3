/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.h - what the tree holds open that comes from outside the capsule */
#ifndef FILES_H
#define FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

/*
 * A file that was opened before the capsule existed (standard input, output
 * and error above all) lies on a mount that criu does not see. Each such file
 * is named to criu as external when it dumps, and given back by descriptor
 * when it restores: the standard streams are then those of the new leg.
 *
 * An entry of the list in the manifest:
 *   { "key": "file[2a:1234]", "std": 1, "path": "/home/a/out", "flags": 1 }
 * key is criu's name (see --external and --inherit-fd in criu(8)); std, if
 * there, is the standard stream it is; path and flags are for files only.
 */

/*
 * Survey the tree of root (stopped or not). The caller's own descriptors 0, 1
 * and 2 tell what the standard streams are. Returns an array, or NULL with
 * *err if something cannot be dumped at all.
 */
json_t *files_outside(pid_t root, struct err *err);

/* Does this key have to be told to criu at a dump (--external)? */
bool files_is_external(const char *key);

/*
 * For each entry call add(fd, key, arg): the descriptor that criu is to use
 * in place of key, and that it closes. The caller's own descriptors
 * 0, 1 and 2 are the new leg's streams.
 */
int files_inherit(const json_t *outside,
	int (*add)(int fd, const char *key, void *arg), void *arg,
	struct err *err);

/* Twice the longest path that proc_fds() gives. */
#define FILES_TEXT_ROOM 1024

/*
 * A path as JSON text: byte 0x80 to 0xff as the character of that number, as
 * if the name were Latin-1, so that it comes back byte for byte. Returns text.
 */
const char *files_path_text(const char *path, char text[FILES_TEXT_ROOM]);

/* The reverse, in place. */
void files_text_to_path(char *text);

#endif
