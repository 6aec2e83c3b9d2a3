/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unrunnable.h - why a program cannot be run, and what to do about it */
#ifndef UNRUNNABLE_H
#define UNRUNNABLE_H

#include "err.h"

/* execvp(2) of this program has failed so. err->num stays that number. */
void unrunnable(const char *program, int why, struct err *err);

#endif
