/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "private.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "log.h"
#include "tar.h"
#include "util.h"

void private_archive_name(size_t i, char buf[32])
{
	snprintf(buf, 32, "private-%zu.tar", i);
}

/* Beside tar: what it reads. */
static pid_t begin_feeding(struct store_reader *r, int stream, int to)
{
	struct err err;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	signal(SIGPIPE, SIG_IGN);
	if (!store_copy(r, (size_t)stream, to, &err))
		_exit(0);
	/* tar need not read all that comes behind its end mark. */
	if (err.num == EPIPE)
		_exit(0);
	log_error("%s", err.text);
	_exit(1);
}

static int end_feeding(pid_t pid, struct err *err)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, errno, "wait");
	return status ? err_set(err, 0, "the checkpoint is damaged") : 0;
}

static int put_back(
	const struct private *p, size_t i, int from, struct err *err)
{
	const struct tar t = {.user_ns = p->user_ns,
		.dir = p->dir[i].layer,
		.archive = from,
		.names = -1};

	return tar_extract(&t, err);
}

/* Fill a fresh layer from the generation, if that holds something for it. */
static int fill_layer(const struct private *p, size_t i,
	struct store_reader *generation, struct err *err)
{
	char name[32];
	int fds[2], stream, ret;
	struct err why;
	pid_t feeder;

	private_archive_name(i, name);
	stream = generation ? store_find(generation, name) : -1;
	if (stream < 0 || !store_size(generation, (size_t)stream))
		return 0;
	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	feeder = begin_feeding(generation, stream, fds[1]);
	close(fds[1]);
	ret = feeder < 0 ? err_set(err, errno, "fork")
			 : put_back(p, i, fds[0], err);
	close(fds[0]);
	/* If both are unhappy, it is because of this. */
	if (feeder > 0 && end_feeding(feeder, &why)) {
		*err = why;
		ret = -1;
	}
	return ret ? err_wrap(err, "put back %s", p->dir[i].path) : 0;
}

static int make_dir_at(int parent, const char *name, mode_t mode)
{
	if (mkdirat(parent, name, 0700) && errno != EEXIST)
		return -1;
	/* mkdir's mode is subject to the umask. */
	if (fchmodat(parent, name, mode, 0))
		return -1;
	return openat(
		parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Put the layer over lower, so that the host's files are seen through it. */
static int mount_overlay(const char *path, int lower, int upper, int work)
{
	char opt[160];

	snprintf(opt, sizeof(opt),
		"userxattr,lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,"
		"workdir=/proc/self/fd/%d",
		lower, upper, work);
	return mount("overlay", path, "overlay", MS_NOSUID | MS_NODEV,
		geteuid() == 0 ? strchr(opt, ',') + 1 : opt);
}

/*
 * Make d private with its layer in the directory base. If an overlay cannot
 * be had (old kernel, mounts below the directory), and last is set, the
 * directory is simply a fresh one.
 */
static int cover_dir(struct private *p, size_t i, int base, int lower,
	bool last, struct store_reader *generation, struct err *err)
{
	struct private_dir *d = &p->dir[i];
	auto_close int work = -1;
	auto_close int upper = -1;
	char name[32], from[64];

	snprintf(name, sizeof(name), "work-%zu", i);
	work = make_dir_at(base, name, 0700);
	snprintf(name, sizeof(name), "layer-%zu", i);
	upper = make_dir_at(base, name, 01777);
	if (work < 0 || upper < 0)
		return err_set(err, errno, "make a private %s", d->path);
	d->layer = upper;
	if (fill_layer(p, i, generation, err))
		goto failed;
	if (mount_overlay(d->path, lower, upper, work)) {
		err_set(err, errno, "overlay over %s", d->path);
		if (!last)
			goto failed;
		snprintf(from, sizeof(from), "/proc/self/fd/%d", upper);
		if (mount(from, d->path, NULL, MS_BIND, NULL)) {
			err_set(err, errno, "private %s", d->path);
			goto failed;
		}
		snprintf(p->note, sizeof(p->note),
			"files that others put into %s are not seen by the "
			"command (%.100s)",
			d->path, err->text);
	}
	steal_fd(&upper);
	return 0;
failed:
	d->layer = -1;
	return -1;
}

int private_tmpfs(const char *path, const char *mode, struct err *err)
{
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, mode))
		return err_set(err, errno, "mount a tmpfs on %s", path);
	return 0;
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* POSIX shared memory is never staged by a script: simply a fresh tmpfs. */
static int private_shm(struct private *p, size_t i,
	struct store_reader *generation, struct err *err)
{
	struct private_dir *d = &p->dir[i];

	if (private_tmpfs(d->path, "mode=1777", err))
		return -1;
	d->layer = open_dir(d->path);
	if (d->layer < 0)
		return err_set(err, errno, "open %s", d->path);
	return fill_layer(p, i, generation, err);
}

static int private_dir(struct private *p, size_t i, const char *scratch,
	struct store_reader *generation, struct err *err)
{
	struct private_dir *d = &p->dir[i];
	auto_close int lower = open_dir(d->path);
	auto_close int base = -1;

	if (lower < 0 && errno == ENOENT)
		return 0;
	if (lower < 0)
		return err_set(err, errno, "open %s", d->path);
	if (!strcmp(d->path, "/dev/shm"))
		return private_shm(p, i, generation, err);
	if (scratch) {
		base = open_dir(scratch);
		if (base < 0)
			return err_set(err, errno, "open %s", scratch);
		if (!cover_dir(p, i, base, lower, false, generation, err))
			return 0;
		close(base);
	}
	/* The tmpfs is hidden at once below what covers it. */
	if (private_tmpfs(d->path, "mode=1777", err))
		return -1;
	base = open_dir(d->path);
	if (base < 0)
		return err_set(err, errno, "open %s", d->path);
	return cover_dir(p, i, base, lower, true, generation, err);
}

int private_enter(struct private *p, const char *dirs, const char *scratch,
	struct store_reader *generation, struct err *err)
{
	auto_free char *list = xstrdup(dirs);
	char *save = NULL;

	for (char *d = strtok_r(list, " \t", &save); d;
		d = strtok_r(NULL, " \t", &save)) {
		if (p->n == PRIVATE_MAX_DIRS)
			return err_set(err, 0,
				"more than %d directories in private_dirs",
				PRIVATE_MAX_DIRS);
		p->dir[p->n].path = xstrdup(d);
		p->dir[p->n].layer = -1;
		if (private_dir(p, p->n++, scratch, generation, err))
			return -1;
	}
	return 0;
}

static bool dir_is_empty(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool empty = true;

	if (!d) {
		release_fd(&fd);
		return false;
	}
	while (empty && (e = readdir(d)))
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	closedir(d);
	return empty;
}

static int archive(const struct private *p, size_t i, int to, struct err *err)
{
	const struct tar t = {.user_ns = p->user_ns,
		.dir = p->dir[i].layer,
		.archive = to,
		.names = -1};

	return tar_create(&t, err);
}

int private_save(
	const struct private *p, int out[PRIVATE_MAX_DIRS], struct err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->dir[i].layer < 0 || out[i] < 0)
			continue;
		if (!dir_is_empty(p->dir[i].layer) &&
			archive(p, i, out[i], err))
			return err_wrap(err, "carry %s", p->dir[i].path);
		release_fd(&out[i]);
	}
	return 0;
}
