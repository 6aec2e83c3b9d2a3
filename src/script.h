/* SPDX-License-Identifier: GPL-2.0-or-later */
/* script.h - the batch script that a shell is running */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdbool.h>
#include <sys/types.h>

#include "chain.h"
#include "err.h"

/*
 * The command that runs again what the process is running: its program, the
 * options before the script, the script's absolute path, the arguments behind
 * it; NULL-terminated, release with proc_arguments_free(). dir is where it was
 * started. With copy, the script is copied to the chain's directory (once: what
 * is there stays) and the path is that of the copy. NULL with *err if the
 * process runs no script in a file.
 */
char **script_command(pid_t shell, const char *dir, const struct chain *chain,
	bool copy, struct err *err);

#endif
