/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proc.h - reading /proc; nothing here disturbs the process looked at */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "err.h"

/* A growing list of numbers; release with free(list.v). */
struct int_list {
	int *v;
	size_t n, room;
};

/*
 * root and all its descendants, parents first, as the /proc that is mounted
 * shows them. The tree may change meanwhile: processes that are gone are
 * left out. An empty list if root is gone.
 */
struct int_list proc_tree(pid_t root);

/* The numbers of all threads of these processes; release as above. */
struct int_list proc_threads(const struct int_list *processes);

/* Fields of /proc/PID/stat, see proc_pid_stat(5). */
struct proc_stat {
	char comm[64];
	char state; /* R, S, D, Z, T, t, ... */
	pid_t ppid, pgrp, session;
	int tty;                  /* controlling terminal, 0: none */
	unsigned long long start; /* clock ticks after boot */
};

/* Returns false if the process is gone. */
bool proc_stat(pid_t pid, struct proc_stat *st);

/*
 * The signals that wait for a thread, and for its process: SigPnd and ShdPnd of
 * /proc/PID/task/TID/status.
 */
uint64_t proc_pending(pid_t pid, pid_t tid);

/* The signals that it has handlers for: bit 0 is signal 1. */
uint64_t proc_caught(pid_t pid);

/* One descriptor of a process. */
struct proc_fd {
	pid_t pid;
	int fd;
	char target[512]; /* what readlink says; cut */
	struct stat st;
	bool have_st;
};

/*
 * Call cb for every descriptor of pid until it returns false. A process that
 * is gone or may not be looked at has none.
 */
void proc_fds(pid_t pid, bool (*cb)(const struct proc_fd *, void *), void *arg);

/* "pos", "flags" (octal in the file) and "mnt_id" of /proc/PID/fdinfo/FD. */
struct proc_fdinfo {
	long long pos;
	unsigned flags;
	int mnt_id;
};

bool proc_fdinfo(pid_t pid, int fd, struct proc_fdinfo *info);

/*
 * Call cb for every shared mapping of a file that pid may write: path and inode
 * number. The path is only lent, and was cut off at a newline.
 */
void proc_shared_writable(pid_t pid,
	void (*cb)(const char *path, ino_t ino, void *arg), void *arg);

/*
 * Call cb with id, mount point and file system type of every mount of the
 * calling process's mount namespace. The texts are only lent.
 */
void proc_mounts(
	void (*cb)(int id, const char *point, const char *type, void *arg),
	void *arg);

void int_list_add(struct int_list *l, int v);
bool int_list_has(const struct int_list *l, int v);

/* The command line for people: arguments joined by blanks, cut. */
void proc_cmdline(pid_t pid, char *buf, size_t size);

/*
 * The command line as it is: NULL-terminated, release with
 * proc_arguments_free(); NULL with *err.
 */
char **proc_arguments(pid_t pid, struct err *err);
void proc_arguments_free(char **argv);

/* The umask of a process, 022 if it cannot be had. */
unsigned proc_umask(pid_t pid);

/* Are its system calls filtered? See seccomp(2). */
bool proc_has_filter(pid_t pid);

/* Resident memory that is in no file, in bytes, 0 if the process is gone. */
uint64_t proc_anonymous(pid_t pid);

/* Resident memory in bytes, 0 if the process is gone. */
uint64_t proc_rss(pid_t pid);

#endif
