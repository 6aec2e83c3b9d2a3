/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "programs.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

/* libuv, which all of them are built on, opens one since its version 1.46. */
static const char *const uring_users[] = {
	"node", "nodejs", "npm", "npx", "julia"};

/* A script is looked at as far as this, and no other file of any size. */
#define SCRIPT_LOOKED_AT (256U << 10)

static bool in_a_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* Is it in the text, as a word or the last part of a path? */
static bool names(const char *text, const char *program)
{
	size_t n = strlen(program);

	for (const char *p = text; (p = strstr(p, program)); p += n)
		if ((p == text || !in_a_word(p[-1])) && !in_a_word(p[n]))
			return true;
	return false;
}

static bool names_any(const char *text)
{
	for (size_t i = 0; i < LEN(uring_users); i++)
		if (names(text, uring_users[i]))
			return true;
	return false;
}

/* The beginning of a file that begins with #!, or NULL. */
static char *read_script(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	auto_free char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return NULL;
	text = xcalloc(SCRIPT_LOOKED_AT + 1, 1);
	n = read(fd, text, SCRIPT_LOOKED_AT);
	if (n < 2 || strncmp(text, "#!", 2))
		return NULL;
	return xstrdup(text);
}

bool programs_uring(char *const argv[])
{
	for (size_t i = 0; argv[i]; i++) {
		auto_free char *script = read_script(argv[i]);

		if (names_any(argv[i]) || (script && names_any(script)))
			return true;
	}
	return false;
}
