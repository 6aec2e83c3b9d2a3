/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_ini.h - a file through inih, with the exact line of every mistake */
#ifndef CONFIG_INI_H
#define CONFIG_INI_H

#include <stdbool.h>

/*
 * What a file holds, in its order. where is "PATH:LINE", or "PATH" if it is
 * about the whole file; it is only lent, as all texts are.
 */
struct ini_reader {
	/* A section begins. If this returns false, its keys are left out. */
	bool (*section)(void *arg, const char *where, const char *section);
	void (*pair)(void *arg, const char *where, const char *section,
		const char *name, const char *value);
	/* A line, or the file, cannot be understood. */
	void (*wrong)(void *arg, const char *where, const char *what);
	void *arg;
};

/*
 * Read the file; one that does not exist is an empty one. One that counts for
 * all users must belong to root or the caller, and nobody else may write it.
 */
void config_ini_read(
	const char *path, bool for_all, const struct ini_reader *to);

#endif
