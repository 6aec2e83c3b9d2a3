/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sharedfs.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/stat.h>

#include "proc.h"
#include "util.h"

/*
 * As in /proc/self/mountinfo. Everything else is shared, or might be: NFS,
 * Lustre, GPFS, BeeGFS, Ceph, PanFS, Weka, SMB, AFS, OrangeFS, OCFS2, GFS2,
 * Gluster, what is behind FUSE, and what comes after this was written.
 */
static const char *const local_types[] = {"ext2", "ext3", "ext4", "xfs",
	"btrfs", "bcachefs", "f2fs", "jfs", "nilfs2", "reiserfs", "zfs",
	"tmpfs", "ramfs", "overlay", "aufs", "fuse.fuse-overlayfs", "fuseblk",
	"vfat", "exfat", "ntfs3", "iso9660", "squashfs", "erofs"};

/* STATX_MNT_ID, for older headers */
#define WANT_MOUNT 0x1000U

bool sharedfs_is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

/* The length of the longest of these that path is below, 0: none. */
static size_t best_prefix(const char *path, const char *list)
{
	auto_free char *copy = xstrdup(list ? list : "");
	size_t best = 0;
	char *rest;

	for (char *p = strtok_r(copy, BLANKS, &rest); p;
		p = strtok_r(NULL, BLANKS, &rest)) {
		size_t n = strlen(p);

		while (n > 1 && p[n - 1] == '/')
			p[--n] = '\0';
		if (n > best && (n == 1 || sharedfs_is_below(path, p)))
			best = n;
	}
	return best;
}

bool sharedfs_is_named(const char *path, const char *paths)
{
	return best_prefix(path, paths) > 0;
}

bool sharedfs_is_local(const char *path, const char *type,
	const char *shared_paths, const char *local_paths)
{
	size_t shared = best_prefix(path, shared_paths),
	       local = best_prefix(path, local_paths);

	if (shared || local)
		return local > shared;
	for (size_t i = 0; i < LEN(local_types); i++)
		if (!strcmp(type, local_types[i]))
			return true;
	return false;
}

static void learn_mount(int id, const char *point, const char *type, void *arg)
{
	struct sharedfs *fs = arg;

	(void)point;
	if (fs->n == fs->room) {
		size_t room = fs->room ? 2 * fs->room : 64;
		void *more = realloc(fs->mount, room * sizeof(*fs->mount));

		if (!more)
			return;
		fs->mount = more;
		fs->room = room;
	}
	fs->mount[fs->n].id = id;
	snprintf(fs->mount[fs->n].type, sizeof(fs->mount[fs->n].type), "%.31s",
		type);
	fs->n++;
}

void sharedfs_open(struct sharedfs *fs, const char *shared_paths,
	const char *local_paths, int checkpoints)
{
	struct stat st;

	memset(fs, 0, sizeof(*fs));
	fs->shared_paths = shared_paths;
	fs->local_paths = local_paths;
	if (!fstat(checkpoints, &st))
		fs->checkpoints = st.st_dev;
	proc_mounts(learn_mount, fs);
}

void sharedfs_close(struct sharedfs *fs)
{
	free(fs->mount);
	fs->mount = NULL;
	fs->n = fs->room = 0;
}

/* --- the type of one directory's file system --- */

struct mount_type {
	int id;
	char *type;
	size_t size;
};

static void compare(int id, const char *point, const char *type, void *arg)
{
	const struct mount_type *m = arg;

	(void)point;
	if (id == m->id)
		snprintf(m->type, m->size, "%s", type);
}

void sharedfs_type(int dir, char *type, size_t size)
{
	struct mount_type m = {.type = type, .size = size};
	struct proc_fdinfo info;

	snprintf(type, size, "an unknown file system");
	if (!proc_fdinfo(getpid(), dir, &info))
		return;
	m.id = info.mnt_id;
	proc_mounts(compare, &m);
}

/* --- of any path, from the list of mounts --- */

static const char *type_of(const struct sharedfs *fs, const char *path)
{
	struct statx x;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, WANT_MOUNT, &x) ||
		!(x.stx_mask & WANT_MOUNT))
		return "";
	for (size_t i = 0; i < fs->n; i++)
		if ((uint64_t)fs->mount[i].id == x.stx_mnt_id)
			return fs->mount[i].type;
	return "";
}

/* On some an overlay's files have other numbers than its directories. */
static bool is_with_checkpoints(const struct sharedfs *fs, const char *path)
{
	auto_free char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	struct stat st;

	if (!lstat(path, &st) && st.st_dev == fs->checkpoints)
		return true;
	if (!slash)
		return false;
	slash[slash == dir] = '\0';
	return !stat(dir, &st) && st.st_dev == fs->checkpoints;
}

bool sharedfs_only_here(const struct sharedfs *fs, const char *path)
{
	/* A name in one of the lists wins over where the checkpoints lie. */
	if (!best_prefix(path, fs->shared_paths) &&
		!best_prefix(path, fs->local_paths) &&
		is_with_checkpoints(fs, path))
		return false;
	return sharedfs_is_local(
		path, type_of(fs, path), fs->shared_paths, fs->local_paths);
}
