/* SPDX-License-Identifier: GPL-2.0-or-later */
/* appear.h - a directory that another node has, made to be there */
#ifndef APPEAR_H
#define APPEAR_H

#include "err.h"

/*
 * If the directory is not there it is made; where it may not be, it is made to
 * appear in the mount namespace of the caller: its nearest ancestor becomes a
 * small file system that shows all that was there, and this. Nothing else can
 * be made in that ancestor then. -1 with *err, also if that would be the root.
 */
int appear_make(const char *path, struct err *err);

#endif
