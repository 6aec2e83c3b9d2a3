/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archives.h"

#include <fcntl.h>
#include <string.h>

#include "tar.h"
#include "util.h"

/* Where each is in the list. */
#define LAYER(i)  (i)
#define STAGED(i) (PRIVATE_MAX_DIRS + (i))
#define RECORDS   (2 * PRIVATE_MAX_DIRS)
#define OUTSIDE   (2 * PRIVATE_MAX_DIRS + 1)

static int open_pipe(struct archives *a, size_t i, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	a->from[i] = fds[0];
	a->to[i] = fds[1];
	return 0;
}

int archives_open(struct archives *a, const struct carry *c, struct err *err)
{
	const struct private *p = c->private;

	for (size_t i = 0; i < ARCHIVES_MAX; i++)
		a->from[i] = a->to[i] = -1;
	for (size_t i = 0; i < p->n; i++) {
		private_archive_name(i, a->name[LAYER(i)]);
		private_staged_name(i, a->name[STAGED(i)]);
		if (p->dir[i].layer >= 0 && open_pipe(a, LAYER(i), err))
			return -1;
		if (p->dir[i].has_lower && c->cfg->carry &&
			open_pipe(a, STAGED(i), err))
			return -1;
	}
	if (!c->outside || !c->cfg->carry)
		return 0;
	snprintf(a->name[RECORDS], sizeof(a->name[RECORDS]), CARRIED_RECORDS);
	snprintf(a->name[OUTSIDE], sizeof(a->name[OUTSIDE]), CARRIED_FILES);
	return open_pipe(a, RECORDS, err) || open_pipe(a, OUTSIDE, err) ? -1
									: 0;
}

void archives_close(struct archives *a)
{
	for (size_t i = 0; i < ARCHIVES_MAX; i++)
		release_fd(&a->to[i]);
}

static int archive(struct archives *a, size_t i, const struct carry *c, int dir,
	int names, struct err *err)
{
	const struct tar t = {.user_ns = c->private->user_ns,
		.dir = dir,
		.archive = a->to[i],
		.names = names};
	int ret = 0;

	if (names >= 0 && lseek(names, 0, SEEK_SET) < 0)
		return err_set(err, errno, "the list of files");
	if (a->to[i] >= 0)
		ret = tar_create(&t, err);
	release_fd(&a->to[i]);
	return ret;
}

static int write_layers(
	struct archives *a, const struct carry *c, struct err *err)
{
	const struct private *p = c->private;

	for (size_t i = 0; i < p->n; i++) {
		int layer = p->dir[i].layer;

		if (layer >= 0 && !private_is_empty(layer) &&
			archive(a, LAYER(i), c, layer, -1, err))
			return err_wrap(err, "carry %s", p->dir[i].path);
		release_fd(&a->to[LAYER(i)]);
	}
	return 0;
}

static int write_staged(struct archives *a, const struct carry *c,
	const struct carry_list *l, struct err *err)
{
	const struct private *p = c->private;

	for (size_t i = 0; i < p->n; i++) {
		auto_close int dir = -1;

		if (l->staged[i] < 0)
			continue;
		dir = open(p->dir[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return err_set(err, errno, "open %s", p->dir[i].path);
		if (archive(a, STAGED(i), c, dir, l->staged[i], err))
			return err_wrap(err, "carry %s", p->dir[i].path);
	}
	return 0;
}

static int copy_file(int from, int to, struct err *err)
{
	char buf[65536];
	ssize_t n;
	off_t at = 0;

	while ((n = pread(from, buf, sizeof(buf), at)) > 0) {
		if (write_all(to, buf, (size_t)n))
			return err_set(err, errno, "the list of files");
		at += n;
	}
	return n < 0 ? err_set(err, errno, "the list of files") : 0;
}

static int write_outside(struct archives *a, const struct carry *c,
	const struct carry_list *l, struct err *err)
{
	auto_close int root = -1;

	if (l->records < 0 || a->to[RECORDS] < 0)
		return 0;
	if (copy_file(l->records, a->to[RECORDS], err))
		return -1;
	release_fd(&a->to[RECORDS]);
	if (l->outside < 0)
		return 0;
	root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_set(err, errno, "open /");
	if (archive(a, OUTSIDE, c, root, l->outside, err))
		return err_wrap(err, "carry node-local files");
	return 0;
}

int archives_write(struct archives *a, const struct carry *c, pid_t root,
	const struct stat std[3], struct err *err)
{
	struct carry_list l;
	int ret;

	if (carry_find(c, root, std, &l, err))
		return -1;
	ret = write_layers(a, c, err) || write_staged(a, c, &l, err) ||
			      write_outside(a, c, &l, err)
		      ? -1
		      : 0;
	carry_release(&l);
	archives_close(a);
	return ret;
}
