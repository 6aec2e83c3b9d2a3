/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trees.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

bool tree_is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

DIR *tree_list(int dir)
{
	auto_close int fd =
		openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d)
		steal_fd(&fd);
	return d;
}

static int open_below(int dir, const char *name)
{
	return openat(
		dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What cannot be opened is no directory, or an empty one. */
static int remove_leaf(int dir, const char *name, struct err *err)
{
	/* The overlay's work directory has mode 0 and is empty. */
	if (!unlinkat(dir, name, AT_REMOVEDIR) || errno == ENOENT ||
		(errno == ENOTDIR && !unlinkat(dir, name, 0)))
		return 0;
	return err_set(err, errno, "remove %s", name);
}

static int remove_content(int dir, struct err *err)
{
	DIR *d = tree_list(dir);
	struct dirent *e;
	int ret = 0;

	if (!d)
		return err_set(err, errno, "list a directory");
	while ((e = readdir(d)))
		if (!tree_is_dot(e->d_name) && unlinkat(dir, e->d_name, 0) &&
			tree_remove(dir, e->d_name, err))
			ret = -1;
	closedir(d);
	return ret;
}

int tree_remove(int dir, const char *name, struct err *err)
{
	auto_close int fd = open_below(dir, name);
	int ret;

	if (fd < 0)
		return remove_leaf(dir, name, err);
	/* If that fails, so does what follows. */
	(void)fchmod(fd, 0700);
	ret = remove_content(fd, err);
	if (!ret && unlinkat(dir, name, AT_REMOVEDIR) && errno != ENOENT)
		ret = err_set(err, errno, "remove %s", name);
	return ret;
}

uint64_t tree_bytes(int dir)
{
	DIR *d = tree_list(dir);
	uint64_t bytes = 0;
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d))) {
		auto_close int fd = -1;

		if (tree_is_dot(e->d_name) ||
			fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		bytes += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode))
			fd = open_below(dir, e->d_name);
		if (fd >= 0)
			bytes += tree_bytes(fd);
	}
	if (d)
		closedir(d);
	return bytes;
}
