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

#include "appear.h"
#include "files.h"
#include "tar.h"
#include "util.h"

void private_archive_name(size_t i, char buf[32])
{
	snprintf(buf, 32, "private-%zu.tar", i);
}

void private_staged_name(size_t i, char buf[32])
{
	snprintf(buf, 32, "staged-%zu.tar", i);
}

/* Fill a fresh layer from the generation, if that holds something for it. */
static int fill_layer(const struct private *p, size_t i,
	struct store_reader *generation, struct err *err)
{
	const struct tar t = {
		.user_ns = p->user_ns, .dir = p->dir[i].layer, .names = -1};
	char layer[32], staged[32];

	private_archive_name(i, layer);
	private_staged_name(i, staged);
	if (generation && (tar_extract(&t, generation, layer, err) ||
				  tar_extract(&t, generation, staged, err)))
		return err_wrap(err, "put back %s", p->dir[i].path);
	return 0;
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

/*
 * Put the layer over lower, so that the host's files are seen through it. criu
 * compares what stat(2) says of a mapped file, or a socket, with what the
 * kernel itself has of it: with xino both are the same, also where layer and
 * lower are different file systems.
 */
static int mount_overlay(const char *path, int lower, int upper, int work)
{
	char opt[160];

	snprintf(opt, sizeof(opt),
		"userxattr,xino=on,lowerdir=/proc/self/fd/%d,"
		"upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d",
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
	upper = make_dir_at(base, name, d->all ? 0700 : 01777);
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
	} else {
		d->has_lower = true;
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

static int add_dir(struct private *p, const struct private_plan *plan,
	const char *path, bool all, struct err *err)
{
	struct private_dir *d = &p->dir[p->n];

	if (p->n == PRIVATE_MAX_DIRS)
		return err_set(err, 0,
			"more than %d directories in private_dirs",
			PRIVATE_MAX_DIRS);
	*d = (struct private_dir){
		.path = xstrdup(path), .layer = -1, .all = all};
	if (private_dir(p, p->n++, plan->scratch, plan->generation, err))
		return -1;
	/* It is not there. */
	if (d->layer < 0)
		free(p->dir[--p->n].path);
	return 0;
}

static int enter_recorded(
	struct private *p, const struct private_plan *plan, struct err *err)
{
	const json_t *e;
	size_t i;

	json_array_foreach(plan->recorded, i, e)
	{
		const char *text =
			json_string_value(json_object_get(e, "path"));
		auto_free char *path = text ? xstrdup(text) : NULL;
		bool all = json_is_true(json_object_get(e, "all"));

		if (!path)
			return err_set(err, 0, "the manifest is damaged");
		files_text_to_path(path);
		if (appear_make(path, err) || add_dir(p, plan, path, all, err))
			return -1;
	}
	return 0;
}

static int enter_configured(
	struct private *p, const struct private_plan *plan, struct err *err)
{
	auto_free char *list = xstrdup(plan->dirs);
	char *save = NULL;

	for (char *d = strtok_r(list, BLANKS, &save); d;
		d = strtok_r(NULL, BLANKS, &save))
		if (add_dir(p, plan, d, false, err))
			return -1;
	return plan->tmpdir ? add_dir(p, plan, plan->tmpdir, true, err) : 0;
}

int private_enter(
	struct private *p, const struct private_plan *plan, struct err *err)
{
	if (plan->generation)
		return enter_recorded(p, plan, err);
	return enter_configured(p, plan, err);
}

json_t *private_list(const struct private *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n; i++) {
		char text[FILES_TEXT_ROOM];
		json_t *path = json_string_nocheck(
			files_path_text(p->dir[i].path, text));

		if (json_array_append_new(
			    list, json_pack("{s:o, s:b}", "path", path, "all",
					  p->dir[i].all))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

bool private_is_empty(int dir)
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
