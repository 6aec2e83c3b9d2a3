/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tree.h - remove the directory of a test, with all that is in it */
#ifndef TREE_H
#define TREE_H

#include <ftw.h>
#include <stdio.h>

static inline int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static inline int remove_tree(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
