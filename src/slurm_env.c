/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_env.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "util.h"

/* Of the SPANK job environment in the environment of the job. */
#define SPANK_PREFIX "SLURM_SPANK_"

/* Of an option of a SPANK plugin (SPANK_OPTION_ENV_PREFIX in common/spank.h).
 */
#define OPTION_PREFIX "_SLURM_SPANK_OPTION_"

/* Far more than exec(2) takes. */
#define MAX_ENVIRON ((size_t)64 << 20)

/* --- lists --- */

static size_t count(char *const *env)
{
	size_t n = 0;

	while (env[n])
		n++;
	return n;
}

/* Takes over the entry. */
static void add(char ***env, char *entry)
{
	size_t n = count(*env);
	char **longer = xcalloc(n + 2, sizeof(*longer));

	memcpy(longer, *env, n * sizeof(*longer));
	longer[n] = entry;
	free(*env);
	*env = longer;
}

static bool is_named(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(entry, name, n) && entry[n] == '=';
}

static bool begins(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

void slurm_env_set(char ***env, const char *name, const char *value)
{
	char *entry = xasprintf("%s=%s", name, value);

	for (char **e = *env; *e; e++)
		if (is_named(*e, name)) {
			free(*e);
			*e = entry;
			return;
		}
	add(env, entry);
}

const char *slurm_env_get(char *const *env, const char *name)
{
	for (; *env; env++)
		if (is_named(*env, name))
			return *env + strlen(name) + 1;
	return NULL;
}

void slurm_env_free(char **env)
{
	for (char **e = env; e && *e; e++)
		free(*e);
	free(env);
}

/* --- what belongs to one job --- */

/*
 * What slurmctld, slurmd and slurmstepd set for a batch step, of 22.05 to
 * 26.05: env_array_for_batch_job() and setup_env() of common/env.c,
 * slurmstepd's task.c and slurmstepd.c, slurmctld's job_mgr.c (arrays) and
 * the gres plugins. A "*" at the end stands for the rest of the name.
 *
 * Not here, because sbatch sets them (set_envs() of sbatch/opt.c,
 * set_env_from_opts() of common/env.c), and slurmd only some of them again,
 * some only if they are there: SLURM_NTASKS, SLURM_NPROCS, SLURM_NTASKS_PER_*,
 * SLURM_CPUS_PER_TASK, SLURM_TRES_PER_TASK, SLURM_MEM_PER_GPU, SLURM_MEM_BIND*,
 * SLURM_GPUS, SLURM_GPUS_PER_*, SLURM_DISTRIBUTION. Nor is SLURM_CPU_BIND*,
 * which slurmstepd sets in other steps only: it is the user's, for srun, as are
 * more names of the same beginnings (SLURM_STEP_KILLED_MSG_NODE_ID).
 */
static const char *const of_one_job[] = {
	"SLURMD_NODENAME",
	"SLURMD_TRES_*",
	"SLURM_ARRAY_*",
	"SLURM_CLUSTER_NAME",
	"SLURM_CPUS_ON_NODE",
	"SLURM_GPUS_ON_NODE",
	"SLURM_GTIDS",
	"SLURM_HET_*",
	"SLURM_JOBID",
	"SLURM_JOB_*",
	"SLURM_LAUNCH_NODE_IPADDR",
	"SLURM_LOCALID",
	"SLURM_MEM_PER_CPU",
	"SLURM_MEM_PER_NODE",
	"SLURM_NNODES",
	"SLURM_NODEID",
	"SLURM_NODELIST",
	"SLURM_NODE_ALIASES",
	"SLURM_PACK_*",
	"SLURM_PRIO_PROCESS",
	"SLURM_PROCID",
	"SLURM_PTY_*",
	"SLURM_RESTART_COUNT",
	"SLURM_RLIMIT_*",
	"SLURM_SCRIPT_CONTEXT",
	"SLURM_SHARDS_ON_NODE",
	"SLURM_SRUN_COMM_*",
	"SLURM_STEPID",
	"SLURM_STEPMGR",
	"SLURM_STEP_GPUS",
	"SLURM_STEP_ID",
	"SLURM_STEP_LAUNCHER_PORT",
	"SLURM_STEP_NICS",
	"SLURM_STEP_NODELIST",
	"SLURM_STEP_NUM_*",
	"SLURM_STEP_RESV_PORTS",
	"SLURM_STEP_TASKS_PER_NODE",
	"SLURM_TASKS_PER_NODE",
	"SLURM_TASK_PID",
	"SLURM_TOPOLOGY_ADDR*",
	"SLURM_UMASK",
	/* Of a step from which sbatch was called: see the mpi plugins. */
	"PMIX_NAMESPACE",
	"PMIX_RANK",
	"PMIX_SERVER_*",
	"PMI_FD",
	"PMI_JOBID",
	"PMI_RANK",
	"PMI_SIZE",
	"PMI_SPAWNED",
};

/* Exceptions: sbatch sets these, too. */
static const char *const of_every_job[] = {
	"SLURM_JOB_DEPENDENCY",
	"SLURM_JOB_NAME",
};

/*
 * The gres plugin for GPUs and its relatives set these, if the job has any,
 * which they tell in SLURM_JOB_GPUS and its like. Otherwise they are the
 * user's.
 */
static const char *const of_gpus[] = {
	"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
	"CUDA_VISIBLE_DEVICES",
	"GPU_DEVICE_ORDINAL",
	"ROCR_VISIBLE_DEVICES",
	"ZE_AFFINITY_MASK",
};

static bool matches(const char *entry, const char *pattern)
{
	size_t n = strlen(pattern);

	if (pattern[n - 1] == '*')
		return !strncmp(entry, pattern, n - 1);
	return is_named(entry, pattern);
}

static bool any_matches(
	const char *entry, const char *const *patterns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (matches(entry, patterns[i]))
			return true;
	return false;
}

static bool has_gpus(char *const *env)
{
	return slurm_env_get(env, "SLURM_JOB_GPUS") ||
	       slurm_env_get(env, "SLURM_GPUS_ON_NODE") ||
	       slurm_env_get(env, "SLURM_SHARDS_ON_NODE");
}

/* The number as such in the text, not as a part of a longer one. */
static bool has_number(const char *text, const char *number)
{
	size_t n = strlen(number);

	for (const char *at = text; n && (at = strstr(at, number)); at++)
		if ((at == text || !isdigit((unsigned char)at[-1])) &&
			!isdigit((unsigned char)at[n]))
			return true;
	return false;
}

/*
 * A directory that a prolog made for the job. slurmstepd would try to make it
 * again, before the next prolog has its say.
 */
static bool is_tmpdir_of(const char *entry, const char *job_id)
{
	return job_id && is_named(entry, "TMPDIR") && has_number(entry, job_id);
}

static bool is_of_one_job(const char *entry, bool gpus, const char *job_id)
{
	if (any_matches(entry, of_every_job, LEN(of_every_job)))
		return false;
	return any_matches(entry, of_one_job, LEN(of_one_job)) ||
	       (gpus && any_matches(entry, of_gpus, LEN(of_gpus))) ||
	       is_tmpdir_of(entry, job_id);
}

/* --- what slurmstepd took out --- */

/* The limits that Slurm knows (common/slurm_rlimits_info.c). */
static const struct {
	int number;
	const char *name;
} limits[] = {
	{RLIMIT_CPU, "CPU"},
	{RLIMIT_FSIZE, "FSIZE"},
	{RLIMIT_DATA, "DATA"},
	{RLIMIT_STACK, "STACK"},
	{RLIMIT_CORE, "CORE"},
	{RLIMIT_RSS, "RSS"},
	{RLIMIT_NPROC, "NPROC"},
	{RLIMIT_NOFILE, "NOFILE"},
	{RLIMIT_MEMLOCK, "MEMLOCK"},
	{RLIMIT_AS, "AS"},
};

/* "ALL", or a list of "CORE" or "RLIMIT_CORE": parse_rlimits(), as above. */
static bool is_propagated(const char *list, const char *name)
{
	static const char between[] = ", \t\n";
	const char *at = list;
	size_t n;

	if (!*list || !strcmp(list, "ALL"))
		return true;
	for (; *(at += strspn(at, between)); at += n) {
		n = strcspn(at, between);
		if (begins(at, "RLIMIT_")) {
			at += strlen("RLIMIT_");
			n -= strlen("RLIMIT_");
		}
		if (n == strlen(name) && !strncmp(at, name, n))
			return true;
	}
	return false;
}

/*
 * Without --propagate all are passed: slurmstepd applies those that slurm.conf
 * allows. Those that the user asked for, marked with "U", it always applies.
 */
static void set_limits(char ***env, const struct slurm_env_facts *facts)
{
	for (size_t i = 0; facts->limits && i < LEN(limits); i++) {
		rlim_t soft = facts->limits[limits[i].number].rlim_cur;
		auto_free char *name =
			xasprintf("SLURM_RLIMIT_%s", limits[i].name);
		auto_free char *value = xasprintf("%s%lu",
			facts->propagate ? "U" : "", (unsigned long)soft);

		if (!facts->propagate ||
			is_propagated(facts->propagate, limits[i].name))
			slurm_env_set(env, name, value);
	}
}

static void set_facts(char ***env, const struct slurm_env_facts *facts)
{
	auto_free char *priority = xasprintf("%d", facts->priority);
	auto_free char *mask = xasprintf("0%03o", facts->umask & 0777);

	set_limits(env, facts);
	slurm_env_set(env, "SLURM_PRIO_PROCESS", priority);
	slurm_env_set(env, "SLURM_UMASK", mask);
}

/*
 * slurmstepd reads the options of SPANK plugins from the environment of a
 * batch step and clears them; the copies for prolog and epilog stay.
 */
static void show_spank_options(char ***next, char *const *env)
{
	for (; *env; env++) {
		const char *option = *env + strlen(SPANK_PREFIX);
		auto_free char *name = NULL;

		if (!begins(*env, SPANK_PREFIX OPTION_PREFIX) ||
			!strchr(option, '='))
			continue;
		name = xasprintf("%.*s", (int)strcspn(option, "="), option);
		slurm_env_set(next, name, strchr(option, '=') + 1);
	}
}

char **slurm_env_next(char *const *env, const struct slurm_env_facts *facts)
{
	const char *job_id = slurm_env_get(env, "SLURM_JOB_ID");
	char **next = xcalloc(count(env) + 1, sizeof(*next));
	bool gpus = has_gpus(env);
	size_t n = 0;

	for (size_t i = 0; env[i]; i++)
		if (strchr(env[i], '=') && !is_of_one_job(env[i], gpus, job_id))
			next[n++] = xstrdup(env[i]);
	set_facts(&next, facts);
	show_spank_options(&next, env);
	return next;
}

char **slurm_env_spank(char *const *env)
{
	char **spank = xcalloc(count(env) + 1, sizeof(*spank));
	size_t n = 0;

	for (size_t i = 0; env[i]; i++) {
		const char *entry = env[i] + strlen(SPANK_PREFIX);

		if (begins(env[i], SPANK_PREFIX) && *entry != '=' &&
			strchr(entry, '='))
			spank[n++] = xstrdup(entry);
	}
	return spank;
}

/* --- of a process --- */

/* A whole file of /proc, whose size is not known before. */
static char *read_all(int fd, size_t *len, struct err *err)
{
	size_t room = 1 << 16, n = 0;
	auto_free char *text = xcalloc(room + 1, 1);
	char *result;
	ssize_t got;

	while ((got = read(fd, text + n, room - n)) != 0) {
		char *more;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			err_set(err, errno, "cannot read the environment");
			return NULL;
		}
		n += (size_t)got;
		if (n < room)
			continue;
		if (room >= MAX_ENVIRON) {
			err_set(err, 0, "the environment is too large");
			return NULL;
		}
		more = xcalloc(2 * room + 1, 1);
		memcpy(more, text, n);
		free(text);
		text = more;
		room *= 2;
	}
	*len = n;
	result = text;
	text = NULL;
	return result;
}

static bool is_entry(const char *s)
{
	return *s != '=' && strchr(s, '=');
}

char **slurm_env_read(pid_t pid, struct err *err)
{
	auto_free char *path = xasprintf("/proc/%d/environ", (int)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;
	size_t len = 0, n = 0;
	char **env;

	if (fd < 0) {
		err_set(err, errno, "cannot open %s", path);
		return NULL;
	}
	text = read_all(fd, &len, err);
	if (!text) {
		err_wrap(err, "%s", path);
		return NULL;
	}
	for (const char *at = text; at < text + len; at += strlen(at) + 1)
		n++;
	env = xcalloc(n + 1, sizeof(*env));
	n = 0;
	for (const char *at = text; at < text + len; at += strlen(at) + 1)
		if (is_entry(at))
			env[n++] = xstrdup(at);
	return env;
}
