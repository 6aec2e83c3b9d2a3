/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "files.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "proc.h"
#include "util.h"

static const char *const stream_name[3] = {
	"standard input", "standard output", "standard error"};

struct survey {
	struct stat std[3];
	bool have_std[3];
	struct int_list mounts;
	struct overlay {
		int id;
		char *point;
	} overlay[64];
	size_t n_overlays;
	json_t *list;
	struct err *err;
	bool failed;
};

static bool is_terminal(const struct stat *st)
{
	unsigned m = major(st->st_rdev);

	/* Consoles and serial lines (4, 5), Unix98 pseudo-terminals. */
	return S_ISCHR(st->st_mode) &&
	       (m == 4 || m == 5 || (m >= 136 && m <= 143));
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_rdev == b->st_rdev;
}

/*
 * Which of the caller's standard streams is this, or -1. /dev/null is the
 * same for everybody and is never meant: it stays /dev/null.
 */
static int stream_of(const struct survey *s, const struct stat *st)
{
	if (S_ISCHR(st->st_mode) && !is_terminal(st))
		return -1;
	for (int i = 0; i < 3; i++)
		if (s->have_std[i] && same_file(&s->std[i], st))
			return i;
	return -1;
}

static bool listed(const json_t *list, const char *key)
{
	const json_t *e;
	size_t i;

	json_array_foreach(list, i, e)
	{
		const char *k = json_string_value(json_object_get(e, "key"));

		if (k && !strcmp(k, key))
			return true;
	}
	return false;
}

const char *files_path_text(const char *path, char text[FILES_TEXT_ROOM])
{
	size_t n = 0;

	for (const char *p = path; *p && n < FILES_TEXT_ROOM - 2; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x80) {
			text[n++] = (char)c;
		} else {
			text[n++] = (char)(0xc0 | c >> 6);
			text[n++] = (char)(0x80 | (c & 0x3f));
		}
	}
	text[n] = '\0';
	return text;
}

void files_text_to_path(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c >= 0xc0 && p[1])
			*to++ = (char)(c << 6 | ((unsigned char)*++p & 0x3f));
		else
			*to++ = (char)c;
	}
	*to = '\0';
}

static bool list_file(struct survey *s, const char *key, int stream,
	const char *path, unsigned flags)
{
	char text[FILES_TEXT_ROOM];
	json_t *e;

	if (listed(s->list, key))
		return true;
	e = json_pack("{s:s}", "key", key);
	if (e && stream >= 0)
		json_object_set_new(e, "std", json_integer(stream));
	if (e && path) {
		/* JSON is UTF-8; names are bytes, and need not be. */
		json_object_set_new(e, "path",
			json_string_nocheck(files_path_text(path, text)));
		json_object_set_new(e, "flags", json_integer(flags));
	}
	s->failed |= !e || json_array_append_new(s->list, e);
	return !s->failed;
}

static int open_again(const char *path, unsigned flags)
{
	const unsigned keep = O_ACCMODE | O_APPEND | O_DIRECTORY | O_NONBLOCK |
			      O_SYNC | O_PATH;

	auto_close int fd = open(
		path, (int)(flags & keep) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -1;
	/* It was none: somebody else may have put it there, for us to wait. */
	if (S_ISFIFO(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	if (!(flags & (O_NONBLOCK | O_PATH)) &&
		fcntl(fd, F_SETFL, (int)(flags & keep)))
		return -1;
	return steal_fd(&fd);
}

/*
 * What the command got from its caller beside the standard streams has to be
 * opened by name at a restore: better to find out now that it cannot be.
 */
static bool can_come_back(struct survey *s, const struct proc_fd *f, int stream,
	const struct proc_fdinfo *info)
{
	auto_close int fd = -1;

	if (stream >= 0)
		return true;
	fd = open_again(f->target, info->flags);
	if (fd >= 0)
		return true;
	err_set(s->err, errno,
		"process %d holds descriptor %d, %.200s, from before the "
		"command was started, and it cannot be opened again (close "
		"it: %d>&-)",
		f->pid, f->fd, f->target, f->fd);
	s->failed = true;
	return false;
}

static bool list_key(struct survey *s, const struct proc_fd *f, int mount,
	int stream, const struct proc_fdinfo *info)
{
	char key[64];

	snprintf(key, sizeof(key), "file[%x:%lx]", (unsigned)mount,
		(unsigned long)f->st.st_ino);
	return list_file(s, key, stream, f->target, info->flags);
}

/*
 * criu's name of a file holds the id of its mount. For a file that it finds
 * again on an overlay of its own namespace it takes that one's id: the same
 * is done here (see __lookup_overlayfs() in CRIU, which joins the path of the
 * file to that of the mount point in just this way).
 */
static bool list_outside(struct survey *s, const struct proc_fd *f, int stream,
	const struct proc_fdinfo *info)
{
	bool ok = can_come_back(s, f, stream, info) &&
		  list_key(s, f, info->mnt_id, stream, info);

	/*
	 * What is no stream criu finds on that overlay by itself. A key of
	 * it, too, might be taken for that of another file there: numbers of
	 * inodes are not unique on an overlay.
	 */
	for (size_t i = 0; ok && stream >= 0 && i < s->n_overlays; i++) {
		const struct overlay *o = &s->overlay[i];
		auto_free char *path = xasprintf("%s%s",
			strcmp(o->point, "/") ? o->point : "", f->target);
		struct stat st;

		if (!stat(path, &st) && st.st_dev == f->st.st_dev &&
			st.st_ino == f->st.st_ino)
			ok = list_key(s, f, o->id, stream, info);
	}
	return ok;
}

static void learn_mount(int id, const char *point, const char *type, void *arg)
{
	struct survey *s = arg;

	int_list_add(&s->mounts, id);
	if (strcmp(type, "overlay") || s->n_overlays == LEN(s->overlay))
		return;
	s->overlay[s->n_overlays].id = id;
	s->overlay[s->n_overlays++].point = xstrdup(point);
}

static bool survey_fd(const struct proc_fd *f, void *arg)
{
	struct survey *s = arg;
	struct proc_fdinfo info;
	char key[64];
	int stream;

	if (!f->have_st || !proc_fdinfo(f->pid, f->fd, &info))
		return true;
	stream = stream_of(s, &f->st);
	if (S_ISFIFO(f->st.st_mode)) {
		if (stream < 0 || strncmp(f->target, "pipe:", 5))
			return true;
		return list_file(s, f->target, stream, NULL, 0);
	}
	if (is_terminal(&f->st)) {
		if (stream < 0)
			return true;
		snprintf(key, sizeof(key), "tty[%lx:%lx]",
			(unsigned long)f->st.st_rdev,
			(unsigned long)f->st.st_dev);
		return list_file(s, key, stream, NULL, 0);
	}
	if (f->target[0] != '/' || !strncmp(f->target, "/memfd:", 7) ||
		S_ISSOCK(f->st.st_mode) ||
		(stream < 0 && int_list_has(&s->mounts, info.mnt_id)))
		return true;
	return list_outside(s, f, stream, &info);
}

json_t *files_outside(pid_t root, struct err *err)
{
	struct err why = {0};
	struct survey s = {.list = json_array(), .err = &why};
	struct int_list tree = proc_tree(root);

	proc_mounts(learn_mount, &s);
	for (int i = 0; i < 3; i++)
		s.have_std[i] = !fstat(i, &s.std[i]);
	for (size_t i = 0; i < tree.n; i++)
		proc_fds(tree.v[i], survey_fd, &s);
	free(tree.v);
	free(s.mounts.v);
	while (s.n_overlays > 0)
		free(s.overlay[--s.n_overlays].point);
	if (!s.failed && s.list)
		return s.list;
	json_decref(s.list);
	if (!why.text[0])
		err_set(&why, ENOMEM, "list the open files");
	if (err)
		*err = why;
	return NULL;
}

bool files_is_external(const char *key)
{
	return !strncmp(key, "file[", 5) || !strncmp(key, "tty[", 4);
}

/* criu closes what it is given: hand over a copy that survives execve(2). */
static int copy_fd(int fd)
{
	return fcntl(fd, F_DUPFD, 10);
}

struct entry {
	const char *key, *path;
	int stream; /* -1: none */
	unsigned flags;
};

/*
 * A file that is not a stream of the new leg is opened by its path. So is
 * standard input, unless the new leg has the very same file: a program that
 * read half of it goes on behind that half.
 */
static int inherit_file(const struct entry *e,
	int (*add)(int, const char *, void *), void *arg, struct err *err)
{
	struct stat here, there;
	int fd;

	if (e->stream > 0) {
		/*
		 * Under its documented key criu opens the file anew, at the
		 * old offset, which need not be that of the new leg's file.
		 * Without the first letter it is found one step earlier, as
		 * a path, and is used as it is. (criu cuts that letter off
		 * every path, see dump_one_reg_file() in CRIU 3.17 to 4.2.)
		 */
		fd = copy_fd(e->stream);
		if (fd >= 0 && add(fd, e->key + 1, arg))
			return err_set(err, ENOMEM, "inherit %s", e->key);
		fd = copy_fd(e->stream);
	} else if (e->stream == 0 && !fstat(0, &here) &&
		   !stat(e->path, &there) && same_file(&here, &there)) {
		fd = copy_fd(0);
	} else {
		fd = open_again(e->path, e->flags);
		/* criu is to inherit it. */
		if (fd >= 0)
			fcntl(fd, F_SETFD, 0);
	}
	if (fd < 0)
		return err_set(err, errno, "open %s", e->path);
	if (add(fd, e->key, arg))
		return err_set(err, ENOMEM, "inherit %s", e->key);
	return 0;
}

static int inherit_stream(const struct entry *e,
	int (*add)(int, const char *, void *), void *arg, struct err *err)
{
	bool is_pipe = !strncmp(e->key, "pipe:", 5);
	struct stat st;
	int fd;

	if (fstat(e->stream, &st))
		return err_set(err, errno, "%s", stream_name[e->stream]);
	if (is_pipe ? !S_ISFIFO(st.st_mode) : !is_terminal(&st))
		return err_set(err, 0,
			"%s was a %s and is none now: continue with the same "
			"redirections as at first",
			stream_name[e->stream], is_pipe ? "pipe" : "terminal");
	fd = copy_fd(e->stream);
	if (fd < 0 || add(fd, e->key, arg))
		return err_set(err, ENOMEM, "inherit %s", e->key);
	return 0;
}

int files_inherit(const json_t *outside,
	int (*add)(int fd, const char *key, void *arg), void *arg,
	struct err *err)
{
	const json_t *j;
	size_t i;

	json_array_foreach(outside, i, j)
	{
		const json_t *std = json_object_get(j, "std");
		const char *text =
			json_string_value(json_object_get(j, "path"));
		auto_free char *path = text ? xstrdup(text) : NULL;
		struct entry e = {
			.key = json_string_value(json_object_get(j, "key")),
			.path = path,
			.stream = std ? (int)json_integer_value(std) : -1,
			.flags = (unsigned)json_integer_value(
				json_object_get(j, "flags")),
		};

		if (path)
			files_text_to_path(path);
		if (!e.key || e.stream < -1 || e.stream > 2 ||
			(!e.path && e.stream < 0))
			return err_set(err, 0, "the manifest is damaged");
		if (e.path ? inherit_file(&e, add, arg, err)
			   : inherit_stream(&e, add, arg, err))
			return -1;
	}
	return 0;
}
