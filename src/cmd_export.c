/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_export.c - a checkpoint as plain files, as criu itself writes them */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "chain_facts.h"
#include "cmd.h"
#include "cmd_parts.h"
#include "log.h"
#include "trees.h"
#include "util.h"

#define MANIFEST "manifest.json"

struct export
{
	unsigned gen;
	unsigned number; /* of the step */
	int step;
	const char *path;
	int dir;
	bool made;    /* the directory is ours */
	size_t files; /* streams that have a file */
	bool manifest;
};

/* --- the directory --- */

static bool is_empty(int dir)
{
	DIR *d = tree_list(dir);
	struct dirent *e;
	bool empty = d;

	while (d && empty && (e = readdir(d)))
		empty = tree_is_dot(e->d_name);
	if (d)
		closedir(d);
	return empty;
}

static int make_dir(struct export *x, struct err *err)
{
	struct stat st;

	x->made = !mkdir(x->path, 0700);
	if (!x->made && errno != EEXIST)
		return err_set(err, errno, "make directory %s", x->path);
	x->dir = open(x->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (x->dir < 0 || fstat(x->dir, &st))
		return err_set(err, errno, "open directory %s", x->path);
	if (st.st_uid != geteuid())
		return err_set(err, 0,
			"directory %s belongs to user %u, not to you", x->path,
			st.st_uid);
	if (!is_empty(x->dir))
		return err_set(err, 0, "directory %s is not empty", x->path);
	/* What will lie there is the memory of the command. */
	if (fchmod(x->dir, 0700))
		return err_set(
			err, errno, "close directory %s to others", x->path);
	return 0;
}

/* --- the files --- */

static int make_file(const struct export *x, const char *name, struct err *err)
{
	int fd;

	if (!*name || tree_is_dot(name) || strchr(name, '/'))
		return err_set(
			err, 0, "'%.100s' cannot be the name of a file", name);
	fd = openat(x->dir, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? err_set(err, errno, "make %s/%s", x->path, name) : fd;
}

static int write_streams(
	struct export *x, struct store_reader *r, struct err *err)
{
	for (size_t i = 0; i < store_streams(r); i++) {
		auto_close int fd = make_file(x, store_name(r, i), err);

		if (fd < 0)
			return -1;
		x->files++;
		if (store_copy(r, i, fd, err))
			return -1;
		/* Over NFS, this is where a full disk may be told. */
		if (close(steal_fd(&fd)))
			return err_set(err, errno, "write %s/%s", x->path,
				store_name(r, i));
	}
	return 0;
}

/* Last: a directory without it is not complete. */
static int write_manifest(struct export *x, struct err *err)
{
	json_t *m = store_manifest(x->step, x->gen, err);
	auto_free char *text =
		m ? json_dumps(m, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	auto_close int fd = -1;

	json_decref(m);
	if (!m)
		return -1;
	if (!text)
		return err_set(err, ENOMEM, "manifest");
	fd = make_file(x, MANIFEST, err);
	if (fd < 0)
		return -1;
	x->manifest = true;
	if (write_all(fd, text, strlen(text)) || write_all(fd, "\n", 1) ||
		close(steal_fd(&fd)))
		return err_set(err, errno, "write %s/" MANIFEST, x->path);
	return 0;
}

static void undo(const struct export *x, const struct store_reader *r)
{
	for (size_t i = 0; i < x->files; i++)
		unlinkat(x->dir, store_name(r, i), 0);
	if (x->manifest)
		unlinkat(x->dir, MANIFEST, 0);
	if (x->made)
		rmdir(x->path);
}

static int write_all_files(
	struct export *x, struct store_reader *r, struct err *err)
{
	if (make_dir(x, err))
		return EX_CANTCREAT;
	if (!write_streams(x, r, err) && !write_manifest(x, err))
		return 0;
	return damage_of(err, x->gen) ? EX_DATAERR : EX_IOERR;
}

static int export_open(struct export *x, const char *chain)
{
	struct err err;
	struct store_reader *r = store_open(x->step, x->gen, &err);
	char size[32];
	int ret;

	if (!r) {
		log_error("%s", err.text);
		return damage_of(&err, x->gen) ? EX_DATAERR : EX_IOERR;
	}
	ret = write_all_files(x, r, &err);
	if (ret) {
		log_error("%s", err.text);
		undo(x, r);
	} else {
		log_info("generation %u of step %u of %s is in %s: %zu files, "
			 "%s",
			x->gen, x->number, chain, x->path, x->files + 1,
			show_size(bytes_of(r), size));
	}
	release_fd(&x->dir);
	store_close(r);
	return ret;
}

/* --- which one --- */

/* Steps that run side by side number their generations alike. */
static int find_step(struct export *x, const struct selection *s)
{
	for (unsigned i = s->first; i <= s->last; i++) {
		auto_close int step = chain_open_step(&s->chain, i, NULL);

		if (step < 0 || store_newest(step, x->gen + 1) != x->gen)
			continue;
		if (x->number) {
			log_error("steps %u and %u of %s have a generation %u: "
				  "choose one with --step",
				x->number, i, s->chain.id, x->gen);
			return EX_USAGE;
		}
		x->number = i;
		x->step = steal_fd(&step);
	}
	if (x->number)
		return 0;
	log_error("chain %s has no generation %u", s->chain.id, x->gen);
	return EX_NOINPUT;
}

const char cmd_export_help[] =
	"Usage: checkpointer [OPTION]... export CHAIN GENERATION DIR [--step=N]\n"
	"\n"
	"Write a checkpoint to DIR, which is made, as plain images that crit and criu\n"
	"read. They hold the memory of the command, secrets included.\n"
	"\n"
	"      --step=N     of this step, where several have such a generation\n"
	"  -d, --dir=DIR    where the chain is, if not at the usual place\n"
	"  -h, --help       print this\n"
	"\n"
	"Example:\n"
	"  checkpointer export fit 3 images && crit x images ps\n";

int cmd_export(struct invocation *in)
{
	struct export x = {.step = -1, .dir = -1};
	struct selection s;
	int ret;

	if (!in->args[0] || !in->args[1] || !in->args[2] || in->args[3]) {
		log_error("export takes a chain, a generation and a directory "
			  "to make: checkpointer export CHAIN GENERATION DIR");
		return EX_USAGE;
	}
	x.path = in->args[2];
	if (select_generation(in->args[1], &x.gen))
		return EX_USAGE;
	ret = select_steps(&s, in, in->args[0]);
	if (ret)
		return ret;
	ret = find_step(&x, &s);
	if (!ret)
		ret = export_open(&x, s.chain.id);
	release_fd(&x.step);
	chain_close(&s.chain);
	return ret;
}
