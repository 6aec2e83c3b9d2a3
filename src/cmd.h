/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd.h - the commands of the command line, one file each */
#ifndef CMD_H
#define CMD_H

#include <signal.h>
#include <stdbool.h>

#include "config.h"

/* What main() has understood of the command line. */
struct invocation {
	struct config cfg;
	const char *chain; /* --chain, or NULL */
	/* Of some commands only; NULL where it is not given. */
	const char *step, *older_than, *state;
	const char *watch_for;
	const char *html; /* a file, or "-" */
	bool dry_run, json, prove, timeline;
	bool watch, leave, no_wait;
	char *const *sets; /* settings of the command line, key=value */
	size_t n_sets;
	char *const *self_argv; /* the whole command line */
	char *const *args;      /* what follows the options; NULL-terminated */
	sigset_t mask;          /* signal mask at the start of the program */
};

/* Each returns the exit status of the program. */
int cmd_run(struct invocation *in);     /* -- COMMAND [ARG...] */
int cmd_script(struct invocation *in);  /* nothing: the rest of the script */
int cmd_restore(struct invocation *in); /* restore CHAIN */
int cmd_batch(struct invocation *in);   /* batch SCRIPT [ARG...] */
int cmd_status(struct invocation *in);  /* status [CHAIN|JOB] */
int cmd_dump(struct invocation *in);    /* dump CHAIN|JOB */
int cmd_submit(struct invocation *in);  /* submit [SBATCH-OPTION...] SCRIPT */
int cmd_report(struct invocation *in);  /* report CHAIN */
int cmd_list(struct invocation *in);    /* list [CHAIN] */
int cmd_verify(struct invocation *in);  /* verify CHAIN [GENERATION] */
int cmd_export(struct invocation *in);  /* export CHAIN GENERATION DIR */
int cmd_purge(struct invocation *in);   /* purge [CHAIN...] */
int cmd_config(struct invocation *in);  /* config */
/* check [-- COMMAND [ARG...]]; loads the configuration itself */
int cmd_check(struct invocation *in);

/*
 * What `COMMAND --help' prints: usage, what it does, its options, one example.
 * `--help' alone has a line for each, in `commands' of main.c.
 */
extern const char cmd_restore_help[], cmd_batch_help[], cmd_submit_help[],
	cmd_status_help[], cmd_dump_help[], cmd_report_help[], cmd_list_help[],
	cmd_verify_help[], cmd_export_help[], cmd_purge_help[],
	cmd_check_help[], cmd_config_help[];

#endif
