/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_command.h - `check -- COMMAND': could this command be dumped? */
#ifndef CHECK_COMMAND_H
#define CHECK_COMMAND_H

#include <signal.h>

#include "config.h"
#include "findings.h"

struct command_check {
	const struct config *cfg;
	char *const *argv;
	double seconds; /* before it is looked at */
	bool prove;     /* dump and restore it */
	bool silent;    /* its output is not shown */
	sigset_t mask;  /* its signal mask */
};

/* -1: a signal came meanwhile, and the command has been ended. */
int check_command(struct findings *f, const struct command_check *c);

/*
 * A tiny process dumped and restored, for findings_from(); arg is the struct
 * check of check_here.h.
 */
void check_proof(struct findings *f, void *arg);

#endif
