/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rollback.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"
#include "log.h"
#include "proc.h"
#include "util.h"

struct survey {
	const struct stat *std;
	json_t *list;
	bool failed;
};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Standard error first: output that goes to the same file counts as that. */
static int stream_of(const struct survey *s, const struct stat *st)
{
	for (int i = 2; i > 0; i--)
		if (s->std[i].st_nlink && same_file(&s->std[i], st))
			return i;
	return -1;
}

static bool survey_fd(const struct proc_fd *f, void *arg)
{
	struct survey *s = arg;
	struct proc_fdinfo info;
	char text[FILES_TEXT_ROOM];
	json_t *e;
	int stream;

	if (!f->have_st || !S_ISREG(f->st.st_mode) || f->target[0] != '/' ||
		f->st.st_nlink == 0 || !proc_fdinfo(f->pid, f->fd, &info))
		return true;
	stream = stream_of(s, &f->st);
	if ((info.flags & O_ACCMODE) == O_RDONLY ||
		(stream < 0 && (info.flags & O_APPEND)))
		return true;
	e = json_pack("{s:o, s:I}", "path",
		json_string_nocheck(files_path_text(f->target, text)), "size",
		(json_int_t)f->st.st_size);
	if (e && stream >= 0)
		json_object_set_new(e, "std", json_integer(stream));
	s->failed |= !e || json_array_append_new(s->list, e);
	return !s->failed;
}

json_t *rollback_survey(pid_t root, const struct stat std[3], struct err *err)
{
	struct survey s = {.std = std, .list = json_array()};
	struct int_list tree = proc_tree(root);

	for (size_t i = 0; i < tree.n; i++)
		proc_fds(tree.v[i], survey_fd, &s);
	free(tree.v);
	if (s.list && !s.failed)
		return s.list;
	json_decref(s.list);
	err_set(err, ENOMEM, "list the files that are written");
	return NULL;
}

static int keep_tail(int fd, off_t from, off_t to, int keep, const char *name)
{
	char buf[65536];
	auto_close int out = -1;

	out = openat(keep, name,
		O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return -1;
	while (from < to) {
		size_t want = (size_t)(to - from);
		ssize_t n = pread(
			fd, buf, want < sizeof(buf) ? want : sizeof(buf), from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (write_all(out, buf, (size_t)n))
			return -1;
		from += n;
	}
	return fsync(out);
}

struct cut {
	const char *path;
	off_t size;
	int stream; /* -1: none */
	char kept_as[48];
};

static int cut_back(const struct cut *c, int keep, struct err *err)
{
	auto_close int fd =
		open(c->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st, own;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) ||
		st.st_size <= c->size)
		return 0;
	if (c->stream >= 0 && (fstat(c->stream, &own) || !same_file(&own, &st)))
		return 0;
	if (keep_tail(fd, c->size, st.st_size, keep, c->kept_as))
		return err_set(err, errno, "keep the end of %s", c->path);
	if (ftruncate(fd, c->size) ||
		(c->stream >= 0 && lseek(c->stream, c->size, SEEK_SET) < 0))
		return err_set(err, errno, "cut %s back", c->path);
	log_info("%s: %lld bytes written after the checkpoint are cut off and "
		 "kept with it",
		c->path, (long long)(st.st_size - c->size));
	return 0;
}

int rollback_apply(const json_t *list, int keep, unsigned gen, bool streams,
	struct err *err)
{
	const json_t *e;
	size_t i;

	json_array_foreach(list, i, e)
	{
		const char *text =
			json_string_value(json_object_get(e, "path"));
		const json_t *size = json_object_get(e, "size");
		const json_t *std = json_object_get(e, "std");
		auto_free char *path = text ? xstrdup(text) : NULL;
		struct cut c = {.path = path, .stream = -1};

		if (!path || !json_is_integer(size))
			return err_set(err, 0, "the manifest is damaged");
		/* Our own messages are in standard error, too: never cut. */
		if (std && (!streams || json_integer_value(std) != 1))
			continue;
		snprintf(c.kept_as, sizeof(c.kept_as), "%04u.tail-%zu", gen, i);
		files_text_to_path(path);
		c.size = (off_t)json_integer_value(size);
		if (std)
			c.stream = (int)json_integer_value(std);
		if (cut_back(&c, keep, err))
			return -1;
	}
	return 0;
}
