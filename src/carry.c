/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "carry.h"

#include <dirent.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "inuse.h"
#include "log.h"
#include "sharedfs.h"
#include "util.h"

/* More than this is told before it is copied. */
#define MUCH (100U << 20)

/* Where something lies: the number of a private directory, or this. */
#define OUTSIDE (-1)

struct finder {
	const struct carry *c;
	struct carry_list *l;
	struct sharedfs fs;
	uid_t uid;
	void *seen; /* a tree of paths, see tsearch(3) */
	struct err *err;
	bool failed;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* False if it has been seen before. */
static bool see(struct finder *f, const char *path)
{
	if (tfind(path, &f->seen, by_text))
		return false;
	if (!tsearch(xstrdup(path), &f->seen, by_text)) {
		err_set(f->err, ENOMEM, "list node-local files");
		f->failed = true;
	}
	return !f->failed;
}

/* --- the lists --- */

static bool is_carried(const struct finder *f, const struct stat *st)
{
	return st->st_uid == f->uid &&
	       (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) ||
		       S_ISLNK(st->st_mode) || S_ISFIFO(st->st_mode));
}

static void put(struct finder *f, int *list, const char *text)
{
	if (*list < 0)
		*list = memfd_create("files", MFD_CLOEXEC);
	/* With the NUL at the end. */
	if (*list >= 0 && !write_all(*list, text, strlen(text) + 1))
		return;
	err_set(f->err, errno, "list node-local files");
	f->failed = true;
}

static char type_letter(mode_t mode)
{
	if (S_ISDIR(mode))
		return 'd';
	if (S_ISLNK(mode))
		return 'l';
	return S_ISFIFO(mode) ? 'p' : 'f';
}

static void put_record(
	struct finder *f, const char *path, const struct stat *st)
{
	auto_free char *text = xasprintf("%c %o %lld.%09ld %s",
		type_letter(st->st_mode), st->st_mode & 07777,
		(long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, path);

	put(f, &f->l->records, text);
	/* Directories are made from their records. */
	if (!S_ISDIR(st->st_mode))
		put(f, &f->l->outside, path + 1);
}

static void count(struct carry_list *l, const char *path, const struct stat *st)
{
	/* Without the holes. */
	uint64_t size = (uint64_t)st->st_blocks * 512;

	if (!S_ISREG(st->st_mode))
		return;
	if (size > (uint64_t)st->st_size)
		size = (uint64_t)st->st_size;
	l->files++;
	l->bytes += size;
	if (l->largest && size <= l->largest_bytes)
		return;
	free(l->largest);
	l->largest = xstrdup(path);
	l->largest_bytes = size;
}

/* Behind the path of private directory where. */
static const char *relative(const struct finder *f, int where, const char *path)
{
	return path + strlen(f->c->private->dir[where].path) + 1;
}

static void add(
	struct finder *f, int where, const char *path, const struct stat *st)
{
	if (f->failed || !see(f, path))
		return;
	count(f->l, path, st);
	if (where == OUTSIDE)
		put_record(f, path, st);
	else
		put(f, &f->l->staged[where], relative(f, where, path));
}

/* --- walking --- */

/* Is it in the layer, which is archived by itself? */
static bool is_in_layer(const struct finder *f, int where, const char *path)
{
	struct stat st;

	return where != OUTSIDE &&
	       !fstatat(f->c->private->dir[where].layer,
		       relative(f, where, path), &st, AT_SYMLINK_NOFOLLOW);
}

static void walk(
	struct finder *f, int where, const char *path, const struct stat *st);

static void walk_entries(
	struct finder *f, int where, const char *path, dev_t dev)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && !f->failed && (e = readdir(d))) {
		auto_free char *name = NULL;
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		name = xasprintf("%s/%s", path, e->d_name);
		if (lstat(name, &st) || !is_carried(f, &st))
			continue;
		/* Never into another file system. */
		if (!S_ISDIR(st.st_mode) || st.st_dev == dev)
			walk(f, where, name, &st);
	}
	if (d)
		closedir(d);
}

/*
 * All of the user's below path, itself included. A directory that is in the
 * layer is only listed, behind its contents, if one of these is carried: tar
 * has then to set its times once more.
 */
static void walk(
	struct finder *f, int where, const char *path, const struct stat *st)
{
	bool in_layer = is_in_layer(f, where, path);
	size_t files = f->l->files;

	if (!in_layer)
		add(f, where, path, st);
	if (!S_ISDIR(st->st_mode))
		return;
	walk_entries(f, where, path, st->st_dev);
	if (in_layer && f->l->files > files)
		add(f, where, path, st);
}

/* Many processes may have the same working directory. */
static void walk_once(
	struct finder *f, int where, const char *path, const struct stat *st)
{
	auto_free char *mark = xasprintf("%s/", path);

	if (see(f, mark))
		walk(f, where, path, st);
}

/* --- what is found --- */

static int private_of(const struct finder *f, const char *path)
{
	const struct private *p = f->c->private;
	size_t best = 0;
	int found = OUTSIDE;

	for (size_t i = 0; i < p->n; i++) {
		size_t n = strlen(p->dir[i].path);

		if (p->dir[i].layer < 0 || n < best ||
			!sharedfs_is_below(path, p->dir[i].path))
			continue;
		best = n;
		found = (int)i;
	}
	return found;
}

/*
 * The first of the user's own on the way from the directory dir to path, with
 * its status; the caller frees it. NULL: there is none.
 */
static char *first_own(const struct finder *f, const char *dir,
	const char *path, struct stat *st)
{
	size_t n = strlen(dir);

	while (path[n]) {
		char *part;

		n += 1 + strcspn(path + n + 1, "/");
		part = strndup(path, n);
		if (part && !lstat(part, st) && st->st_uid == f->uid)
			return part;
		free(part);
	}
	return NULL;
}

static void find_staged(struct finder *f, int where, const char *path)
{
	const struct private_dir *d = &f->c->private->dir[where];
	auto_free char *top = NULL;
	struct stat st;

	if (!d->has_lower)
		return;
	top = first_own(f, d->path, path, &st);
	if (top && is_carried(f, &st))
		walk_once(f, where, top, &st);
}

/* The user's own directories on the way, the first one first. */
static void add_parents(struct finder *f, const char *path)
{
	struct stat st;

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		auto_free char *part = strndup(path, (size_t)(p - path));

		if (part && !lstat(part, &st) && is_carried(f, &st))
			add(f, OUTSIDE, part, &st);
	}
}

static bool is_of_the_system(const char *path)
{
	static const char *const dirs[] = {"/proc", "/sys", "/dev"};

	for (size_t i = 0; i < LEN(dirs); i++)
		if (sharedfs_is_below(path, dirs[i]))
			return true;
	return false;
}

static void find_outside(struct finder *f, const char *path, enum inuse_how how)
{
	struct stat st;

	if (!f->c->outside || is_of_the_system(path) || lstat(path, &st) ||
		!is_carried(f, &st) || !sharedfs_only_here(&f->fs, path))
		return;
	add_parents(f, path);
	if (how == INUSE_OPEN)
		add(f, OUTSIDE, path, &st);
	else
		walk_once(f, OUTSIDE, path, &st);
}

static void find(const char *path, enum inuse_how how, void *arg)
{
	struct finder *f = arg;
	int where = private_of(f, path);

	if (f->failed)
		return;
	if (where == OUTSIDE)
		find_outside(f, path, how);
	else
		find_staged(f, where, path);
}

static void find_tmpdir(struct finder *f)
{
	const struct private *p = f->c->private;
	struct stat st;

	for (size_t i = 0; i < p->n; i++)
		if (p->dir[i].all && p->dir[i].has_lower &&
			!lstat(p->dir[i].path, &st))
			walk_entries(f, (int)i, p->dir[i].path, st.st_dev);
	if (p->tmpdir)
		find(p->tmpdir, INUSE_WITHIN, f);
	/* Wherever it lies, as it may be removed here. */
	if (f->c->outside && f->c->tmpdir && !lstat(f->c->tmpdir, &st)) {
		add_parents(f, f->c->tmpdir);
		walk_once(f, OUTSIDE, f->c->tmpdir, &st);
	}
}

static int check_limit(const struct finder *f)
{
	const struct carry_list *l = f->l;
	uint64_t limit = f->c->cfg->carry_limit;
	char all[32], most[32], largest[32];

	if (l->bytes <= limit)
		return 0;
	return err_set(f->err, 0,
		"the command uses %s of files that other nodes do not see, "
		"and [files] carry_limit is %s; the largest, %.200s, has %s: "
		"raise the limit, or name in [files] shared_paths what the "
		"other nodes have as well",
		show_size(l->bytes, all), show_size(limit, most), l->largest,
		show_size(l->largest_bytes, largest));
}

int carry_find(const struct carry *c, pid_t root, const struct stat std[3],
	struct carry_list *l, struct err *err)
{
	struct finder f = {.c = c, .l = l, .uid = geteuid(), .err = err};

	memset(l, 0, sizeof(*l));
	l->outside = l->records = -1;
	for (size_t i = 0; i < LEN(l->staged); i++)
		l->staged[i] = -1;
	if (!c->cfg->carry)
		return 0;
	sharedfs_open(&f.fs, c->cfg->shared_paths, c->cfg->local_paths,
		c->checkpoints);
	find_tmpdir(&f);
	inuse_files(root, std, find, &f);
	sharedfs_close(&f.fs);
	tdestroy(f.seen, free);
	if (!f.failed && !check_limit(&f))
		return 0;
	carry_release(l);
	return -1;
}

void carry_tell(const struct carry_list *l)
{
	char all[32], largest[32];

	if (l->bytes > MUCH)
		log_info("carrying %s in %zu files that other nodes do not "
			 "see; the largest, %s, has %s",
			show_size(l->bytes, all), l->files, l->largest,
			show_size(l->largest_bytes, largest));
}

void carry_release(struct carry_list *l)
{
	for (size_t i = 0; i < LEN(l->staged); i++)
		release_fd(&l->staged[i]);
	release_fd(&l->outside);
	release_fd(&l->records);
	free(l->largest);
	l->largest = NULL;
}
