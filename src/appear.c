/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "appear.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "private.h"
#include "util.h"

/* The nearest ancestor that is there; the caller frees it. */
static char *nearest(const char *path)
{
	char *dir = xstrdup(path);
	struct stat st;

	while (stat(dir, &st)) {
		char *slash = strrchr(dir, '/');

		if (slash <= dir) {
			dir[1] = '\0';
			break;
		}
		*slash = '\0';
	}
	return dir;
}

/* As mkdir -p; -1 with errno. */
static int make_all(const char *path)
{
	size_t n = 0;
	struct stat st;

	while (path[n]) {
		auto_free char *part = NULL;

		n += 1 + strcspn(path + n + 1, "/");
		part = strndup(path, n);
		if (!part)
			return -1;
		if (mkdir(part, 0700) && errno != EEXIST && stat(part, &st))
			return -1;
	}
	return stat(path, &st);
}

static int show_link(int from, int to, const char *name)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(from, name, text, sizeof(text) - 1);

	if (n < 0)
		return -1;
	text[n] = '\0';
	return symlinkat(text, to, name);
}

static int make_place(int to, const char *name, bool is_dir)
{
	auto_close int fd = -1;

	if (is_dir)
		return mkdirat(to, name, 0700);
	fd = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : 0;
}

/* With all that is mounted below it. */
static int show_mount(int from, int to, const char *name, bool is_dir)
{
	auto_free char *source = xasprintf("/proc/self/fd/%d/%s", from, name);
	auto_free char *target = xasprintf("/proc/self/fd/%d/%s", to, name);

	if (make_place(to, name, is_dir))
		return -1;
	return mount(source, target, NULL, MS_BIND | MS_REC, NULL);
}

static int show(int from, int to, const char *name)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW))
		return 0; /* gone meanwhile */
	if (S_ISLNK(st.st_mode))
		return show_link(from, to, name);
	return show_mount(from, to, name, S_ISDIR(st.st_mode));
}

static int show_all(int from, int to)
{
	int list = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = list >= 0 ? fdopendir(list) : NULL;
	struct dirent *e;
	int ret = d ? 0 : -1;

	while (!ret && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			ret = show(from, to, e->d_name);
	if (d)
		closedir(d);
	else
		release_fd(&list);
	return ret;
}

static int cover(const char *dir, const char *path, struct err *err)
{
	const unsigned long closed =
		MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
	auto_close int from = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int to = -1;

	if (from < 0)
		return err_set(err, errno, "open %s", dir);
	if (private_tmpfs(dir, "mode=0755", err))
		return -1;
	to = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0 || show_all(from, to) || make_all(path))
		return err_set(err, errno, "show %s in %s", path, dir);
	/* What is made here by mistake must not be lost with the capsule. */
	if (mount(NULL, dir, NULL, closed, NULL))
		return err_set(err, errno, "close %s", dir);
	return 0;
}

int appear_make(const char *path, struct err *err)
{
	auto_free char *dir = nearest(path);
	struct stat st;

	if (!stat(path, &st) || !make_all(path))
		return 0;
	/* Some of it may have been made. */
	free(dir);
	dir = nearest(path);
	if (strcmp(dir, "/"))
		return cover(dir, path, err);
	return err_set(err, 0,
		"the command has a directory %s of its own, and this node has "
		"nothing on the way there: ask the administrator to make the "
		"first part of that path on all nodes",
		path);
}
