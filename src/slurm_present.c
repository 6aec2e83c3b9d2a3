/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_present.h"

#include <signal.h>
#include <slurm/slurmdb.h>
#include <string.h>
#include <sys/resource.h>

#include "log.h"
#include "proc.h"
#include "slurm_env.h"
#include "slurm_options.h"
#include "util.h"

static pid_t batch_shell(void)
{
	const char *pid = getenv("SLURM_TASK_PID");

	return pid ? (pid_t)strtol(pid, NULL, 10) : getpid();
}

static int read_script(struct present *p, struct err *err)
{
	size_t len = 0;
	FILE *f = open_memstream(&p->script, &len);
	int ret;

	if (!f)
		return err_set(err, errno, "open_memstream");
	ret = slurm_job_batch_script(f, job_name(p->info->job_id));
	if (fclose(f) || ret || !len) {
		err_set(err, 0, "get the batch script from slurmctld: %s",
			slurm_strerror(errno));
		if (err)
			err->num = errno;
		return -1;
	}
	return 0;
}

#if SLURM_SINCE(25, 11)
static char *read_submit_line(const slurm_job_info_t *info)
{
	return info->submit_line ? xstrdup(info->submit_line) : NULL;
}
#else
/* Only where there is accounting, and perhaps not just now. */
static char *ask_accounting(void *db, const slurm_job_info_t *info)
{
	slurm_selected_step_t step = {
		.array_task_id = NO_VAL, .het_job_offset = NO_VAL};
	slurmdb_job_cond_t cond = {.flags = JOBCOND_FLAG_NO_TRUNC,
		.db_flags = SLURMDB_JOB_FLAG_NOTSET,
		.usage_start = info->submit_time};
	slurmdb_job_rec_t *job;
	char *line = NULL;
	void *found;

	step.step_id.job_id = info->job_id;
	step.step_id.step_id = NO_VAL;
	step.step_id.step_het_comp = NO_VAL;
	cond.step_list = slurm_list_create(NULL);
	slurm_list_append(cond.step_list, &step);
	found = slurmdb_jobs_get(db, &cond);
	while (found && (job = slurm_list_pop(found))) {
		if (job->submit_line && job->jobid == info->job_id) {
			free(line);
			line = xstrdup(job->submit_line);
		}
		slurmdb_destroy_job_rec(job);
	}
	if (found)
		slurm_list_destroy(found);
	slurm_list_destroy(cond.step_list);
	return line;
}

static char *read_submit_line(const slurm_job_info_t *info)
{
	void *db = slurmdb_connection_get(NULL);
	char *line = db ? ask_accounting(db, info) : NULL;

	if (db)
		slurmdb_connection_close(&db);
	if (!line)
		log_debug("the options of sbatch's command line cannot be had "
			  "from the accounting");
	return line;
}
#endif

static void read_options(struct present *p)
{
	p->submit_line = read_submit_line(p->info);
	p->opt = slurm_options_new();
	slurm_options_add_script(p->opt, p->script);
	slurm_options_add_env(p->opt, p->env);
	if (p->submit_line)
		slurm_options_add_line(p->opt, p->submit_line);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* Behind the script's name in the shell's command line, until its exec. */
static char *const *shell_arguments(char *const *cmdline)
{
	for (size_t i = 0; cmdline && cmdline[i]; i++)
		if (ends_with(cmdline[i], "/slurm_script"))
			return cmdline + i + 1;
	return NULL;
}

static void read_arguments(struct present *p)
{
	char **cmdline = proc_arguments(p->shell, NULL);
	char *const *args = shell_arguments(cmdline);
	size_t n = 0;

	if (!args)
		args = slurm_options_script_args(p->opt);
	while (args && args[n])
		n++;
	p->argv = xcalloc(n + 2, sizeof(*p->argv));
	/* In some releases the command has the arguments, too. */
	p->argv[0] = xstrdup(p->info->command ? p->info->command : "");
	if (n)
		p->argv[0][strcspn(p->argv[0], " ")] = '\0';
	for (size_t i = 0; i < n; i++)
		p->argv[i + 1] = xstrdup(args[i]);
	proc_arguments_free(cmdline);
}

const char *present_option(const struct present *p, const char *name)
{
	return slurm_option(p->opt, name);
}

static void make_environment(struct present *p)
{
	struct rlimit limits[RLIM_NLIMITS];
	struct slurm_env_facts facts = {.limits = limits,
		.propagate = present_option(p, "propagate"),
		.umask = proc_umask(p->shell)};

	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (prlimit(p->shell, (__rlimit_resource_t)i, NULL, &limits[i]))
			limits[i].rlim_cur = limits[i].rlim_max = RLIM_INFINITY;
	facts.priority = getpriority(PRIO_PROCESS, (id_t)p->shell);
	p->new_env = slurm_env_next(p->env, &facts);
	slurm_env_set(&p->new_env, SUCCESSOR_OF, p->next->chain);
	p->spank = slurm_env_spank(p->env);
}

int present_read(struct present *p, struct err *err)
{
	p->shell = batch_shell();
	p->env = slurm_env_read(p->shell, err);
	if (!p->env)
		return -1;
	if (read_script(p, err))
		return -1;
	read_options(p);
	read_arguments(p);
	make_environment(p);
	return 0;
}

void present_forget(struct present *p)
{
	slurm_env_free(p->env);
	slurm_env_free(p->new_env);
	slurm_env_free(p->spank);
	slurm_env_free(p->argv);
	slurm_options_free(p->opt);
	free(p->script);
	free(p->submit_line);
	free(p->out);
	free(p->err);
	free(p->in);
	free(p->array);
	free(p->comment);
	free(p->depend);
	free(p->exclude);
}
