/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rollback_survey.c - what the tree writes, while it is frozen */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"
#include "log.h"
#include "proc.h"
#include "rollback_parts.h"
#include "util.h"

/* How a file is used, by all of the tree together. */
struct use {
	dev_t dev;
	ino_t ino;
	char *path;
	int std; /* -1: none */
	bool append, checked, update;
};

struct survey {
	const struct rollback_survey *plan;
	struct int_list private_mounts;
	struct use *uses;
	size_t n;
};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Standard error first: output that goes to the same file counts as that. */
static int stream_of(const struct survey *s, const struct stat *st)
{
	for (int i = 2; i > 0; i--)
		if (s->plan->std[i].st_nlink && same_file(&s->plan->std[i], st))
			return i;
	return -1;
}

/* What the path leads to now must be the file: names can be covered. */
static bool leads_to(const char *path, const struct stat *st)
{
	struct stat there;

	return path[0] == '/' && !lstat(path, &there) && same_file(&there, st);
}

static struct use *use_of(
	struct survey *s, const struct stat *st, const char *path)
{
	struct use *more;
	int std;

	for (size_t i = 0; i < s->n; i++)
		if (s->uses[i].dev == st->st_dev &&
			s->uses[i].ino == st->st_ino)
			return &s->uses[i];
	std = stream_of(s, st);
	if (!S_ISREG(st->st_mode) || !st->st_nlink ||
		(std < 0 && !leads_to(path, st)))
		return NULL;
	more = realloc(s->uses, (s->n + 1) * sizeof(*more));
	if (!more)
		return NULL;
	s->uses = more;
	more[s->n] = (struct use){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.path = xstrdup(path),
		.std = std,
		.append = true,
	};
	return &more[s->n++];
}

static bool survey_fd(const struct proc_fd *f, void *arg)
{
	struct survey *s = arg;
	struct proc_fdinfo info;
	struct use *u;
	unsigned how;

	if (!f->have_st || !proc_fdinfo(f->pid, f->fd, &info))
		return true;
	how = info.flags & O_ACCMODE;
	if (how == O_RDONLY || int_list_has(&s->private_mounts, info.mnt_id))
		return true;
	u = use_of(s, &f->st, f->target);
	if (!u)
		return true;
	u->append &= (info.flags & O_APPEND) != 0;
	u->checked |= how != O_WRONLY || !(info.flags & O_APPEND);
	u->update |= how == O_RDWR && !(info.flags & O_APPEND);
	return true;
}

/* Files whose descriptor was closed behind mmap(2), as numpy's are. */
static void survey_mapping(const char *path, ino_t ino, void *arg)
{
	struct survey *s = arg;
	struct stat st;
	struct use *u;

	if (lstat(path, &st) || st.st_ino != ino)
		return;
	u = use_of(s, &st, path);
	if (!u)
		return;
	u->append = false;
	u->checked = u->update = true;
}

/* By the number of their mount, as others may lie below the same path. */
static void find_private_mounts(struct survey *s)
{
	const struct capsule *c = s->plan->capsule;

	for (size_t i = 0; c && i < c->private.n; i++) {
		auto_close int fd = -1;
		struct proc_fdinfo info;

		if (c->private.dir[i].layer < 0)
			continue;
		fd = open(c->private.dir[i].path,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && proc_fdinfo(getpid(), fd, &info))
			int_list_add(&s->private_mounts, info.mnt_id);
	}
}

static bool is_private(const struct survey *s, const char *path)
{
	auto_close int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct proc_fdinfo info;

	return fd < 0 || !proc_fdinfo(getpid(), fd, &info) ||
	       int_list_has(&s->private_mounts, info.mnt_id);
}

/* --- the list --- */

static json_t *text_of(const char *path)
{
	char text[FILES_TEXT_ROOM];

	return json_string_nocheck(files_path_text(path, text));
}

static json_t *absent_entry(const char *path)
{
	return json_pack("{s:o, s:b, s:I}", "path", text_of(path), "absent", 1,
		"dir", (json_int_t)file_directory(path));
}

static json_t *entry_of(const struct survey *s, const struct use *u,
	const char *path, int fd, const struct stat *st)
{
	char edge[HASH_TEXT], handle[HASH_TEXT];
	json_t *e = json_pack(
		"{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}",
		"path", text_of(path), "size", (json_int_t)st->st_size, "mode",
		(json_int_t)(st->st_mode & 07777), "uid",
		(json_int_t)st->st_uid, "gid", (json_int_t)st->st_gid, "ino",
		(json_int_t)st->st_ino, "mtime", (json_int_t)file_mtime(st),
		"btime", (json_int_t)file_birth(fd), "dir",
		(json_int_t)file_directory(path), "append", u->append,
		"checked", u->checked);

	if (e && !file_handle_hash(fd, handle))
		json_object_set_new(e, "handle", json_string(handle));
	if (e && u->std >= 0)
		json_object_set_new(e, "std", json_integer(u->std));
	if (e && !file_hash(fd, st->st_size > EDGE ? st->st_size - EDGE : 0,
			 st->st_size, edge))
		json_object_set_new(e, "edge", json_string(edge));
	if (e && u->std < 0 && u->update &&
		(uint64_t)st->st_size <= s->plan->snapshot_limit &&
		s->plan->snapshot_limit)
		json_object_set_new(e, "content", json_null());
	return e;
}

/* One that may not be read is known by its numbers alone. */
static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 ? fd : open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int list_file(const struct survey *s, const struct use *u,
	const char *path, json_t *list)
{
	auto_close int fd = open_file(path);
	struct stat st;
	json_t *e;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	e = entry_of(s, u, path, fd, &st);
	if (e && path != u->path)
		json_object_set_new(e, "beside", json_true());
	return json_array_append_new(list, e);
}

static bool is_listed(const struct survey *s, const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (s->uses[i].dev == st.st_dev && s->uses[i].ino == st.st_ino)
			return true;
	return false;
}

/* A database of SQLite, or a file that may become one. */
static bool is_sqlite(const char *path)
{
	static const char magic[16] = "SQLite format 3";
	auto_close int fd = open_file(path);
	char head[sizeof(magic)];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	return n == 0 || (n == (ssize_t)sizeof(head) &&
				 !memcmp(head, magic, sizeof(head)));
}

/*
 * What lies beside a database belongs to its content: a journal of a
 * transaction that is no more would be played back into it.
 */
static int list_companions(
	const struct survey *s, const struct use *u, json_t *list)
{
	static const char *const suffix[] = {"-journal", "-wal", "-shm"};
	struct use beside = *u;
	int ret = 0;

	/* It is not open, so criu does not see it. */
	beside.checked = false;
	if (!u->update || !s->plan->snapshot_limit || !is_sqlite(u->path))
		return 0;
	for (size_t i = 0; i < LEN(suffix) && !ret; i++) {
		auto_free char *path = xasprintf("%s%s", u->path, suffix[i]);

		if (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW))
			ret = is_listed(s, path)
				      ? 0
				      : list_file(s, &beside, path, list);
		else
			ret = json_array_append_new(list, absent_entry(path));
	}
	return ret;
}

/*
 * Of a stream the caller has the very file, whatever its name leads to. Its
 * size is that of now: what the plan has was true before the stop.
 */
static int list_stream(
	const struct survey *s, const struct use *u, json_t *list)
{
	auto_free char *path = xasprintf("/proc/self/fd/%d", u->std);
	auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return 0;
	return json_array_append_new(list, entry_of(s, u, u->path, fd, &st));
}

json_t *rollback_survey(const struct rollback_survey *plan, struct err *err)
{
	struct survey s = {.plan = plan};
	struct int_list tree = proc_tree(plan->root);
	json_t *list = json_array();
	int ret = list ? 0 : -1;

	find_private_mounts(&s);
	for (size_t i = 0; i < tree.n; i++) {
		proc_fds(tree.v[i], survey_fd, &s);
		proc_shared_writable(tree.v[i], survey_mapping, &s);
	}
	for (size_t i = 0; i < s.n && !ret; i++) {
		const struct use *u = &s.uses[i];

		if (u->std >= 0)
			ret = list_stream(&s, u, list);
		else if (!is_private(&s, u->path))
			ret = list_file(&s, u, u->path, list) ||
			      list_companions(&s, u, list);
	}
	while (s.n > 0)
		free(s.uses[--s.n].path);
	free(s.uses);
	free(s.private_mounts.v);
	free(tree.v);
	if (!ret)
		return list;
	json_decref(list);
	err_set(err, ENOMEM, "list the files that are written");
	return NULL;
}

/* --- contents --- */

static int write_zeros(int out, off_t n)
{
	static const char zeros[CONTENT_ALIGN];

	for (off_t part; n > 0; n -= part) {
		part = n < (off_t)sizeof(zeros) ? n : (off_t)sizeof(zeros);
		if (write_all(out, zeros, (size_t)part))
			return -1;
	}
	return 0;
}

/* All of a file and what is missing up to the next page; -1 with errno. */
static int write_content(int fd, off_t size, int out)
{
	auto_free char *buf = xcalloc(1, EDGE);
	off_t end = (size + CONTENT_ALIGN - 1) / CONTENT_ALIGN * CONTENT_ALIGN;
	off_t at = 0;
	ssize_t n = 1;

	while (at < size && n > 0) {
		size_t want = size - at < EDGE ? (size_t)(size - at) : EDGE;

		n = pread(fd, buf, want, at);
		if (n > 0 && write_all(out, buf, (size_t)n))
			return -1;
		at += n > 0 ? n : 0;
	}
	return write_zeros(out, end - at);
}

static int snapshot(json_t *e, int out, off_t *at, struct err *err)
{
	const char *text = json_string_value(json_object_get(e, "path"));
	auto_free char *path = xstrdup(text);
	off_t size = (off_t)json_integer_value(json_object_get(e, "size"));
	auto_close int fd = -1;
	char hash[HASH_TEXT];

	files_text_to_path(path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || file_hash(fd, 0, size, hash)) {
		json_object_del(e, "content");
		return 0;
	}
	if (write_content(fd, size, out))
		return err_set(err, errno, "store %s", path);
	json_object_set_new(e, "content", json_string(hash));
	json_object_set_new(e, "at", json_integer(*at));
	*at += (size + CONTENT_ALIGN - 1) / CONTENT_ALIGN * CONTENT_ALIGN;
	return 0;
}

int rollback_snapshot(json_t *list, int out, struct err *err)
{
	json_t *e;
	size_t i;
	off_t at = 0;

	json_array_foreach(list, i, e)
	{
		if (json_is_null(json_object_get(e, "content")) &&
			json_object_get(e, "content") &&
			snapshot(e, out, &at, err))
			return -1;
	}
	return 0;
}
