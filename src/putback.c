/* SPDX-License-Identifier: GPL-2.0-or-later */
/* putback.c - what a generation has from outside the private directories */
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "archives.h"
#include "tar.h"
#include "util.h"

/* Before a file's name while it is not complete. */
#define PREFIX ".ckpt-"

struct record {
	char type; /* as in carry.h */
	mode_t mode;
	struct timespec mtime;
	const char *path;
};

/* All of them, in their order; the paths lie in text. */
struct records {
	char *text;
	size_t size;
	struct record *v;
	size_t n;
};

static bool read_record(char *text, struct record *r)
{
	long long seconds;
	int path = 0;

	if (sscanf(text, "%c %o %lld.%9ld %n", &r->type, &r->mode, &seconds,
		    &r->mtime.tv_nsec, &path) != 4 ||
		text[path] != '/')
		return false;
	r->mtime.tv_sec = (time_t)seconds;
	r->path = text + path;
	return true;
}

static int parse(struct records *r, struct err *err)
{
	struct record *v;
	size_t n = 0;

	if (r->text[r->size - 1])
		return err_set(err, 0, "the checkpoint is damaged");
	for (size_t i = 0; i < r->size; i++)
		n += !r->text[i];
	v = r->v = xcalloc(n, sizeof(*v));
	for (char *p = r->text; p < r->text + r->size; p += strlen(p) + 1)
		if (!read_record(p, &v[r->n++]))
			return err_set(err, 0, "the checkpoint is damaged");
	return 0;
}

/* Nothing, if there is no such stream. */
static int load(
	struct store_reader *generation, struct records *r, struct err *err)
{
	int stream = store_find(generation, CARRIED_RECORDS);
	auto_close int fd = -1;

	if (stream < 0 || !store_size(generation, (size_t)stream))
		return 0;
	fd = memfd_create("files", MFD_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "memfd_create");
	if (store_copy(generation, (size_t)stream, fd, err))
		return -1;
	r->size = (size_t)store_size(generation, (size_t)stream);
	r->text =
		mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (r->text == MAP_FAILED) {
		r->text = NULL;
		return err_set(err, errno, "read the list of files");
	}
	return parse(r, err);
}

static void unload(struct records *r)
{
	if (r->text)
		munmap(r->text, r->size);
	free(r->v);
}

/* --- what is there --- */

static const char *owner_name(uid_t uid, char buf[64])
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		snprintf(buf, 64, "%s", user->pw_name);
	else
		snprintf(buf, 64, "user %u", uid);
	return buf;
}

/* May this be made or replaced? A directory may be there; nothing else may. */
static int check(const struct record *r, struct err *err)
{
	char owner[64];
	struct stat st;

	if (lstat(r->path, &st))
		return 0;
	if (st.st_uid != geteuid())
		return err_set(err, 0,
			"%s is in the way of a file that the checkpoint has "
			"for that place: on this node it belongs to %s",
			r->path, owner_name(st.st_uid, owner));
	if (S_ISDIR(st.st_mode) != (r->type == 'd'))
		return err_set(err, 0,
			"%s is in the way: it was %s directory when the "
			"checkpoint was made, and on this node it is %s",
			r->path, r->type == 'd' ? "a" : "no",
			r->type == 'd' ? "none" : "one");
	return 0;
}

/* --- making --- */

/* As mkdir -p, for those that were not the user's own. */
static int make_parents(const char *path, struct err *err)
{
	char owner[64];
	struct stat st = {0};

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		auto_free char *part = strndup(path, (size_t)(p - path));
		int why;

		if (!part)
			return err_set(err, ENOMEM, "%s", path);
		if (!mkdir(part, 0755) || errno == EEXIST) {
			(void)lstat(part, &st);
			continue;
		}
		why = errno;
		/* An automounter's says ENOENT or worse of what is there. */
		if (!lstat(part, &st))
			continue;
		return err_set(err, why,
			"cannot make %s, where the checkpoint has files, in a "
			"directory of %s",
			part, owner_name(st.st_uid, owner));
	}
	return 0;
}

/* Its own mode comes when all is in it. */
static int make_dir(const char *path, struct err *err)
{
	struct stat st;

	if (!mkdir(path, 0700))
		return 0;
	if (errno != EEXIST || lstat(path, &st))
		return err_set(err, errno, "make %s", path);
	/* Somebody else may have been faster, after check(). */
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, EEXIST, "make %s", path);
	if ((st.st_mode & 0700) != 0700 && chmod(path, st.st_mode | 0700))
		return err_set(err, errno, "change the mode of %s", path);
	return 0;
}

static int make_dirs(const struct records *r, struct err *err)
{
	for (size_t i = 0; i < r->n; i++)
		if (check(&r->v[i], err) || make_parents(r->v[i].path, err) ||
			(r->v[i].type == 'd' && make_dir(r->v[i].path, err)))
			return -1;
	return 0;
}

/* Where the file lies before it is renamed; the caller frees it. */
static char *aside(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	return xasprintf("%.*s" PREFIX "%s", (int)(name - path), path, name);
}

/* What was read while it vanished is not in the archive. */
static int put_in_place(const struct records *r, struct err *err)
{
	for (size_t i = 0; i < r->n; i++) {
		auto_free char *from = NULL;

		if (r->v[i].type == 'd')
			continue;
		from = aside(r->v[i].path);
		if (rename(from, r->v[i].path) && errno != ENOENT)
			return err_set(err, errno, "put back %s", r->v[i].path);
	}
	return 0;
}

static void remove_aside(const struct records *r)
{
	for (size_t i = 0; i < r->n; i++) {
		auto_free char *path = NULL;

		if (r->v[i].type == 'd')
			continue;
		path = aside(r->v[i].path);
		unlink(path);
	}
}

/* The innermost first: what is made in a directory changes its time. */
static int finish_dirs(const struct records *r, struct err *err)
{
	for (size_t i = r->n; i-- > 0;) {
		const struct record *d = &r->v[i];
		const struct timespec times[2] = {
			{.tv_nsec = UTIME_NOW}, d->mtime};

		if (d->type != 'd')
			continue;
		if (utimensat(AT_FDCWD, d->path, times, 0) ||
			chmod(d->path, d->mode))
			return err_set(err, errno, "put back %s", d->path);
	}
	return 0;
}

static int put_back(const struct records *r, struct store_reader *generation,
	bool user_ns, struct err *err)
{
	/* Of links only the names, and what hard ones lead to. */
	const struct tar t = {.user_ns = user_ns,
		.dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.names = -1,
		.rename = "s,\\([^/]*\\)$," PREFIX "\\1,S"};
	int ret = -1;

	if (t.dir < 0)
		return err_set(err, errno, "open /");
	if (!make_dirs(r, err))
		ret = tar_extract(&t, generation, CARRIED_FILES, err) ||
				      put_in_place(r, err) ||
				      finish_dirs(r, err)
			      ? -1
			      : 0;
	if (ret)
		remove_aside(r);
	close(t.dir);
	return ret;
}

int archives_check(int step, unsigned gen, struct err *err)
{
	struct store_reader *generation = store_open(step, gen, err);
	struct records r = {0};
	int ret;

	if (!generation)
		return -1;
	ret = load(generation, &r, err);
	for (size_t i = 0; !ret && i < r.n; i++)
		ret = check(&r.v[i], err);
	unload(&r);
	store_close(generation);
	return ret;
}

int archives_put_back(
	struct store_reader *generation, bool user_ns, struct err *err)
{
	struct records r = {0};
	int ret = load(generation, &r, err);

	if (!ret && r.n)
		ret = put_back(&r, generation, user_ns, err);
	unload(&r);
	return ret;
}
