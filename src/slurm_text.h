/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_text.h - texts that Slurm shows and takes; pure, without its types */
#ifndef SLURM_TEXT_H
#define SLURM_TEXT_H

#include <stdint.h>

/*
 * A job's comment shows the state of its chain behind the user's own text, in
 * brackets: "my comment [checkpointer CHAIN leg 3 running]". All results are
 * owned by the caller; a comment may be NULL.
 */

/* "[checkpointer CHAIN leg N STATE]". */
char *slurm_tag(const char *chain, unsigned leg, const char *state);

/* The tag in a comment, or NULL. */
char *slurm_tag_in(const char *comment);

/* The chain that a comment's tag names, or NULL; its leg goes to *leg. */
char *slurm_chain_in(const char *comment, unsigned *leg);

/* The comment with this tag instead of one that is there. */
char *slurm_comment_with(const char *comment, const char *tag);

/*
 * A dependency as slurmctld shows it ("afterok:12(unfulfilled),singleton"), as
 * it is to be given to slurmctld, with job `to' in place of `from' (each "12"
 * or "12_3"). NULL if it does not mention that one.
 */
char *slurm_dependency_moved(
	const char *dependency, const char *from, const char *to);

/*
 * The option --signal, "[{R|B|RB}:]SIGNAL[@SECONDS]", see sbatch(1). -1 if it
 * cannot be understood.
 */
struct slurm_signal {
	int number;
	unsigned seconds; /* before the end; 60 if it is not said */
	int to_batch, in_reservation;
};

int slurm_signal_option(const char *text, struct slurm_signal *s);

/* The number behind "NAME=" in a list such as "cpu=4,mem=8G,node=1"; 0: none.
 */
uint32_t slurm_count_in(const char *list, const char *name);

/*
 * The option --nodes, "MIN[-MAX]" with K and M: 0, or -1 if it cannot be
 * understood. *max is *min if there is only one.
 */
int slurm_nodes_option(const char *text, uint32_t *min, uint32_t *max);

#endif
