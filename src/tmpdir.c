/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tmpdir.h"

#include <string.h>
#include <sys/stat.h>

#include "sharedfs.h"
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
