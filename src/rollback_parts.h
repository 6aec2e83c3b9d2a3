/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rollback_parts.h - what the files of rollback share */
#ifndef ROLLBACK_PARTS_H
#define ROLLBACK_PARTS_H

#include "rollback.h"

/* The room of a hash as text. */
#define HASH_TEXT 33

/* So much before the end of a file tells it from another one. */
#define EDGE 65536

/* Contents begin at multiples of this, so that equal pages are found. */
#define CONTENT_ALIGN 4096

/* --- rollback_file.c: one file --- */

/* Hash of [from, to) of a file. -1 if it cannot be read so far. */
int file_hash(int fd, off_t from, off_t to, char text[HASH_TEXT]);

/* When the file was made, in ns; 0 where the file system does not tell. */
int64_t file_birth(int fd);

/*
 * A hash of the file handle, which is another one for each file that ever was,
 * and the same on all nodes. -1 where the file system has none.
 */
int file_handle_hash(int fd, char text[HASH_TEXT]);

int64_t file_mtime(const struct stat *st);

/* Inode number of the directory of a path; 0 if it cannot be had. */
ino_t file_directory(const char *path);

/*
 * The other name, in the directory of path, of the file with this inode number;
 * free it. NULL if there is none.
 */
char *file_renamed(const char *path, ino_t ino);

/* Give it the name back, unless that is taken. 0, or -1 with errno. */
int file_rename_back(const char *from, const char *to);

/*
 * Is it open for writing by a process of this machine that has nothing to do
 * with this one? Only local file systems tell. The last of a killed tree may
 * take a moment to end: until then, but not longer than to the deadline (of
 * now_mono()), it is waited for.
 */
bool file_is_written(int fd, const struct stat *st, double deadline);

/*
 * Copy [from, to) into a new file of the directory keep, fsynced. name is what
 * it shall be called, and is made a name that is free.
 */
int file_keep(int fd, off_t from, off_t to, int keep, char *name, size_t room,
	struct err *err);

/* --- an entry of the list --- */

struct entry {
	char *path;
	char *moved; /* where the file is now, if it was renamed; or NULL */
	off_t size, at;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	ino_t ino, dir;
	int64_t mtime, btime;
	int std; /* -1: none */
	bool append, checked, absent;
	bool beside; /* only lies beside one that is open */
	/* In the list; NULL: none. */
	const char *edge, *content, *handle;
};

/* --- rollback_act.c: taking away and putting back --- */

enum action {
	LEAVE,
	CUT,      /* to its size */
	PUT_BACK, /* its content */
	REMOVE,
};

struct act {
	struct entry e;
	size_t number; /* in the list */
	enum action action;
	bool there;      /* the file; now it is */
	struct stat now; /* this */
	char kept[64];   /* name of what was taken away; empty: nothing */
};

/*
 * The file of an entry for reading, as it is now; of a stream, that of the
 * caller. If it may not be read, a descriptor that only stands for it
 * (O_PATH). -1 with errno.
 */
int act_open(const struct entry *e, struct stat *st);

/*
 * Do what the acts say. ROLLBACK_FATAL if what would be taken away cannot be
 * kept: then nothing was changed.
 */
enum rollback_result act_all(const struct rollback_job *r, struct act *acts,
	size_t n, struct err *err);

#endif
