/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rollback_act.c - what will be taken away is kept; then files are put back */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "log.h"
#include "rollback_parts.h"
#include "util.h"

int act_open(const struct entry *e, struct stat *st)
{
	auto_free char *stream = xasprintf("/proc/self/fd/%d", e->std);
	const char *name = e->moved ? e->moved : e->path;
	const char *path = e->std < 0 ? name : stream;
	int follow = e->std < 0 ? O_NOFOLLOW : 0;
	auto_close int fd =
		open(path, O_RDONLY | follow | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		fd = open(path, O_PATH | follow | O_CLOEXEC);
	if (fd < 0 || fstat(fd, st))
		return -1;
	return steal_fd(&fd);
}

/* The file that was looked at, and not one that has come in its place. */
static bool is_it(const struct act *a, int fd)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && st.st_dev == a->now.st_dev &&
	       st.st_ino == a->now.st_ino;
}

static int changed_meanwhile(const struct act *a, struct err *err)
{
	return err_set(err, 0, "%.200s has been replaced just now", a->e.path);
}

/* --- keeping --- */

static int keep_one(
	const struct rollback_job *r, struct act *a, struct err *err)
{
	struct stat st;
	auto_close int fd = act_open(&a->e, &st);
	bool tail = a->action == CUT;

	if (!is_it(a, fd))
		return changed_meanwhile(a, err);
	snprintf(a->kept, sizeof(a->kept), "%04u.%s-%zu", r->gen,
		tail ? "tail" : "file", a->number);
	if (!file_keep(fd, tail ? a->e.size : 0, st.st_size, r->keep, a->kept,
		    sizeof(a->kept), err))
		return 0;
	a->kept[0] = '\0';
	return err_wrap(err, "keep what %.200s has now", a->e.path);
}

static int keep_all(const struct rollback_job *r, struct act *acts, size_t n,
	struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++)
		if (acts[i].action != LEAVE && acts[i].there)
			ret = keep_one(r, &acts[i], err);
	if (!ret && fsync(r->keep))
		ret = err_set(err, errno, "fsync the step's directory");
	for (size_t i = 0; i < n && ret; i++)
		if (acts[i].kept[0])
			unlinkat(r->keep, acts[i].kept, 0);
	return ret;
}

/* --- the contents of a generation --- */

struct contents {
	pid_t feeder; /* 0: none */
	int fd;
	off_t at;
};

static _Noreturn void feed(struct store_reader *g, int to)
{
	int stream = store_find(g, ROLLBACK_STREAM);
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	if (stream >= 0 && !store_copy(g, (size_t)stream, to, &err))
		_exit(0);
	/* Not all of it need be wanted. */
	if (stream >= 0 && err.num == EPIPE)
		_exit(0);
	_exit(1);
}

static int open_contents(
	struct contents *c, const struct rollback_job *r, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	c->feeder = r->generation ? fork() : -1;
	if (c->feeder == 0) {
		close(fds[0]);
		feed(r->generation, fds[1]);
	}
	close(fds[1]);
	c->fd = fds[0];
	return c->feeder < 0 ? err_set(err, errno, "read the contents") : 0;
}

static void close_contents(struct contents *c)
{
	release_fd(&c->fd);
	while (c->feeder > 0 && waitpid(c->feeder, NULL, 0) < 0 &&
		errno == EINTR)
		;
}

static int damaged(struct err *err)
{
	return err_set(err, 0,
		"the content of a file cannot be read: the "
		"checkpoint is damaged");
}

/* n bytes go to the beginning of out, or nowhere if it is -1. */
static enum rollback_result take(
	struct contents *c, off_t n, int out, struct err *err)
{
	auto_free char *buf = xcalloc(1, EDGE);
	off_t to = 0;

	while (to < n) {
		size_t want = n - to < EDGE ? (size_t)(n - to) : EDGE;
		ssize_t got = read(c->fd, buf, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			damaged(err);
			return ROLLBACK_UNFIT;
		}
		if (out >= 0 && write_all(out, buf, (size_t)got)) {
			err_set(err, errno, "write");
			return ROLLBACK_FATAL;
		}
		to += got;
	}
	c->at += n;
	return ROLLBACK_DONE;
}

/* --- putting back --- */

static int set_mtime(int fd, int64_t mtime)
{
	struct timespec t[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = mtime / 1000000000, .tv_nsec = mtime % 1000000000},
	};

	return futimens(fd, t);
}

static int create(const struct entry *e)
{
	auto_close int fd = open(e->path,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || fchmod(fd, e->mode) ||
		(geteuid() == 0 && fchown(fd, e->uid, e->gid)))
		return -1;
	return steal_fd(&fd);
}

/*
 * In place, as the inode may have other names or be open elsewhere. A crash in
 * the middle of it leaves a file that the next restore puts back again; what
 * it was before is safe by now.
 */
static enum rollback_result put_back(
	const struct act *a, struct contents *c, struct err *err)
{
	auto_close int fd = -1;
	enum rollback_result ret;

	ret = a->e.at < c->at ? ROLLBACK_UNFIT
			      : take(c, a->e.at - c->at, -1, err);
	if (ret) {
		damaged(err);
		return ret;
	}
	fd = a->there ? open(a->e.path,
				O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
		      : create(&a->e);
	if (fd < 0) {
		err_set(err, errno, "put %.200s back", a->e.path);
		return ROLLBACK_FATAL;
	}
	if (a->there && !is_it(a, fd)) {
		changed_meanwhile(a, err);
		return ROLLBACK_FATAL;
	}
	ret = take(c, a->e.size, fd, err);
	if (!ret && (ftruncate(fd, a->e.size) || fsync(fd) ||
			    set_mtime(fd, a->e.mtime))) {
		err_set(err, errno, "write");
		ret = ROLLBACK_FATAL;
	}
	if (ret == ROLLBACK_FATAL)
		err_wrap(err, "put %.200s back", a->e.path);
	return ret;
}

static enum rollback_result put_all_back(const struct rollback_job *r,
	const struct act *acts, size_t n, struct err *err)
{
	struct contents c = {.fd = -1};
	enum rollback_result ret = ROLLBACK_DONE;

	for (size_t i = 0; i < n && !ret; i++) {
		if (acts[i].action != PUT_BACK)
			continue;
		if (!c.feeder && open_contents(&c, r, err))
			ret = ROLLBACK_UNFIT;
		else
			ret = put_back(&acts[i], &c, err);
	}
	close_contents(&c);
	return ret;
}

static int cut_stream(const struct entry *e, struct err *err)
{
	if (ftruncate(e->std, e->size) || lseek(e->std, e->size, SEEK_SET) < 0)
		return err_set(err, errno, "cut %.200s back", e->path);
	return 0;
}

static int cut(const struct act *a, struct err *err)
{
	auto_close int fd = -1;

	if (a->e.std >= 0)
		return cut_stream(&a->e, err);
	fd = open(a->e.path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && !is_it(a, fd))
		return changed_meanwhile(a, err);
	if (fd < 0 || ftruncate(fd, a->e.size) || fsync(fd) ||
		set_mtime(fd, a->e.mtime))
		return err_set(err, errno, "cut %.200s back", a->e.path);
	return 0;
}

static int move_back(const struct act *a, struct err *err)
{
	if (file_rename_back(a->e.moved, a->e.path))
		return err_set(
			err, errno, "rename %.200s to what it was", a->e.moved);
	return 0;
}

static int remove_it(const struct act *a, struct err *err)
{
	struct stat st;

	if (lstat(a->e.path, &st) || st.st_ino != a->now.st_ino)
		return changed_meanwhile(a, err);
	if (unlink(a->e.path))
		return err_set(err, errno, "remove %.200s", a->e.path);
	return 0;
}

enum rollback_result act_all(const struct rollback_job *r, struct act *acts,
	size_t n, struct err *err)
{
	enum rollback_result ret;
	int bad = 0;

	if (keep_all(r, acts, n, err))
		return ROLLBACK_FATAL;
	for (size_t i = 0; i < n && !bad; i++)
		if (acts[i].e.moved)
			bad = move_back(&acts[i], err);
	if (bad)
		return ROLLBACK_FATAL;
	ret = put_all_back(r, acts, n, err);
	for (size_t i = 0; i < n && !ret && !bad; i++) {
		if (acts[i].action == CUT)
			bad = cut(&acts[i], err);
		else if (acts[i].action == REMOVE)
			bad = remove_it(&acts[i], err);
	}
	return bad ? ROLLBACK_FATAL : ret;
}
