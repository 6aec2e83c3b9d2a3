/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_options.h - the options of sbatch that a job was submitted with */
#ifndef SLURM_OPTIONS_H
#define SLURM_OPTIONS_H

/*
 * Much of what a job asked for cannot be read back from Slurm. What can be had
 * is read here as sbatch(1) of 22.05 to 26.05 reads it: the #SBATCH lines of
 * the script, the SBATCH_* variables, the command line.
 *
 * Nothing here fails. Options that are not sbatch's (those of SPANK plugins)
 * are kept if they are of the form --name=value and passed over if not; an
 * option that lacks its argument is dropped.
 */
struct slurm_options;

/* Never NULL. slurm_options_free() takes NULL, too. */
struct slurm_options *slurm_options_new(void);
void slurm_options_free(struct slurm_options *o);

/*
 * A later source wins over the earlier ones: call them in this order, which is
 * the precedence of sbatch. All text is copied.
 *
 * The script: only the first component of a heterogeneous job is read, and no
 * #PBS or #BSUB lines.
 */
void slurm_options_add_script(struct slurm_options *o, const char *text);

/* env ends with NULL. Only the variables that sbatch reads as options. */
void slurm_options_add_env(struct slurm_options *o, char *const *env);

/*
 * "sbatch -p main job.sh 1 2": words with blanks between them. Slurm joins the
 * arguments so, without quotes; a value with blanks is cut at the first one,
 * and what follows it is taken for the script and its arguments: compare with
 * the script's name where it matters. The exception is --wrap: if the script
 * was added before and is what sbatch makes of the command, that is found in
 * the line; if not, what follows --wrap is not read.
 */
void slurm_options_add_line(struct slurm_options *o, const char *submit_line);

/*
 * The same before it is joined: the words behind "sbatch", ended by NULL.
 * Returns the place of the script's name among them, which holds NULL if they
 * name none.
 */
char *const *slurm_options_add_words(
	struct slurm_options *o, char *const *words);

/*
 * The value of the option with this long name; "" if it was given without one;
 * NULL if it was not given. Synonyms are one option: cluster is clusters,
 * tasks-per-node is ntasks-per-node. Only the later one of two that set the
 * same thing is given: requeue and no-requeue, nodelist and nodefile, exclusive
 * and oversubscribe, core-spec and thread-spec. Of mem, mem-per-cpu and
 * mem-per-gpu, those of the environment are not given if the script or the
 * command line has another one. Valid until the next call that adds.
 */
const char *slurm_option(const struct slurm_options *o, const char *long_name);

/*
 * The words of the submit line behind the script's name, ended by NULL, owned
 * by o. NULL if there is no submit line, if it names no script or if it has
 * --wrap.
 */
char *const *slurm_options_script_args(const struct slurm_options *o);

#endif
