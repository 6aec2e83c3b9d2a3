/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tmpdir.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"
#include "log.h"
#include "sharedfs.h"
#include "trees.h"
#include "util.h"

/* [environment] comes after what the job has. */
static const char *setting(const struct config *cfg)
{
	const char *dir = getenv("TMPDIR");

	for (size_t i = 0; i < cfg->n_env; i++)
		if (!strcmp(cfg->env[i].name, "TMPDIR"))
			dir = cfg->env[i].value;
	return dir;
}

static bool is_below_private(const struct config *cfg, const char *path)
{
	auto_free char *list = xstrdup(cfg->private_dirs);
	char *save;

	for (char *d = strtok_r(list, BLANKS, &save); d;
		d = strtok_r(NULL, BLANKS, &save)) {
		auto_free char *real = realpath(d, NULL);

		if (real && sharedfs_is_below(path, real))
			return true;
	}
	return false;
}

char *tmpdir_find(const struct config *cfg, int checkpoints, bool *below)
{
	const char *dir = setting(cfg);
	char *path = dir && *dir == '/' ? realpath(dir, NULL) : NULL;
	struct sharedfs fs;
	struct stat st;
	bool travels;

	if (!path)
		return NULL;
	*below = is_below_private(cfg, path);
	sharedfs_open(&fs, cfg->shared_paths, cfg->local_paths, checkpoints);
	travels = strcmp(path, "/") && !stat(path, &st) &&
		  S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
		  (*below || sharedfs_only_here(&fs, path));
	sharedfs_close(&fs);
	if (travels)
		return path;
	free(path);
	return NULL;
}

/* --- without a capsule --- */

static char *own_name(const json_t *facts)
{
	const char *chain = json_string_value(json_object_get(facts, "chain"));
	long long step = json_integer_value(json_object_get(facts, "step"));

	return xasprintf("/tmp/checkpointer-%u-%016llx-%lld", geteuid(),
		(unsigned long long)hash_text(chain ? chain : "", 0), step);
}

/*
 * Anybody may know its name from an earlier leg, and be there first. The
 * command may have opened it to others since then.
 */
static int make_own(struct step_tmpdir *t, mode_t closed, struct err *err)
{
	struct stat st;

	if (mkdir(t->path, 0700) && errno != EEXIST)
		return err_set(err, errno, "make %s for TMPDIR", t->path);
	if (lstat(t->path, &st) || !S_ISDIR(st.st_mode) ||
		st.st_uid != geteuid() || (st.st_mode & closed))
		return err_set(err, 0,
			"%s, which is to be TMPDIR, is not a directory of "
			"yours alone: remove it, or set TMPDIR",
			t->path);
	return 0;
}

static int make_fresh(
	struct step_tmpdir *t, const json_t *facts, struct err *err)
{
	t->path = own_name(facts);
	t->made = true;
	return make_own(t, 077, err) || setenv("TMPDIR", t->path, 1) ? -1 : 0;
}

static void read_recorded(struct step_tmpdir *t, const json_t *manifest)
{
	const json_t *j = json_object_get(manifest, "tmpdir");
	const char *text = json_string_value(json_object_get(j, "path"));

	if (!text)
		return;
	t->path = xstrdup(text);
	files_text_to_path(t->path);
	t->made = json_is_true(json_object_get(j, "made"));
}

static int record(const struct step_tmpdir *t, json_t *facts, struct err *err)
{
	char text[FILES_TEXT_ROOM];

	if (!t->path || !json_object_set_new(facts, "tmpdir",
				json_pack("{s:o, s:b}", "path",
					json_string_nocheck(
						files_path_text(t->path, text)),
					"made", t->made)))
		return 0;
	return err_set(err, ENOMEM, "TMPDIR");
}

int tmpdir_begin(struct step_tmpdir *t, const struct config *cfg,
	int checkpoints, const json_t *manifest, json_t *facts, struct err *err)
{
	bool below;

	memset(t, 0, sizeof(*t));
	if (manifest)
		read_recorded(t, manifest);
	else if (setting(cfg))
		t->path = tmpdir_find(cfg, checkpoints, &below);
	else if (make_fresh(t, facts, err))
		return -1;
	if (manifest && t->made && make_own(t, 0, err))
		return -1;
	return record(t, facts, err);
}

void tmpdir_remove(const struct step_tmpdir *t)
{
	struct err err;

	if (t->made && tree_remove(AT_FDCWD, t->path, &err))
		log_debug("%s", err.text);
}
