/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inuse.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "proc.h"
#include "util.h"

struct survey {
	const struct stat *std;
	void (*cb)(const char *path, enum inuse_how how, void *arg);
	void *arg;
};

static bool is_output(const struct survey *s, const struct stat *st)
{
	for (int i = 1; i < 3; i++)
		if (s->std[i].st_nlink && st->st_dev == s->std[i].st_dev &&
			st->st_ino == s->std[i].st_ino)
			return true;
	return false;
}

static void tell(const struct survey *s, const char *path, enum inuse_how how)
{
	struct stat st;

	if (*path == '/' && !lstat(path, &st))
		s->cb(path, how, s->arg);
}

/* What the link says: false if it is none, or too long for a path. */
static bool follow(const char *link, char path[PATH_MAX])
{
	ssize_t n = readlink(link, path, PATH_MAX);

	if (n <= 0 || n == PATH_MAX)
		return false;
	path[n] = '\0';
	return true;
}

static void look_at_link(
	const struct survey *s, pid_t pid, const char *name, enum inuse_how how)
{
	char link[64], path[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/%d/%s", pid, name);
	if (follow(link, path))
		tell(s, path, how);
}

static bool look_at_fd(const struct proc_fd *f, void *arg)
{
	const struct survey *s = arg;
	char name[32];

	if (f->target[0] != '/' || !f->have_st || !f->st.st_nlink ||
		is_output(s, &f->st))
		return true;
	/* Again, as a long one is cut there. */
	snprintf(name, sizeof(name), "fd/%d", f->fd);
	look_at_link(s, f->pid, name, INUSE_OPEN);
	return true;
}

/* The kernel writes a newline in a name as \012, and nothing else so. */
static void with_newlines(char *path)
{
	char *to = path;

	for (const char *p = path; *p; p++) {
		bool is_newline = !strncmp(p, "\\012", 4);

		*to++ = is_newline ? '\n' : *p;
		p += is_newline ? 3 : 0;
	}
	*to = '\0';
}

static void look_at_mappings(const struct survey *s, pid_t pid)
{
	auto_free char *line = NULL, *last = xstrdup("");
	auto_file FILE *f = NULL;
	char name[32], *path;
	size_t room = 0;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	f = fopen(name, "re");
	/* See proc_pid_maps(5): the path comes last, after blanks. */
	while (f && getline(&line, &room, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		path = strchr(line, '/');
		if (!path || !strcmp(path, last))
			continue;
		free(last);
		last = xstrdup(path);
		tell(s, path, INUSE_OPEN);
		with_newlines(path);
		if (strcmp(path, last))
			tell(s, path, INUSE_OPEN);
	}
}

/* A link that is named, and what it leads to. */
static void tell_named(const struct survey *s, const char *path)
{
	char real[PATH_MAX];
	struct stat st;

	if (!realpath(path, real))
		return;
	tell(s, real, INUSE_NAMED);
	if (strcmp(path, real) && !lstat(path, &st) && S_ISLNK(st.st_mode))
		tell(s, path, INUSE_OPEN);
}

/* "/tmp/x", "x", "--input=/tmp/x", "a:/tmp/x" */
static void look_at_argument(
	const struct survey *s, const char *cwd, const char *arg)
{
	auto_free char *path = NULL;

	if (*arg && *arg != '/' && *arg != '-') {
		path = xasprintf("%s/%s", cwd, arg);
		tell_named(s, path);
	}
	for (const char *p = arg; *p; p++)
		if (*p == '/' && (p == arg || strchr("=:,", p[-1])))
			tell_named(s, p);
}

static void look_at_arguments(const struct survey *s, pid_t pid)
{
	char **argv = proc_arguments(pid, NULL);
	char link[32], cwd[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/%d/cwd", pid);
	if (!follow(link, cwd))
		snprintf(cwd, sizeof(cwd), "/");
	for (size_t i = 0; argv && argv[i]; i++)
		look_at_argument(s, cwd, argv[i]);
	proc_arguments_free(argv);
}

void inuse_files(pid_t root, const struct stat std[3],
	void (*cb)(const char *path, enum inuse_how how, void *arg), void *arg)
{
	struct survey s = {.std = std, .cb = cb, .arg = arg};
	struct int_list tree = proc_tree(root);

	for (size_t i = 0; i < tree.n; i++) {
		look_at_link(&s, tree.v[i], "cwd", INUSE_WITHIN);
		look_at_link(&s, tree.v[i], "root", INUSE_WITHIN);
		look_at_link(&s, tree.v[i], "exe", INUSE_OPEN);
		proc_fds(tree.v[i], look_at_fd, &s);
		look_at_mappings(&s, tree.v[i]);
		look_at_arguments(&s, tree.v[i]);
	}
	free(tree.v);
}
