/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_values.h"

#include <pwd.h>
#include <string.h>

#include "config_keys.h"
#include "util.h"

char *value_list(const char *text, const char *separators, const char *glue)
{
	auto_free char *copy = xstrdup(text);
	char *joined = xstrdup(""), *rest;

	for (char *word = strtok_r(copy, separators, &rest); word;
		word = strtok_r(NULL, separators, &rest)) {
		auto_free char *old = joined;

		word = trim(word);
		joined = xasprintf(
			"%s%s%s", old, *old && *word ? glue : "", word);
	}
	return joined;
}

const char *config_home(void)
{
	const char *home = getenv("HOME");
	const struct passwd *user;

	if (home && *home == '/')
		return home;
	user = getpwuid(getuid());
	return user && user->pw_dir && *user->pw_dir == '/' ? user->pw_dir
							    : NULL;
}

char *value_file(const char *text, struct err *err)
{
	const char *home;

	if (*text != '~')
		return xstrdup(text);
	home = config_home();
	if (text[1] && text[1] != '/')
		err_set(err, 0, "'%s': only ~ and ~/ are understood", text);
	else if (!home)
		err_set(err, 0,
			"'%s': no home directory is known: set HOME, or name "
			"an absolute path",
			text);
	else
		return xasprintf("%s%s", home, text + 1);
	return NULL;
}

char *value_dir(const char *text, struct err *err)
{
	char *path = value_file(text, err);

	if (!path || *path == '/')
		return path;
	free(path);
	err_set(err, 0, "'%s' is not an absolute path", text);
	return NULL;
}

char *value_program(const char *text, struct err *err)
{
	if (!*text)
		err_set(err, 0, "empty");
	else if (strchr(text, '/') || *text == '~')
		return value_dir(text, err);
	return *text ? xstrdup(text) : NULL;
}

char *value_scratch(const char *text, struct err *err)
{
	char *path;

	if (!strcmp(text, "auto") || !strcmp(text, "memory"))
		return xstrdup(text);
	path = value_dir(text, NULL);
	if (!path)
		err_set(err, 0,
			"'%s' is none of auto, memory, an absolute path", text);
	return path;
}

/* Each is mounted over, which must not hit the root or go astray by "..". */
static int check_dir(const char *dir, struct err *err)
{
	auto_free char *closed = xasprintf("%s/", dir);

	if (*dir != '/')
		return err_set(err, 0, "'%s' is not an absolute path", dir);
	if (dir[strspn(dir, "/")] == '\0')
		return err_set(err, 0, "'%s': the root cannot be private", dir);
	if (strstr(closed, "/../") || strstr(closed, "/./"))
		return err_set(err, 0, "'%s' has a '.' or '..' in it", dir);
	return 0;
}

char *value_dirs(const char *text, struct err *err)
{
	auto_free char *copy = xstrdup(text);
	char *rest;

	for (char *word = strtok_r(copy, SEPARATORS, &rest); word;
		word = strtok_r(NULL, SEPARATORS, &rest))
		if (check_dir(word, err))
			return NULL;
	return value_list(text, SEPARATORS, " ");
}

char *value_paths(const char *text, struct err *err)
{
	auto_free char *copy = xstrdup(text);
	char *rest;

	for (char *word = strtok_r(copy, SEPARATORS, &rest); word;
		word = strtok_r(NULL, SEPARATORS, &rest))
		if (*word != '/') {
			err_set(err, 0, "'%s' is not an absolute path", word);
			return NULL;
		}
	return value_list(text, SEPARATORS, " ");
}

static bool is_port(const char *text, size_t n)
{
	long value = strtol(text, NULL, 10);

	return strspn(text, "0123456789") >= n && value > 0 && value < 65536;
}

char *value_ports(const char *text, struct err *err)
{
	auto_free char *copy = xstrdup(text);
	char *rest;

	for (char *word = strtok_r(copy, SEPARATORS, &rest); word;
		word = strtok_r(NULL, SEPARATORS, &rest)) {
		size_t n = strcspn(word, ":");
		if (is_port(word, n) &&
			(!word[n] ||
				is_port(word + n + 1, strlen(word) - n - 1)))
			continue;
		err_set(err, 0, "'%s' is not a port (examples: 8888, 8080:80)",
			word);
		return NULL;
	}
	return value_list(text, SEPARATORS, " ");
}
