/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inuse.h - the files that the processes of a tree use, by name */
#ifndef INUSE_H
#define INUSE_H

#include <sys/stat.h>
#include <sys/types.h>

enum inuse_how {
	INUSE_OPEN,   /* open, mapped, or being run */
	INUSE_WITHIN, /* a working or root directory */
	INUSE_NAMED,  /* by an argument of a command line */
};

/*
 * Call cb for each, more than once for some. Paths are absolute, as this
 * process sees them, and there; of whatever type. What is the same file as
 * std[1] or std[2] (st_nlink 0: none) is left out: a new leg has its own.
 */
void inuse_files(pid_t root, const struct stat std[3],
	void (*cb)(const char *path, enum inuse_how how, void *arg), void *arg);

#endif
