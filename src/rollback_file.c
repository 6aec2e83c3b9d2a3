/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rollback_file.c - what tells a file from another one; a copy of it */
#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "hash.h"
#include "proc.h"
#include "rollback_parts.h"
#include "util.h"

#define BUFFER 65536

/* As much of [from, to) as a buffer takes: its length, 0 at the end, or -1. */
static ssize_t read_some(int fd, void *buf, off_t from, off_t to)
{
	size_t want = to - from < BUFFER ? (size_t)(to - from) : BUFFER;
	ssize_t n;

	do
		n = pread(fd, buf, want, from);
	while (n < 0 && errno == EINTR);
	return n;
}

static void hash_text_of(XXH128_hash_t h, char text[HASH_TEXT])
{
	snprintf(text, HASH_TEXT, "%016llx%016llx",
		(unsigned long long)h.high64, (unsigned long long)h.low64);
}

int file_hash(int fd, off_t from, off_t to, char text[HASH_TEXT])
{
	XXH3_state_t *state = XXH3_createState();
	auto_free char *buf = xcalloc(1, BUFFER);
	XXH128_hash_t h;
	ssize_t n = 1;

	if (!state || XXH3_128bits_reset(state) != XXH_OK)
		n = -1;
	while (n > 0 && from < to) {
		n = read_some(fd, buf, from, to);
		if (n > 0) {
			XXH3_128bits_update(state, buf, (size_t)n);
			from += n;
		}
	}
	if (n > 0) {
		h = XXH3_128bits_digest(state);
		hash_text_of(h, text);
	}
	XXH3_freeState(state);
	return n > 0 ? 0 : -1;
}

int64_t file_birth(int fd)
{
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &x) ||
		!(x.stx_mask & STATX_BTIME))
		return 0;
	return x.stx_btime.tv_sec * INT64_C(1000000000) + x.stx_btime.tv_nsec;
}

int file_handle_hash(int fd, char text[HASH_TEXT])
{
	_Alignas(struct file_handle) unsigned char
		room[sizeof(struct file_handle) + MAX_HANDLE_SZ] = {0};
	struct file_handle *h = (struct file_handle *)room;
	int mount;

	h->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, "", h, &mount, AT_EMPTY_PATH))
		return -1;
	hash_text_of(XXH3_128bits(room, sizeof(*h) + h->handle_bytes), text);
	return 0;
}

int64_t file_mtime(const struct stat *st)
{
	return st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
}

ino_t file_directory(const char *path)
{
	auto_free char *copy = xstrdup(path);
	struct stat st;

	return stat(dirname(copy), &st) ? 0 : st.st_ino;
}

char *file_renamed(const char *path, ino_t ino)
{
	auto_free char *copy = xstrdup(path);
	const char *name = dirname(copy);
	DIR *d = opendir(name);
	char *found = NULL;
	struct dirent *e;

	while (d && !found && (e = readdir(d)))
		if (e->d_ino == ino && strcmp(e->d_name, "..") != 0)
			found = xasprintf("%s/%s", name, e->d_name);
	if (d)
		closedir(d);
	return found;
}

int file_rename_back(const char *from, const char *to)
{
	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
		return 0;
	/* NFS and others cannot: with two names for a moment. */
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return link(from, to) || unlink(from) ? -1 : 0;
}

struct own {
	const struct stat *st;
	bool found;
};

static bool is_own(const struct proc_fd *f, void *arg)
{
	struct own *o = arg;
	struct proc_fdinfo info;

	if (f->have_st && f->st.st_dev == o->st->st_dev &&
		f->st.st_ino == o->st->st_ino &&
		proc_fdinfo(f->pid, f->fd, &info) &&
		(info.flags & O_ACCMODE) != O_RDONLY)
		o->found = true;
	return !o->found;
}

/* NFS and others give no lease for reasons of their own, with the same error.
 */
static bool leases_tell(int fd)
{
	static const long kinds[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,
		BTRFS_SUPER_MAGIC, TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC,
		F2FS_SUPER_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	for (size_t i = 0; i < LEN(kinds); i++)
		if (fs.f_type == kinds[i])
			return true;
	return false;
}

/* A lease for reading is only given where nobody has it open for writing. */
static bool has_writer(int fd)
{
	if (!leases_tell(fd))
		return false;
	if (fcntl(fd, F_SETLEASE, F_RDLCK))
		return errno == EAGAIN;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* Until somebody has closed it, or the deadline; false then. */
static bool await_close(int events, double deadline)
{
	char buf[4096] __attribute__((aligned(8)));
	struct pollfd p = {.fd = events, .events = POLLIN};
	double left = deadline - now_mono();

	if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) <= 0)
		return false;
	return read(events, buf, sizeof(buf)) > 0;
}

/* What this process has inherited is this leg's own, and no stranger. */
bool file_is_written(int fd, const struct stat *st, double deadline)
{
	struct own o = {st, false};
	auto_close int events = -1;
	char path[32];

	proc_fds(getpid(), is_own, &o);
	if (o.found || !has_writer(fd))
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	events = inotify_init1(IN_CLOEXEC);
	if (events < 0 || inotify_add_watch(events, path, IN_CLOSE_WRITE) < 0)
		return true;
	while (has_writer(fd))
		if (!await_close(events, deadline))
			return true;
	return false;
}

static int copy_range(int in, off_t from, off_t to, int out)
{
	auto_free char *buf = xcalloc(1, BUFFER);
	ssize_t n;

	while (from < to) {
		n = read_some(in, buf, from, to);
		if (n <= 0 || write_all(out, buf, (size_t)n))
			return n ? -1 : 0;
		from += n;
	}
	return 0;
}

/* The first of name, name.2, name.3, ... that does not exist. */
static void free_name(int dir, char *name, size_t room)
{
	size_t n = strlen(name);

	for (unsigned i = 2; !faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW);
		i++)
		snprintf(name + n, room - n, ".%u", i);
}

/*
 * Only what is complete gets the name, so that a crash leaves nothing that
 * looks as if it were all.
 */
int file_keep(int fd, off_t from, off_t to, int keep, char *name, size_t room,
	struct err *err)
{
	auto_free char *aside = xasprintf("%s.new", name);
	auto_close int out =
		open_own_file(keep, aside, O_WRONLY | O_CREAT | O_TRUNC, err);

	if (out < 0)
		return -1;
	free_name(keep, name, room);
	if (!copy_range(fd, from, to, out) && !fsync(out) &&
		!renameat(keep, aside, keep, name))
		return 0;
	err_set(err, errno, "write %s", name);
	unlinkat(keep, aside, 0);
	return -1;
}
