/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proc.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

void int_list_add(struct int_list *l, int v)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		int *p = realloc(l->v, room * sizeof(*p));

		if (!p)
			return;
		l->v = p;
		l->room = room;
	}
	l->v[l->n++] = v;
}

bool int_list_has(const struct int_list *l, int v)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i] == v)
			return true;
	return false;
}

/* Append the children of one thread, see proc_tid_children(5). */
static void add_children(struct int_list *l, pid_t pid, const char *tid)
{
	char path[64];
	auto_file FILE *f = NULL;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", pid, tid);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &child) == 1)
		int_list_add(l, child);
}

struct int_list proc_tree(pid_t root)
{
	struct int_list l = {0};
	struct proc_stat st;

	if (!proc_stat(root, &st))
		return l;
	int_list_add(&l, root);
	for (size_t i = 0; i < l.n; i++) {
		char path[32];
		struct dirent *e;
		DIR *d;

		snprintf(path, sizeof(path), "/proc/%d/task", l.v[i]);
		d = opendir(path);
		while (d && (e = readdir(d)))
			if (isdigit((unsigned char)*e->d_name))
				add_children(&l, l.v[i], e->d_name);
		if (d)
			closedir(d);
	}
	return l;
}

struct int_list proc_threads(const struct int_list *processes)
{
	struct int_list l = {0};

	for (size_t i = 0; i < processes->n; i++) {
		char path[32];
		struct dirent *e;
		DIR *d;

		snprintf(path, sizeof(path), "/proc/%d/task", processes->v[i]);
		d = opendir(path);
		while (d && (e = readdir(d)))
			if (isdigit((unsigned char)*e->d_name))
				int_list_add(&l, atoi(e->d_name));
		if (d)
			closedir(d);
	}
	return l;
}

/* Read a small /proc file; the length, or -1. Always NUL-terminated. */
static ssize_t slurp(const char *path, char *buf, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;

	while (fd >= 0 && at < size - 1) {
		ssize_t n = read(fd, buf + at, size - 1 - at);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	buf[at] = '\0';
	return at ? (ssize_t)at : -1;
}

bool proc_stat(pid_t pid, struct proc_stat *st)
{
	char path[32], buf[1024], *open_par, *close_par;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (slurp(path, buf, sizeof(buf)) < 0)
		return false;
	/* The name may hold anything, blanks and parentheses included. */
	open_par = strchr(buf, '(');
	close_par = strrchr(buf, ')');
	if (!open_par || !close_par || close_par < open_par)
		return false;
	*close_par = '\0';
	snprintf(st->comm, sizeof(st->comm), "%s", open_par + 1);
	return sscanf(close_par + 1,
		       " %c %d %d %d %d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
		       "%*d %*d %*d %*d %*d %llu",
		       &st->state, &st->ppid, &st->pgrp, &st->session, &st->tty,
		       &st->start) == 6;
}

uint64_t proc_pending(pid_t pid, pid_t tid)
{
	static const char *const keys[] = {"\nSigPnd:", "\nShdPnd:"};
	char path[64], buf[4096];
	uint64_t mask = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	if (slurp(path, buf, sizeof(buf)) < 0)
		return 0;
	for (size_t i = 0; i < LEN(keys); i++) {
		const char *at = strstr(buf, keys[i]);

		if (at)
			mask |= strtoull(at + strlen(keys[i]), NULL, 16);
	}
	return mask;
}

void proc_fds(pid_t pid, bool (*cb)(const struct proc_fd *, void *), void *arg)
{
	char path[32];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		struct proc_fd f = {.pid = pid};
		ssize_t n;

		if (!isdigit((unsigned char)*e->d_name))
			continue;
		f.fd = (int)strtol(e->d_name, NULL, 10);
		n = readlinkat(
			dirfd(d), e->d_name, f.target, sizeof(f.target) - 1);
		if (n < 0)
			continue;
		f.target[n] = '\0';
		f.have_st = !fstatat(dirfd(d), e->d_name, &f.st, 0);
		if (!cb(&f, arg))
			break;
	}
	if (d)
		closedir(d);
}

bool proc_fdinfo(pid_t pid, int fd, struct proc_fdinfo *info)
{
	char path[64], buf[1024], *p;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	if (slurp(path, buf, sizeof(buf)) < 0)
		return false;
	p = strstr(buf, "pos:");
	if (!p || sscanf(p, "pos: %lld", &info->pos) != 1)
		return false;
	p = strstr(buf, "flags:");
	if (!p || sscanf(p, "flags: %o", &info->flags) != 1)
		return false;
	p = strstr(buf, "mnt_id:");
	return p && sscanf(p, "mnt_id: %d", &info->mnt_id) == 1;
}

void proc_shared_writable(pid_t pid,
	void (*cb)(const char *path, ino_t ino, void *arg), void *arg)
{
	char name[32], perms[8];
	auto_file FILE *f = NULL;
	auto_free char *line = NULL;
	unsigned long ino;
	size_t room = 0;
	int at;

	/* See proc_pid_maps(5). */
	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	f = fopen(name, "re");
	while (f && getline(&line, &room, f) > 0) {
		at = 0;
		if (sscanf(line, "%*s %7s %*s %*s %lu %n", perms, &ino, &at) <
				2 ||
			!at || perms[1] != 'w' || perms[3] != 's' ||
			line[at] != '/')
			continue;
		line[strcspn(line, "\n")] = '\0';
		cb(line + at, ino, arg);
	}
}

void proc_mounts(
	void (*cb)(int id, const char *point, const char *type, void *arg),
	void *arg)
{
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	auto_free char *line = NULL;
	size_t room = 0;
	char point[4096], type[64];
	int id;

	/* The type follows a lone hyphen, see proc_pid_mountinfo(5). */
	while (f && getline(&line, &room, f) > 0) {
		const char *t = strstr(line, " - ");

		if (t && sscanf(t, " - %63s", type) == 1 &&
			sscanf(line, "%d %*d %*s %*s %4095s", &id, point) == 2)
			cb(id, point, type, arg);
	}
}

void proc_cmdline(pid_t pid, char *buf, size_t size)
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	n = slurp(path, buf, size);
	for (ssize_t i = 0; i < n - 1; i++)
		if ((unsigned char)buf[i] < ' ')
			buf[i] = ' ';
	if (n <= 0)
		snprintf(buf, size, "?");
}

static bool read_statm(
	pid_t pid, unsigned long long *resident, unsigned long long *shared)
{
	char path[32], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	return slurp(path, buf, sizeof(buf)) >= 0 &&
	       sscanf(buf, "%*u %llu %llu", resident, shared) == 2;
}

uint64_t proc_rss(pid_t pid)
{
	unsigned long long resident, shared;

	if (!read_statm(pid, &resident, &shared))
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* See proc_pid_status(5). */
uint64_t proc_caught(pid_t pid)
{
	auto_free char *path = xasprintf("/proc/%d/status", (int)pid);
	auto_free char *text =
		read_file_at(AT_FDCWD, path, 1U << 16, NULL, NULL);
	const char *at = text ? strstr(text, "\nSigCgt:") : NULL;

	return at ? strtoull(at + 8, NULL, 16) : 0;
}

bool proc_has_filter(pid_t pid)
{
	auto_free char *path = xasprintf("/proc/%d/status", (int)pid);
	auto_free char *text = read_file_at(AT_FDCWD, path, 65536, NULL, NULL);

	return text && strstr(text, "\nSeccomp:\t2\n");
}

uint64_t proc_anonymous(pid_t pid)
{
	unsigned long long resident, shared;

	if (!read_statm(pid, &resident, &shared) || shared > resident)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of Linux: MAX_ARG_STRLEN is 128 KiB, of all there is a quarter of the stack.
 */
#define CMDLINE_MAX (8U << 20)

/* Each argument has a NUL behind it, see proc_pid_cmdline(5). */
char **proc_arguments(pid_t pid, struct err *err)
{
	auto_free char *path = xasprintf("/proc/%d/cmdline", (int)pid);
	auto_free char *text = NULL;
	size_t len, n = 0;
	char **argv;

	text = read_file_at(AT_FDCWD, path, CMDLINE_MAX, &len, err);
	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++)
		n += text[i] == '\0';
	argv = xcalloc(n + 2, sizeof(*argv));
	n = 0;
	for (size_t i = 0; i < len; i += strlen(text + i) + 1)
		argv[n++] = xstrdup(text + i);
	return argv;
}

void proc_arguments_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

unsigned proc_umask(pid_t pid)
{
	char path[32], text[4096];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	at = slurp(path, text, sizeof(text)) > 0 ? strstr(text, "\nUmask:")
						 : NULL;
	return at ? (unsigned)strtoul(at + 7, NULL, 8) & 0777 : 022;
}
