/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scratch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "log.h"
#include "trees.h"
#include "util.h"

static bool is_memory(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/*
 * Who may rename what lies in base could put a directory of his own in the
 * place of the user's. The members of a group are trusted, as the user's own
 * group often is hers alone.
 */
static bool is_safe(const char *base)
{
	struct stat st;

	if (stat(base, &st) || !(st.st_mode & S_IWOTH) ||
		(st.st_mode & S_ISVTX))
		return true;
	log_warn("[capsule] scratch: all may write to %s, and replace what is "
		 "there, as it has no sticky bit (chmod +t): private files lie "
		 "in memory",
		base);
	return false;
}

/* The user's own directory below base, as a descriptor; -1 with a warning. */
static int open_own(const char *base, char **path)
{
	struct stat st;
	int fd;

	*path = xasprintf("%s/checkpointer-%u", base, geteuid());
	if (mkdir(*path, 0700) && errno != EEXIST) {
		log_warn("cannot make %s (%s): private files lie in memory",
			*path, strerror(errno));
		return -1;
	}
	fd = open(*path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || st.st_uid != geteuid() ||
		(st.st_mode & 077)) {
		log_warn("%s is not a directory of yours alone: private files "
			 "lie in memory",
			*path);
		release_fd(&fd);
	}
	return fd;
}

static void remove_stale(int own)
{
	DIR *d = tree_list(own);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		auto_close int fd = -1;

		if (e->d_name[0] == '.')
			continue;
		fd = openat(own, e->d_name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
			(void)tree_remove(own, e->d_name, NULL);
	}
	if (d)
		closedir(d);
}

static const char *choose_base(const char *setting)
{
	if (!strcmp(setting, "memory"))
		return NULL;
	if (strcmp(setting, "auto"))
		return setting;
	/* An overlay's layers may not lie below what it covers: not in /tmp. */
	return is_memory("/tmp") || is_memory("/var/tmp") ? NULL : "/var/tmp";
}

const char *scratch_make(struct scratch *s, const char *setting)
{
	const char *base = choose_base(setting);
	auto_free char *own_path = NULL;
	auto_close int own = -1;

	scratch_remove(s);
	s->lock = -1;
	if (!base)
		return NULL;
	own = is_safe(base) ? open_own(base, &own_path) : -1;
	if (own < 0)
		return NULL;
	remove_stale(own);
	s->path = xasprintf("%s/XXXXXX", own_path);
	if (!mkdtemp(s->path)) {
		log_warn("cannot make a directory in %s (%s): private files "
			 "lie in memory",
			own_path, strerror(errno));
		free(s->path);
		s->path = NULL;
		return NULL;
	}
	s->lock = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB))
		log_debug("cannot lock %s: %s", s->path, strerror(errno));
	return s->path;
}

void scratch_remove(struct scratch *s)
{
	if (!s->path)
		return;
	(void)tree_remove(AT_FDCWD, s->path, NULL);
	release_fd(&s->lock);
	free(s->path);
	s->path = NULL;
}
