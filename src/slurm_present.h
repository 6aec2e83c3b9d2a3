/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_present.h - what is known of the job that is to get a successor */
#ifndef SLURM_PRESENT_H
#define SLURM_PRESENT_H

#include "err.h"
#include "slurm_job.h"

/* What is known of the present job, and texts that the request refers to. */
struct present {
	const slurm_job_info_t *info;
	const struct successor *next;
	pid_t shell;
	char **env; /* of the batch shell, when it began */
	char *script;
	char *submit_line; /* or NULL */
	struct slurm_options *opt;
	char **argv; /* script and arguments */
	/* What is made for the request. */
	char **new_env, **spank;
	char *out, *err, *in, *array, *comment, *depend, *exclude;
	char host[256];
};

/*
 * Read what slurmctld does not tell in info: from the batch shell, the script,
 * the accounting. info and next are to be set; all else is released with
 * present_forget(), after a failure too.
 */
int present_read(struct present *p, struct err *err);
void present_forget(struct present *p);

/* The option with which the job was submitted, as slurm_option(). */
const char *present_option(const struct present *p, const char *name);

/* Turn it into a request, whose texts are lent by p. */
void present_describe(job_desc_msg_t *d, struct present *p);

#endif
