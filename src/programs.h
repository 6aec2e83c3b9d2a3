/* SPDX-License-Identifier: GPL-2.0-or-later */
/* programs.h - what is known of certain programs */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stdbool.h>

/*
 * Does this command, or the script that it is or runs, name a program that
 * opens an io_uring and does as well without?
 */
bool programs_uring(char *const argv[]);

#endif
