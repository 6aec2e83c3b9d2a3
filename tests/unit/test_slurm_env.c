/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "slurm_env.h"
#include "util.h"

static struct rlimit limits[RLIM_NLIMITS];
static const struct slurm_env_facts facts = {
	.limits = limits, .priority = 5, .umask = 027};

static size_t length(char *const *env)
{
	size_t n = 0;

	while (env[n])
		n++;
	return n;
}

static char **next_of(const char *const *env)
{
	return slurm_env_next((char *const *)env, &facts);
}

static void assert_value(char *const *env, const char *name, const char *value)
{
	const char *is = slurm_env_get(env, name);

	print_message("%s\n", name);
	if (value) {
		assert_non_null(is);
		assert_string_equal(is, value);
	} else {
		assert_null(is);
	}
}

static void test_stripped(void **state)
{
	static const char *const env[] = {"SLURM_JOB_ID=7", "SLURM_JOBID=7",
		"SLURM_JOB_NODELIST=n1", "SLURM_JOB_CPUS_PER_NODE=4",
		"SLURM_JOB_SLUID=sAAAA", "SLURM_JOB_END_TIME=1",
		"SLURM_NODELIST=n1", "SLURM_NNODES=1", "SLURM_NODEID=0",
		"SLURM_NODE_ALIASES=(null)", "SLURM_PROCID=0",
		"SLURM_LOCALID=0", "SLURM_GTIDS=0", "SLURM_TASK_PID=99",
		"SLURM_TASKS_PER_NODE=1", "SLURM_CPUS_ON_NODE=4",
		"SLURM_MEM_PER_NODE=100", "SLURM_MEM_PER_CPU=100",
		"SLURM_ARRAY_JOB_ID=6", "SLURM_ARRAY_TASK_ID=1",
		"SLURM_ARRAY_TASK_COUNT=2", "SLURM_RESTART_COUNT=1",
		"SLURMD_NODENAME=n1", "SLURM_TOPOLOGY_ADDR=n1",
		"SLURM_TOPOLOGY_ADDR_PATTERN=node", "SLURM_GPUS_ON_NODE=1",
		"SLURM_STEP_ID=1", "SLURM_STEPID=1", "SLURM_STEP_NUM_TASKS=1",
		"SLURM_STEPMGR=n1", "SLURM_HET_SIZE=2", "SLURM_PACK_SIZE=2",
		"SLURM_RLIMIT_SIGPENDING=1", "SLURM_SCRIPT_CONTEXT=x",
		"SLURM_SRUN_COMM_PORT=1", "PMI_RANK=0", "PMIX_SERVER_URI2=x",
		"PMI_FD=9", "SLURM_CLUSTER_NAME=c", NULL};
	char **next = next_of(env);

	(void)state;
	for (size_t i = 0; env[i]; i++) {
		auto_free char *name = xstrdup(env[i]);

		*strchr(name, '=') = '\0';
		assert_value(next, name, NULL);
	}
	assert_int_equal(length(next), 12); /* the facts */
	slurm_env_free(next);
}

static void test_kept(void **state)
{
	static const char *const env[] = {"PATH=/bin", "HOME=/home/a",
		"SLURM_SUBMIT_DIR=/x", "SLURM_SUBMIT_HOST=login",
		"SLURM_CONF=/etc/slurm/slurm.conf", "SLURM_GET_USER_ENV=1",
		"SLURM_EXPORT_ENV=NONE", "SLURM_JOB_NAME=j",
		"SLURM_JOB_DEPENDENCY=singleton", "SLURM_NTASKS=4",
		"SLURM_NPROCS=4", "SLURM_NTASKS_PER_NODE=2",
		"SLURM_CPUS_PER_TASK=2", "SLURM_TRES_PER_TASK=cpu=2",
		"SLURM_MEM_PER_GPU=1", "SLURM_GPUS=1", "SLURM_GPUS_PER_NODE=1",
		"SLURM_MEM_BIND=local", "SLURM_MEM_BIND_VERBOSE=quiet",
		"SLURM_CPU_BIND=none", "SLURM_DISTRIBUTION=block",
		"SLURM_SRUN_REDUCE_TASK_EXIT_MSG=1",
		"SLURM_STEP_KILLED_MSG_NODE_ID=1",
		"SLURM_PMIX_DIRECT_CONN=true", "PMIX_MCA_gds=hash",
		"SBATCH_ACCOUNT=a", "SLURM_SPANK_X=1",
		"BASH_FUNC_f%%=() {  echo a\n}", "EMPTY=", "SLURMX=1",
		"CUDA_VISIBLE_DEVICES=0", "TMPDIR=/tmp", NULL};
	char **next = next_of(env);

	(void)state;
	for (size_t i = 0; env[i]; i++)
		assert_string_equal(next[i], env[i]);
	assert_int_equal(length(next), LEN(env) - 1 + 12);
	slurm_env_free(next);
}

static void test_gpus(void **state)
{
	static const char *const env[] = {"SLURM_JOB_GPUS=1",
		"CUDA_VISIBLE_DEVICES=0", "ROCR_VISIBLE_DEVICES=0",
		"GPU_DEVICE_ORDINAL=0", "ZE_AFFINITY_MASK=0", "X=1", NULL};
	char **next = next_of(env);

	(void)state;
	assert_string_equal(next[0], "X=1");
	assert_int_equal(length(next), 1 + 12);
	slurm_env_free(next);
}

static void test_tmpdir(void **state)
{
	static const struct {
		const char *tmpdir;
		bool kept;
	} t[] = {
		{"TMPDIR=/tmp", true},
		{"TMPDIR=", true},
		{"TMPDIR=/scratch/job.123", false},
		{"TMPDIR=/scratch/123", false},
		{"TMPDIR=/scratch/123/x", false},
		{"TMPDIR=/scratch/1234", true},
		{"TMPDIR=/scratch/0123", true},
		{"TMPDIR=/scratch/1123/a123", false},
		{"OTHER=/scratch/123", true},
	};

	(void)state;
	for (size_t i = 0; i < LEN(t); i++) {
		const char *env[] = {"SLURM_JOB_ID=123", t[i].tmpdir, NULL};
		char **next = next_of(env);

		print_message("%s\n", t[i].tmpdir);
		assert_int_equal(!strcmp(next[0], t[i].tmpdir), t[i].kept);
		slurm_env_free(next);
	}
}

static void test_facts(void **state)
{
	static const char *const env[] = {
		"SLURM_UMASK=0000", "SLURM_PRIO_PROCESS=0", NULL};
	char **next;

	(void)state;
	limits[RLIMIT_CORE] = (struct rlimit){0, RLIM_INFINITY};
	limits[RLIMIT_STACK] = (struct rlimit){8388608, RLIM_INFINITY};
	limits[RLIMIT_AS] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	next = next_of(env);
	assert_value(next, "SLURM_RLIMIT_CORE", "0");
	assert_value(next, "SLURM_RLIMIT_STACK", "8388608");
	assert_value(next, "SLURM_RLIMIT_AS", "18446744073709551615");
	assert_value(next, "SLURM_RLIMIT_SIGPENDING", NULL);
	assert_value(next, "SLURM_PRIO_PROCESS", "0");
	assert_value(next, "SLURM_UMASK", "0027");
	assert_int_equal(length(next), 12);
	slurm_env_free(next);
}

static void test_more_facts(void **state)
{
	static const char *const env[] = {NULL};
	const struct slurm_env_facts odd = {.priority = -20, .umask = 01777};
	char **next = slurm_env_next((char *const *)env, &odd);

	(void)state;
	assert_value(next, "SLURM_PRIO_PROCESS", "-20");
	assert_value(next, "SLURM_UMASK", "0777");
	assert_int_equal(length(next), 2);
	slurm_env_free(next);
}

static void test_propagate(void **state)
{
	static const struct {
		const char *list, *core, *stack;
	} t[] = {
		{"", "U0", "U1"},
		{"ALL", "U0", "U1"},
		{"NONE", NULL, NULL},
		{"CORE", "U0", NULL},
		{"RLIMIT_CORE", "U0", NULL},
		{"CPU,STACK", NULL, "U1"},
		{"RLIMIT_STACK, CORE", "U0", "U1"},
		{",,CORE,", "U0", NULL},
		{"core", NULL, NULL},
		{"COREX,STAC", NULL, NULL},
		{"RLIMIT_", NULL, NULL},
	};
	static const char *const env[] = {NULL};
	struct rlimit l[RLIM_NLIMITS] = {{0, 0}};

	(void)state;
	l[RLIMIT_STACK].rlim_cur = 1;
	for (size_t i = 0; i < LEN(t); i++) {
		struct slurm_env_facts f = {
			.limits = l, .propagate = t[i].list};
		char **next = slurm_env_next((char *const *)env, &f);

		print_message("--propagate=%s\n", t[i].list);
		assert_value(next, "SLURM_RLIMIT_CORE", t[i].core);
		assert_value(next, "SLURM_RLIMIT_STACK", t[i].stack);
		slurm_env_free(next);
	}
}

static void test_spank(void **state)
{
	static const char *const env[] = {
		"SLURM_SPANK__SLURM_SPANK_OPTION_plug_opt=a=b",
		"SLURM_SPANK__SLURM_SPANK_OPTION_plug_none=",
		"SLURM_SPANK__SLURM_SPANK_OPTION_broken", "SLURM_SPANK_VAR=v",
		"SLURM_SPANK_=odd", "SLURM_SPANK_BARE", "OTHER=1",
		"_SLURM_SPANK_OPTION_plug_none=old", NULL};
	char **next = next_of(env);
	char **spank = slurm_env_spank((char *const *)env);

	(void)state;
	assert_value(next, "_SLURM_SPANK_OPTION_plug_opt", "a=b");
	assert_value(next, "_SLURM_SPANK_OPTION_plug_none", "");
	assert_value(next, "_SLURM_SPANK_OPTION_broken", NULL);
	assert_value(next, "SLURM_SPANK__SLURM_SPANK_OPTION_plug_opt", "a=b");
	assert_value(next, "SLURM_SPANK_VAR", "v");
	assert_value(next, "VAR", NULL);
	assert_int_equal(length(spank), 3);
	assert_string_equal(spank[0], "_SLURM_SPANK_OPTION_plug_opt=a=b");
	assert_string_equal(spank[1], "_SLURM_SPANK_OPTION_plug_none=");
	assert_string_equal(spank[2], "VAR=v");
	slurm_env_free(next);
	slurm_env_free(spank);
}

static void test_set(void **state)
{
	char **env = xcalloc(1, sizeof(*env));

	(void)state;
	slurm_env_set(&env, "A", "1");
	slurm_env_set(&env, "AB", "2");
	slurm_env_set(&env, "A", "3=\xff\n");
	slurm_env_set(&env, "B", "");
	assert_int_equal(length(env), 3);
	assert_string_equal(env[0], "A=3=\xff\n");
	assert_string_equal(env[1], "AB=2");
	assert_string_equal(env[2], "B=");
	assert_null(slurm_env_get(env, "C"));
	assert_null(slurm_env_get(env, ""));
	slurm_env_free(env);
	slurm_env_free(NULL);
}

/* A shell that has stopped itself, its environment as given. */
static pid_t start(char *const *env)
{
	char *const argv[] = {(char *)"sh", (char *)"-c",
		(char *)"kill -STOP $$; exit", NULL};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		execve("/bin/sh", argv, env);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_read(void **state)
{
	auto_free char *large = xcalloc(100001, 1);
	char *env[] = {(char *)"A=1", (char *)"no name", (char *)"",
		(char *)"=x", (char *)"B=\xff\x01=\n", large,
		(char *)"C=", NULL};
	struct err err = {0};
	char **got;
	pid_t pid;

	(void)state;
	memset(large, 'x', 100000);
	large[5] = '=';
	pid = start(env);
	got = slurm_env_read(pid, &err);
	stop(pid);
	assert_non_null(got);
	assert_int_equal(length(got), 4);
	assert_string_equal(got[0], "A=1");
	assert_string_equal(got[1], "B=\xff\x01=\n");
	assert_string_equal(got[2], large);
	assert_string_equal(got[3], "C=");
	slurm_env_free(got);
}

static void test_read_nothing(void **state)
{
	char *env[] = {NULL};
	struct err err = {0};
	char **got;
	pid_t pid;

	(void)state;
	pid = start(env);
	got = slurm_env_read(pid, &err);
	stop(pid);
	assert_non_null(got);
	assert_int_equal(length(got), 0);
	slurm_env_free(got);

	assert_null(slurm_env_read(pid, &err));
	assert_non_null(strstr(err.text, "/environ"));
	assert_null(slurm_env_read(-1, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_gpus),
		cmocka_unit_test(test_tmpdir),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_more_facts),
		cmocka_unit_test(test_propagate),
		cmocka_unit_test(test_spank),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
