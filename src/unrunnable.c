/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unrunnable.h"

#include <string.h>
#include <sys/stat.h>

#include "util.h"

/* The caller frees it; NULL: there is nothing to add. */
static char *advice(const char *program, int why)
{
	bool is_path = strchr(program, '/');
	struct stat st;
	bool is_there = is_path && !stat(program, &st);

	if (why == ENOEXEC)
		return xasprintf("as a script it needs a first line such as "
				 "#!/bin/sh; see 'file %s'",
			program);
	if (!is_path)
		return xasprintf("no directory of PATH has it, see 'type -a "
				 "%s'; else give its path",
			program);
	if (why == ENOENT && is_there)
		return xasprintf("the interpreter in its first line is not "
				 "there, see 'head -n 1 %s'",
			program);
	if (why == ENOENT || why == ENOTDIR)
		return xasprintf("see 'ls -l %s'", program);
	if (is_there && S_ISDIR(st.st_mode))
		return xasprintf("it is a directory, see 'ls %s'", program);
	if (is_there && why == EACCES && !(st.st_mode & 0111))
		return xasprintf("it is not executable: chmod +x %s", program);
	return NULL;
}

void unrunnable(const char *program, int why, struct err *err)
{
	auto_free char *more = advice(program, why);

	err_set(err, 0, "cannot run %s: %s%s%s", program, strerror(why),
		more ? "; " : "", more ? more : "");
	err->num = why;
}
