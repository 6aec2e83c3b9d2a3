/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_dir.c - the checkpoint directory: there, one's own, shared, fast */
#include "check_here.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "check_rules.h"
#include "sharedfs.h"
#include "util.h"

/* The directory itself, or what is there of it; owned. */
static char *existing(const char *dir)
{
	char *path = xstrdup(dir);
	char *slash;

	while (access(path, F_OK) && errno == ENOENT &&
		(slash = strrchr(path, '/')))
		slash[slash == path] = '\0';
	return path;
}

/* --- its speed --- */

#define TRIAL_SIZE (UINT64_C(32) << 20)
#define PIECE      (UINT64_C(1) << 20)

/* Nothing that a file system could compress, or find again. */
static void fill(uint64_t *piece, uint64_t *seed)
{
	for (size_t i = 0; i < PIECE / sizeof(*piece); i++) {
		*seed ^= *seed << 13;
		*seed ^= *seed >> 7;
		*seed ^= *seed << 17;
		piece[i] = *seed;
	}
}

/* A file that is nowhere any more when this ends, however it ends. */
static int unnamed(int dir)
{
	int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	auto_free char *name = NULL;

	if (fd >= 0)
		return fd;
	/* NFS, among others, has no O_TMPFILE. */
	name = xasprintf(".checkpointer-check-%d", (int)getpid());
	fd = openat(dir, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlinkat(dir, name, 0);
	return fd;
}

static int write_trial(int dir, uint64_t size, double *seconds)
{
	auto_free uint64_t *piece = xcalloc(1, PIECE);
	auto_close int fd = unnamed(dir);
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
	double start;

	*seconds = 0;
	if (fd < 0)
		return -1;
	for (uint64_t done = 0; done < size; done += PIECE) {
		fill(piece, &seed);
		start = now_mono();
		if (write_all(fd, piece, PIECE))
			return -1;
		*seconds += now_mono() - start;
	}
	start = now_mono();
	if (fsync(fd))
		return -1;
	*seconds += now_mono() - start;
	return 0;
}

static void check_writing(struct findings *f, const struct check *c,
	const char *path, int dir, uint64_t room)
{
	uint64_t size =
		room / 4 < TRIAL_SIZE ? room / 4 / PIECE * PIECE : TRIAL_SIZE;
	double seconds;

	size = size ? size : PIECE;
	if (!write_trial(dir, size, &seconds))
		rule_speed(f, path, (double)size, seconds, c->cfg->margin);
	else
		finding_add(f, FINDING_PROBLEM, "directory",
			"name another one with [checkpoint] dir, or have it "
			"opened for you",
			"%s cannot be written to: %s", path, strerror(errno));
}

static void check_open(struct findings *f, const struct check *c,
	const char *path, int dir, bool exists)
{
	struct statvfs fs = {0};
	struct stat st;
	uint64_t room;
	char type[64];

	sharedfs_type(dir, type, sizeof(type));
	rule_sharing(f, c->cfg->dir, type,
		c->many_nodes &&
			!sharedfs_is_named(path, c->cfg->shared_paths));
	if (exists && !fstat(dir, &st))
		rule_owner(f, path, st.st_uid, st.st_mode, geteuid());
	if (fstatvfs(dir, &fs)) {
		finding_add(f, FINDING_PROBLEM, "directory",
			"name another one with [checkpoint] dir", "%s: %s",
			path, strerror(errno));
		return;
	}
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	/* Some file systems do not count files. */
	rule_room(f, path, room, fs.f_files ? fs.f_favail : 1);
	check_writing(f, c, path, dir, room);
}

void check_dir(struct findings *f, void *arg)
{
	const struct check *c = arg;
	auto_free char *path = existing(c->cfg->dir);
	auto_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0) {
		check_open(f, c, path, dir, !strcmp(path, c->cfg->dir));
		return;
	}
	finding_add(f, FINDING_PROBLEM, "directory",
		"name another one with [checkpoint] dir, or have it opened "
		"for you",
		"%s: %s", path, strerror(errno));
}
