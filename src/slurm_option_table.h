/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_option_table.h - the names of sbatch's options and variables */
#ifndef SLURM_OPTION_TABLE_H
#define SLURM_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum option_arg {
	ARG_NO,
	ARG_MAYBE, /* only as --name=value or -lvalue */
	ARG_YES,
};

/* An option that at least one release of 22.05 to 26.05 has. */
struct slurm_known_option {
	const char *name;
	char letter;       /* 0: none */
	unsigned char arg; /* an enum option_arg */
	bool recent;       /* not in 22.05: gives way in abbreviations */
	const char *same;  /* the name of the option that this is another for */
	const char *undoes; /* they set one thing: the later of the two holds */
};

/* Sorted by name. */
extern const struct slurm_known_option slurm_known_options[];
extern const size_t slurm_n_known_options;

/* In the order in which sbatch reads them. */
struct slurm_known_variable {
	const char *name;
	const char *option;
};
extern const struct slurm_known_variable slurm_known_variables[];
extern const size_t slurm_n_known_variables;

#endif
