/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "script.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "proc.h"
#include "util.h"

#define SCRIPT_MAX (64U << 20)

/* In the chain's directory. */
static const char copy_name[] = "script";

static char *read_link(pid_t pid, const char *name)
{
	auto_free char *path = xasprintf("/proc/%d/%s", (int)pid, name);
	char target[4096];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	return xstrdup(target);
}

static bool is_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

static char *absolute(const char *dir, const char *word)
{
	return *word == '/' ? xstrdup(word) : xasprintf("%s/%s", dir, word);
}

/*
 * The first argument that is no option and names a file; words behind -c are
 * commands, and -m of Python names a module.
 */
static size_t find_script(const char *dir, char *const argv[])
{
	for (size_t i = 1; argv[i]; i++) {
		auto_free char *path = NULL;
		const char *word = argv[i];

		if ((*word == '-' || *word == '+') && word[1]) {
			if (word[1] != '-' && strpbrk(word, "cms"))
				return 0;
			continue;
		}
		path = absolute(dir, word);
		return is_file(path) ? i : 0;
	}
	return 0;
}

static int copy_script(
	const char *path, const struct chain *chain, struct err *err)
{
	auto_free char *text = NULL;
	size_t len;

	if (!faccessat(chain->dir, copy_name, F_OK, AT_SYMLINK_NOFOLLOW))
		return 0;
	text = read_file_at(AT_FDCWD, path, SCRIPT_MAX, &len, err);
	return text ? write_file_at(chain->dir, copy_name, text, len, err) : -1;
}

static void replace(char **word, char *by)
{
	free(*word);
	*word = by;
}

char **script_command(pid_t shell, const char *dir, const struct chain *chain,
	bool copy, struct err *err)
{
	char **argv = proc_arguments(shell, err);
	size_t at = argv && argv[0] ? find_script(dir, argv) : 0;
	char *program;

	if (!argv)
		return NULL;
	if (!at) {
		err_set(err, 0,
			"checkpointer without a command belongs in a batch "
			"script, and process %d runs none from a file: write "
			"checkpointer -- COMMAND",
			(int)shell);
		goto failed;
	}
	replace(&argv[at], absolute(dir, argv[at]));
	if (copy) {
		if (copy_script(argv[at], chain, err))
			goto failed;
		replace(&argv[at], xasprintf("%s/%s", chain->path, copy_name));
	}
	/* argv[0] may be just a name: "-bash". */
	program = read_link(shell, "exe");
	if (program)
		replace(&argv[0], program);
	return argv;
failed:
	proc_arguments_free(argv);
	return NULL;
}
