/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rollback.c - a restore: what has become of the files, and what to do */
#include "rollback.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"
#include "log.h"
#include "rollback_parts.h"
#include "util.h"

/* How long the last of a killed tree may take to end, in seconds. */
#define PATIENCE 5.

enum state {
	SAME,
	GROWN,
	SHRUNK,
	CHANGED,
	GONE,
	REPLACED,
	APPEARED,
};

struct finding {
	struct act act;
	enum state state;
	bool edited;  /* what was there at the checkpoint has changed, too */
	bool written; /* by somebody else, now */
	char what[96];
};

struct plan {
	const struct rollback_job *r;
	double deadline; /* for what is left of the tree to end */
};

/* --- the list --- */

static bool read_number(const json_t *j, const char *key, json_int_t *n)
{
	const json_t *v = json_object_get(j, key);

	*n = json_integer_value(v);
	return json_is_integer(v);
}

static bool read_facts(const json_t *j, struct entry *e)
{
	json_int_t size, mode, uid, gid, ino, mtime, btime, at;

	if (!read_number(j, "size", &size) || !read_number(j, "mode", &mode) ||
		!read_number(j, "uid", &uid) || !read_number(j, "gid", &gid) ||
		!read_number(j, "ino", &ino) ||
		!read_number(j, "mtime", &mtime) ||
		!read_number(j, "btime", &btime) || size < 0)
		return false;
	e->size = (off_t)size;
	e->mode = (mode_t)mode & 07777;
	e->uid = (uid_t)uid;
	e->gid = (gid_t)gid;
	e->ino = (ino_t)ino;
	e->mtime = mtime;
	e->btime = btime;
	e->edge = json_string_value(json_object_get(j, "edge"));
	e->handle = json_string_value(json_object_get(j, "handle"));
	e->content = json_string_value(json_object_get(j, "content"));
	if (e->content && (!read_number(j, "at", &at) || at < 0))
		return false;
	e->at = e->content ? (off_t)at : 0;
	return true;
}

/* The texts are the list's, but for the path. */
static bool read_entry(const json_t *j, struct entry *e)
{
	const char *path = json_string_value(json_object_get(j, "path"));
	const json_t *std = json_object_get(j, "std");
	json_int_t dir;

	memset(e, 0, sizeof(*e));
	if (!path || *path != '/' || !read_number(j, "dir", &dir) ||
		(std && (json_integer_value(std) < 1 ||
				json_integer_value(std) > 2)))
		return false;
	e->dir = (ino_t)dir;
	e->std = std ? (int)json_integer_value(std) : -1;
	e->append = json_is_true(json_object_get(j, "append"));
	e->checked = json_is_true(json_object_get(j, "checked"));
	e->beside = json_is_true(json_object_get(j, "beside"));
	e->absent = json_is_true(json_object_get(j, "absent"));
	if (!e->absent && !read_facts(j, e))
		return false;
	e->path = xstrdup(path);
	files_text_to_path(e->path);
	return true;
}

/* --- what has become of it --- */

static bool hash_is(int fd, off_t from, off_t to, const char *want)
{
	char hash[HASH_TEXT];

	return want && !file_hash(fd, from, to, hash) && !strcmp(hash, want);
}

/*
 * The number of an inode is given again when a file is removed, so it alone
 * does not tell. The device is no help: it may differ from node to node. If all
 * else is unknown, doubt decides.
 */
static bool is_other(
	const struct entry *e, const struct stat *st, int fd, bool doubt)
{
	char handle[HASH_TEXT];
	int64_t birth;

	if (!S_ISREG(st->st_mode) || st->st_ino != e->ino ||
		st->st_uid != e->uid)
		return true;
	if (e->handle && !file_handle_hash(fd, handle) &&
		!strcmp(handle, e->handle))
		return false;
	birth = file_birth(fd);
	if (birth && e->btime)
		return birth != e->btime;
	return doubt;
}

/* One that was copied back has another inode, and is as good. */
static bool is_copy(
	const struct entry *e, const struct stat *st, int fd, bool edited)
{
	int64_t mtime = file_mtime(st);

	if (!S_ISREG(st->st_mode) || st->st_uid != e->uid ||
		st->st_size != e->size)
		return false;
	if (e->content)
		return hash_is(fd, 0, e->size, e->content);
	/* tar and others know whole seconds only. */
	return e->edge && !edited &&
	       (mtime == e->mtime || mtime == e->mtime - e->mtime % 1000000000);
}

static enum state state_of(struct finding *f, int fd)
{
	const struct entry *e = &f->act.e;
	const struct stat *st = &f->act.now;
	off_t edge = e->size > EDGE ? e->size - EDGE : 0;
	bool touched = file_mtime(st) != e->mtime;

	if (e->absent)
		return APPEARED;
	/* A file that was changed in place need not have grown. */
	f->edited = st->st_size >= e->size && e->edge &&
		    !hash_is(fd, edge, e->size, e->edge);
	if (is_other(e, st, fd, f->edited && st->st_size > e->size))
		return is_copy(e, st, fd, f->edited) ? SAME : REPLACED;
	if (st->st_size < e->size)
		return SHRUNK;
	if (e->append && f->edited)
		return CHANGED;
	if (st->st_size > e->size)
		return GROWN;
	if (e->content)
		return hash_is(fd, 0, e->size, e->content) ? SAME : CHANGED;
	return touched && !(e->append && e->edge) ? CHANGED : SAME;
}

/* What is said of it behind its name. */
static void describe(struct finding *f, int num)
{
	long long more = f->act.now.st_size - f->act.e.size;
	char *to = f->what;
	size_t room = sizeof(f->what);

	switch (f->state) {
	case SAME:
		break;
	case GROWN:
		snprintf(to, room, "has %lld bytes more than at the checkpoint",
			more);
		break;
	case SHRUNK:
		snprintf(to, room, "has %lld bytes less than at the checkpoint",
			-more);
		break;
	case CHANGED:
		snprintf(to, room, "was overwritten after the checkpoint");
		break;
	case GONE:
		if (num == ENOENT)
			snprintf(to, room, "is not there any more");
		else
			snprintf(to, room, "cannot be opened any more (%s)",
				strerror(num));
		break;
	case REPLACED:
		snprintf(to, room, "is another file than at the checkpoint");
		break;
	case APPEARED:
		snprintf(to, room, "did not exist at the checkpoint");
		break;
	}
}

/* A stream may be another file in this leg, and is none of ours then. */
static bool is_our_stream(const struct plan *p, const struct entry *e)
{
	struct stat st;

	/* Our own messages are in standard error, too: never touched. */
	return e->std < 0 ||
	       (e->std == 1 && p->r->went_on && !fstat(e->std, &st) &&
		       S_ISREG(st.st_mode) && st.st_ino == e->ino &&
		       st.st_uid == e->uid);
}

/* Many write a file under another name, and rename it when it is complete. */
static bool find_renamed(const struct plan *p, struct entry *e)
{
	auto_close int fd = -1;
	struct stat st;

	if (p->r->policy != ROLLBACK_TRUNCATE || !p->r->went_on ||
		e->std >= 0 || e->absent || file_directory(e->path) != e->dir)
		return false;
	e->moved = file_renamed(e->path, e->ino);
	if (!e->moved)
		return false;
	fd = act_open(e, &st);
	if (fd >= 0 && !is_other(e, &st, fd, true))
		return true;
	free(e->moved);
	e->moved = NULL;
	return false;
}

static void examine(const struct plan *p, struct finding *f)
{
	struct act *a = &f->act;
	auto_close int fd = -1;
	int num;

	f->state = SAME;
	if (!is_our_stream(p, &a->e))
		return;
	fd = act_open(&a->e, &a->now);
	num = errno;
	if (fd < 0 && find_renamed(p, &a->e))
		fd = act_open(&a->e, &a->now);
	a->there = fd >= 0;
	/* First of all, as the last of the tree may still write. */
	if (a->there && a->e.std < 0)
		f->written = file_is_written(fd, &a->now, p->deadline) ||
			     fstat(fd, &a->now);
	if (a->there)
		f->state = state_of(f, fd);
	else if (!a->e.absent)
		f->state = GONE;
	/* Of a stream only its length counts. */
	if (a->e.std >= 0 && f->state != SAME)
		f->state = a->now.st_size > a->e.size ? GROWN : SAME;
	describe(f, num);
}

/* --- what to do --- */

/* criu wants to open what was open, and looks at type and size. */
static bool criu_refuses(const struct finding *f)
{
	const struct act *a = &f->act;

	if (a->e.beside || a->e.absent || f->state == SAME)
		return false;
	if (!a->there || !S_ISREG(a->now.st_mode) || (a->e.moved && f->written))
		return true;
	return a->e.checked && a->now.st_size != a->e.size;
}

static enum rollback_result leave(
	const struct finding *f, const char *why, struct err *err)
{
	if (!criu_refuses(f)) {
		log_warn("%s %s, and stays so%s", f->act.e.path, f->what, why);
		return ROLLBACK_DONE;
	}
	err_set(err, 0,
		"%.200s %s, and cannot be put back%s: criu would refuse it",
		f->act.e.path, f->what, why);
	return ROLLBACK_UNFIT;
}

static enum rollback_result act(struct finding *f, enum action action)
{
	f->act.action = action;
	return ROLLBACK_DONE;
}

/* A missing file is only made where the directory is the one that it was. */
static bool can_put_back(const struct plan *p, const struct finding *f)
{
	const struct act *a = &f->act;

	if (!a->e.content)
		return false;
	if (!a->there)
		return a->e.dir && file_directory(a->e.path) == a->e.dir;
	return p->r->went_on && S_ISREG(a->now.st_mode) &&
	       a->now.st_uid == a->e.uid;
}

static enum rollback_result decide_truncate(
	const struct plan *p, struct finding *f, struct err *err)
{
	const struct entry *e = &f->act.e;

	if (f->written)
		return leave(
			f, ", as another process has it open for writing", err);
	if (f->state == APPEARED)
		return act(f, p->r->went_on && S_ISREG(f->act.now.st_mode) &&
					      file_directory(e->path) == e->dir
				      ? REMOVE
				      : LEAVE);
	if (can_put_back(p, f))
		return act(f, PUT_BACK);
	if (e->content && !p->r->went_on)
		return leave(f,
			", as somebody else has changed it while the command "
			"was stopped",
			err);
	if (f->state != GROWN)
		return leave(f, "", err);
	/* Many may append to one file, and none of it is the command's. */
	if (!p->r->went_on && !e->checked)
		return leave(f, "", err);
	return act(f, CUT);
}

static enum rollback_result decide(
	const struct plan *p, struct finding *f, struct err *err)
{
	if (f->state == SAME)
		return ROLLBACK_DONE;
	if (p->r->policy == ROLLBACK_TRUNCATE)
		return decide_truncate(p, f, err);
	if (p->r->policy == ROLLBACK_KEEP && !criu_refuses(f))
		return leave(f, " ([files] rollback = keep)", err);
	err_set(err, 0,
		"%.200s %s, and [files] rollback = %s: nothing was changed; "
		"put back what it was, or set rollback = truncate",
		f->act.e.path, f->what,
		p->r->policy == ROLLBACK_KEEP ? "keep, which criu refuses"
					      : "refuse");
	return ROLLBACK_FATAL;
}

/* --- all of them --- */

static void tell(const struct plan *p, const struct finding *f)
{
	const struct act *a = &f->act;
	const char *who =
		p->r->went_on ? "" : " by others while it was stopped";

	if (a->e.moved)
		log_info("%s is %s again, as it was at the checkpoint",
			a->e.moved, a->e.path);
	switch (a->action) {
	case LEAVE:
		break;
	case CUT:
		(p->r->went_on ? log_info : log_warn)(
			"%s: %lld bytes written after the checkpoint%s are cut "
			"off and kept with it (%s)",
			a->e.path, (long long)(a->now.st_size - a->e.size), who,
			a->kept);
		if (f->edited)
			log_warn("%s was overwritten as well, which cannot be "
				 "undone",
				a->e.path);
		break;
	case PUT_BACK:
		(p->r->went_on ? log_info : log_warn)(
			"%s, which %s, is put back%s%s%s", a->e.path, f->what,
			*a->kept ? "; what it was now is kept with the "
				   "checkpoint ("
				 : "",
			a->kept, *a->kept ? ")" : "");
		break;
	case REMOVE:
		log_info("%s, which did not exist at the checkpoint, is "
			 "removed and kept with it (%s)",
			a->e.path, a->kept);
		break;
	}
}

static enum rollback_result read_list(const struct rollback_job *r,
	struct finding *f, size_t *n, struct err *err)
{
	const json_t *j;
	size_t i;

	json_array_foreach(r->list, i, j)
	{
		if (!read_entry(j, &f[i].act.e)) {
			err_set(err, 0, "the manifest is damaged");
			return ROLLBACK_UNFIT;
		}
		f[i].act.number = i;
		++*n;
	}
	return ROLLBACK_DONE;
}

static enum rollback_result make_plan(
	const struct plan *p, struct finding *f, size_t n, struct err *err)
{
	enum rollback_result ret = ROLLBACK_DONE;

	for (size_t i = 0; i < n && ret == ROLLBACK_DONE; i++) {
		examine(p, &f[i]);
		ret = decide(p, &f[i], err);
	}
	return ret;
}

static enum rollback_result carry_out(
	const struct plan *p, struct finding *f, size_t n, struct err *err)
{
	struct act *acts = xcalloc(n + 1, sizeof(*acts));
	enum rollback_result ret;

	for (size_t i = 0; i < n; i++)
		acts[i] = f[i].act;
	ret = act_all(p->r, acts, n, err);
	for (size_t i = 0; i < n; i++)
		f[i].act = acts[i];
	free(acts);
	return ret;
}

enum rollback_result rollback_apply(
	const struct rollback_job *r, struct err *err)
{
	const struct plan p = {r, r->went_on ? now_mono() + PATIENCE : 0};
	size_t n = 0, room = json_array_size(r->list) + 1;
	struct finding *f = xcalloc(room, sizeof(*f));
	enum rollback_result ret = read_list(r, f, &n, err);

	if (ret == ROLLBACK_DONE)
		ret = make_plan(&p, f, n, err);
	if (ret == ROLLBACK_DONE)
		ret = carry_out(&p, f, n, err);
	for (size_t i = 0; i < n; i++) {
		if (ret == ROLLBACK_DONE)
			tell(&p, &f[i]);
		free(f[i].act.e.path);
		free(f[i].act.e.moved);
	}
	free(f);
	return ret;
}
