/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "slurm_option_table.h"
#include "slurm_options.h"
#include "util.h"

static void assert_option(
	const struct slurm_options *o, const char *name, const char *value)
{
	const char *is = slurm_option(o, name);

	print_message("  %s = %s\n", name, is ? is : "(not given)");
	if (value) {
		assert_non_null(is);
		assert_string_equal(is, value);
	} else {
		assert_null(is);
	}
}

/* The words of the arguments with '|' behind each; "-" for NULL. */
static void assert_args(const struct slurm_options *o, const char *expected)
{
	char *const *args = slurm_options_script_args(o);
	auto_free char *text = xstrdup("");

	for (; args && *args; args++) {
		auto_free char *before = text;

		text = xasprintf("%s%s|", before, *args);
	}
	assert_string_equal(
		slurm_options_script_args(o) ? text : "-", expected);
}

static void test_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < slurm_n_known_options; i++) {
		const struct slurm_known_option *k = &slurm_known_options[i];

		print_message("%s\n", k->name);
		if (i > 0)
			assert_true(strcmp(k[-1].name, k->name) < 0);
		for (size_t j = 0; k->letter && j < i; j++)
			assert_int_not_equal(
				slurm_known_options[j].letter, k->letter);
	}
	for (size_t i = 0; i < slurm_n_known_variables; i++) {
		struct slurm_options *o = slurm_options_new();
		auto_free char *entry =
			xasprintf("%s=1", slurm_known_variables[i].name);
		char *env[] = {entry, NULL};

		slurm_options_add_env(o, env);
		print_message("%s\n", entry);
		assert_non_null(
			slurm_option(o, slurm_known_variables[i].option));
		slurm_options_free(o);
	}
}

static void test_line(void **state)
{
	static const struct {
		const char *line, *name, *value, *args;
	} t[] = {
		{"sbatch job.sh", "partition", NULL, ""},
		{"sbatch -p main job.sh", "partition", "main", ""},
		{"sbatch -pmain job.sh a b", "partition", "main", "a|b|"},
		{"sbatch --partition main job.sh", "partition", "main", ""},
		{"sbatch --partition=main job.sh", "partition", "main", ""},
		{"sbatch --part=main job.sh", "partition", "main", ""},
		{"sbatch --partition= job.sh", "partition", "", ""},
		{"sbatch --partition  job.sh", "partition", "", ""},
		{"sbatch -p a -p b job.sh", "partition", "b", ""},
		{"/usr/bin/sbatch -p a job.sh", "partition", "a", ""},
		{"-p a -p b j", "partition", NULL, "-p|b|j|"},
		{"sbatch -Hp main job.sh", "partition", "main", ""},
		{"sbatch -Hp main job.sh", "hold", "", ""},
		{"sbatch -Hpmain job.sh", "partition", "main", ""},
		{"sbatch -HO job.sh x", "overcommit", "", "x|"},
		{"sbatch -k job.sh", "no-kill", "", ""},
		{"sbatch -koff job.sh", "no-kill", "off", ""},
		{"sbatch --no-kill=off job.sh", "no-kill", "off", ""},
		{"sbatch --exclusive job.sh", "exclusive", "", ""},
		{"sbatch --exclusive=user job.sh", "exclusive", "user", ""},
		{"sbatch --exclusive user job.sh", "exclusive", "", "job.sh|"},
		{"sbatch --propagate=CORE,CPU j", "propagate", "CORE,CPU", ""},
		{"sbatch --get-user-env j", "get-user-env", "", ""},
		{"sbatch --get-user-env=10L j", "get-user-env", "10L", ""},
		{"sbatch --nice job.sh", "nice", "", ""},
		{"sbatch --nice=-5 job.sh", "nice", "-5", ""},
		{"sbatch --requeue job.sh", "requeue", "", ""},
		{"sbatch --requeue=expedite job.sh", "requeue", "expedite", ""},
		{"sbatch --hold=now job.sh", "hold", "", ""},
		{"sbatch --signal=B:USR1@60 j", "signal", "B:USR1@60", ""},
		{"sbatch --signal B:USR1@60 j", "signal", "B:USR1@60", ""},
		{"sbatch --cluster=c j", "clusters", "c", ""},
		{"sbatch --clusters=c j", "cluster", "c", ""},
		{"sbatch -M c j", "clusters", "c", ""},
		{"sbatch --tasks-per-node=3 j", "ntasks-per-node", "3", ""},
		{"sbatch -- -p main", "partition", NULL, "main|"},
		{"sbatch -p a -- j -p b", "partition", "a", "-p|b|"},
		{"sbatch job.sh -p main", "partition", NULL, "-p|main|"},
		{"sbatch job.sh a  b ", "partition", NULL, "a||b||"},
		{"sbatch job.sh a\tb c\nd", "partition", NULL, "a\tb|c\nd|"},
		/* Values of options may look like options. */
		{"sbatch --comment -p main job.sh", "comment", "-p", "job.sh|"},
		/* Abbreviations. */
		{"sbatch --exclu=user j", "exclusive", NULL, ""},
		{"sbatch --exclus j", "exclusive", "", ""},
		{"sbatch --mem=1 j", "mem", "1", ""},
		{"sbatch --mem-b=local j", "mem-bind", "local", ""},
		{"sbatch --time=5 j", "time", "5", ""},
		{"sbatch --ti=5 j", "time", NULL, ""},
		{"sbatch --res=x j", "reservation", "x", ""},
		{"sbatch --seg=2 j", "segment", "2", ""},
		{"sbatch --=2 j", "", NULL, ""},
		{"sbatch --= j", "", NULL, ""},
		/* Of plugins. */
		{"sbatch --plug=a=b j x", "plug", "a=b", "x|"},
		{"sbatch --plug --hold j x", "hold", "", "x|"},
		{"sbatch --plug --hold j x", "plug", NULL, "x|"},
		{"sbatch -%p main j x", "partition", "main", "x|"},
		/* Nothing follows. */
		{"sbatch -p", "partition", NULL, "-"},
		{"sbatch -Hp", "hold", "", "-"},
		{"sbatch --partition", "partition", NULL, "-"},
		{"sbatch --partition=a", "partition", "a", "-"},
		{"sbatch -p a --time", "partition", "a", "-"},
		{"sbatch", "partition", NULL, "-"},
		{"", "partition", NULL, "-"},
		{"sbatch -", "partition", NULL, ""},
		{"sbatch - -p a", "partition", NULL, "-p|a|"},
		/* Heterogeneous: the first component's. */
		{"sbatch -p a : -p b : -t 5 j x", "partition", "a", "x|"},
		{"sbatch -p a : -p b : -t 5 j x", "time", NULL, "x|"},
		{"sbatch -p a :", "partition", "a", "-"},
		/* What is behind --wrap may be of the command. */
		{"sbatch -p a --wrap=srun -p b", "partition", "a", "-"},
		{"sbatch -p a --wrap srun -p b", "wrap", "srun", "-"},
		{"sbatch --wrap=srun -p b j", "partition", NULL, "-"},
		{"sbatch job.sh --wrap=x", "wrap", NULL, "--wrap=x|"},
		{"sbatch --comment=\xff\x01 j", "comment", "\xff\x01", ""},
	};

	(void)state;
	for (size_t i = 0; i < LEN(t); i++) {
		struct slurm_options *o = slurm_options_new();

		print_message("%s\n", t[i].line);
		slurm_options_add_line(o, t[i].line);
		assert_option(o, t[i].name, t[i].value);
		assert_args(o, t[i].args);
		slurm_options_free(o);
	}
}

/* Nothing is cut at a blank, and what --wrap has is known. */
static void test_words(void **state)
{
	static const char *const words[] = {
		"-J", "two words", "-p", "a", "my job.sh", "-p", "b", NULL};
	static const char *const wrap[] = {
		"--wrap", "srun -p b", "-t", "5", NULL};
	struct slurm_options *o = slurm_options_new();
	char *const *script = slurm_options_add_words(o, (char *const *)words);

	(void)state;
	assert_ptr_equal(script, words + 4);
	assert_option(o, "job-name", "two words");
	assert_option(o, "partition", "a");
	assert_args(o, "-p|b|");
	assert_null(*slurm_options_add_words(o, (char *const *)wrap));
	assert_option(o, "wrap", "srun -p b");
	assert_option(o, "partition", "a");
	assert_option(o, "time", "5");
	assert_args(o, "-");
	slurm_options_free(o);
}

static void test_script(void **state)
{
	static const struct {
		const char *text, *name, *value;
	} t[] = {
		{"", "time", NULL},
		{"#!/bin/sh\n#SBATCH -t 5\n", "time", "5"},
		{"#!/bin/sh\n#SBATCH -t 5", "time", "5"},
		{"#SBATCH --time=5 -p a\n", "partition", "a"},
		{"#SBATCH\t--time=5\r\n", "time", "5"},
		{"#SLURM --time=5\n", "time", "5"},
		{"#SBATCH--time=5\n", "time", "5"},
		{"\n \t\n  # x\n#SBATCH -t 5\n", "time", "5"},
		{"##SBATCH -t 5\n", "time", NULL},
		{" #SBATCH -t 5\n", "time", NULL},
		{"# SBATCH -t 5\n", "time", NULL},
		{"#sbatch -t 5\n", "time", NULL},
		{"echo\n#SBATCH -t 5\n", "time", NULL},
		{"#SBATCH -t 5\necho\n#SBATCH -t 6\n", "time", "5"},
		{"#SBATCH -t 5\n#SBATCH -t 6\n", "time", "6"},
		{"#SBATCH -t\n#SBATCH 5\n", "time", "5"},
		{"#SBATCH -t\n", "time", NULL},
		/* Comments. */
		{"#SBATCH -t 5 # -t 6\n", "time", "5"},
		{"#SBATCH -t 5#6\n#SBATCH -H\n", "time", "5"},
		{"#SBATCH --comment=a\\#b\n", "comment", "a#b"},
		{"#SBATCH --comment='a # b'\n", "comment", "a # b"},
		{"#SBATCH # -t 6\n", "time", NULL},
		/* Quotes. */
		{"#SBATCH --comment=\"a b\" -t 5\n", "comment", "a b"},
		{"#SBATCH --comment=\"a b\" -t 5\n", "time", "5"},
		{"#SBATCH --comment 'a \"b'\n", "comment", "a \"b"},
		{"#SBATCH '--comment=a b'\n", "comment", "a b"},
		{"#SBATCH --comment=a'b 'c\"d \"e\n", "comment", "ab cd e"},
		{"#SBATCH --comment=a\\ b\n", "comment", "a b"},
		{"#SBATCH --comment=\\\"a\\\"\n", "comment", "\"a\""},
		{"#SBATCH --comment=\"a\\\"b\"\n", "comment", "a\"b"},
		{"#SBATCH --comment=\"a\\\\b\"\n", "comment", "a\\b"},
		{"#SBATCH --comment=a\\nb\n", "comment", "anb"},
		{"#SBATCH --comment=a\\\n#SBATCH -t 5\n", "comment", "a"},
		{"#SBATCH --comment=a\\\n#SBATCH -t 5\n", "time", "5"},
		{"#SBATCH --comment=\"\" -t 5\n", "comment", ""},
		{"#SBATCH --comment=\"\" -t 5\n", "time", "5"},
		{"#SBATCH -H \"\" -t 5\n", "time", NULL},
		/* sbatch would refuse these: what is left is read. */
		{"#SBATCH --comment=\"a b\n#SBATCH -t 5\n", "comment", "a b"},
		{"#SBATCH --comment='a b\n#SBATCH -t 5\n", "time", "5"},
		{"#SBATCH junk -t 5\n", "time", "5"},
		{"#SBATCH -- -t 5\n", "time", NULL},
		{"#SBATCH -- x -t 5\n", "time", "5"},
		{"#SBATCH : -t 5\n", "time", "5"},
		{"#SBATCH --nonsense -t 5\n", "time", "5"},
		{"#SBATCH --plug='a b'\n", "plug", "a b"},
		/* Components. */
		{"#SBATCH -t 5\n#SBATCH hetjob\n#SBATCH -t 6\n", "time", "5"},
		{"#SBATCH -t 5\n#SBATCH PackJob -t 6\n", "time", "5"},
		{"#SBATCH -t 5\n#SBATCH hetjobs\n#SBATCH -t 6\n", "time", "6"},
		{"#SBATCH --comment=\xff\xfe\x01\n", "comment", "\xff\xfe\x01"},
		{"\xff\n#SBATCH -t 5\n", "time", NULL},
	};

	(void)state;
	for (size_t i = 0; i < LEN(t); i++) {
		struct slurm_options *o = slurm_options_new();

		print_message("%s\n", t[i].text);
		slurm_options_add_script(o, t[i].text);
		assert_option(o, t[i].name, t[i].value);
		assert_args(o, "-");
		slurm_options_free(o);
	}
}

static void test_env(void **state)
{
	static const struct {
		const char *variable, *name, *value;
	} t[] = {
		{"SBATCH_PARTITION=a", "partition", "a"},
		{"SBATCH_PARTITION=", "partition", ""},
		{"SBATCH_PARTITION", "partition", NULL},
		{"SBATCH_PARTITIONS=a", "partition", NULL},
		{"SBATCH_SIGNAL=B:10@60", "signal", "B:10@60"},
		{"SBATCH_MEM_PER_NODE=1G", "mem", "1G"},
		{"SLURM_HINT=nomultithread", "hint", "nomultithread"},
		{"SLURM_CLUSTERS=c", "clusters", "c"},
		{"SBATCH_TIMELIMIT=1-0", "time", "1-0"},
		{"SBATCH_EXCLUSIVE=", "exclusive", ""},
		{"SBATCH_EXCLUSIVE=user", "exclusive", "user"},
		{"SBATCH_NO_KILL=off", "no-kill", "off"},
		/* Flags. */
		{"SBATCH_OVERCOMMIT=", "overcommit", ""},
		{"SBATCH_OVERCOMMIT=1", "overcommit", ""},
		{"SBATCH_OVERCOMMIT=Yes", "overcommit", ""},
		{"SBATCH_OVERCOMMIT=0", "overcommit", NULL},
		{"SBATCH_OVERCOMMIT=no", "overcommit", NULL},
		{"SBATCH_OVERCOMMIT=1x", "overcommit", NULL},
		{"SBATCH_REQUEUE=1", "requeue", ""},
		{"SBATCH_REQUEUE=", "requeue", ""},
		{"SBATCH_REQUEUE=expedite", "requeue", "expedite"},
		{"SBATCH_REQUEUE=0", "requeue", NULL},
		{"SBATCH_NO_REQUEUE=1", "no-requeue", ""},
		{"SBATCH_PARTITION=\xff=\n", "partition", "\xff=\n"},
	};

	(void)state;
	for (size_t i = 0; i < LEN(t); i++) {
		struct slurm_options *o = slurm_options_new();
		char *env[] = {(char *)"A=1", (char *)t[i].variable, NULL};

		print_message("%s\n", t[i].variable);
		slurm_options_add_env(o, env);
		assert_option(o, t[i].name, t[i].value);
		slurm_options_free(o);
	}
}

static void test_precedence(void **state)
{
	char *env[] = {(char *)"SBATCH_PARTITION=env", (char *)"SBATCH_QOS=env",
		(char *)"SBATCH_QOS=second", (char *)"SBATCH_OVERCOMMIT=0",
		(char *)"SLURM_HINT=a", (char *)"SBATCH_HINT=b", NULL};
	struct slurm_options *o = slurm_options_new();

	(void)state;
	slurm_options_add_script(o, "#SBATCH -p script -q script -J script\n"
				    "#SBATCH --overcommit\n");
	slurm_options_add_env(o, env);
	slurm_options_add_line(o, "sbatch -p line job.sh 1");
	assert_option(o, "partition", "line");
	assert_option(o, "qos", "env");
	assert_option(o, "job-name", "script");
	assert_option(o, "overcommit", NULL);
	assert_option(o, "hint", "b");
	assert_args(o, "1|");
	slurm_options_add_line(o, "sbatch");
	assert_args(o, "-");
	slurm_options_free(o);
	slurm_options_free(NULL);
}

/* Script, environment, line; then what is given of two options. */
static void test_pairs(void **state)
{
	static const struct {
		const char *script, *variable, *line;
		const char *one, *one_is, *two, *two_is;
	} t[] = {
		{"#SBATCH --requeue", "A=", "sbatch --no-requeue j", "requeue",
			NULL, "no-requeue", ""},
		{"#SBATCH --no-requeue", "SBATCH_REQUEUE=1", "sbatch j",
			"requeue", "", "no-requeue", NULL},
		{"#SBATCH --requeue", "SBATCH_NO_REQUEUE=no", "sbatch j",
			"requeue", NULL, "no-requeue", NULL},
		{"#SBATCH -w a", "A=", "sbatch -F f j", "nodelist", NULL,
			"nodefile", "f"},
		{"#SBATCH -s", "SBATCH_EXCLUSIVE=user", "sbatch j", "exclusive",
			"user", "oversubscribe", NULL},
		{"#SBATCH --mem=1G", "SBATCH_MEM_PER_CPU=2G", "sbatch j", "mem",
			"1G", "mem-per-cpu", NULL},
		{"#SBATCH -H", "SBATCH_MEM_PER_CPU=2G", "sbatch --mem=1G j",
			"mem", "1G", "mem-per-cpu", NULL},
		{"#SBATCH --mem=1G", "SBATCH_MEM_PER_NODE=2G", "sbatch j",
			"mem", "2G", "mem-per-cpu", NULL},
		{"#SBATCH -H", "SBATCH_MEM_PER_GPU=2G", "sbatch j", "mem", NULL,
			"mem-per-gpu", "2G"},
	};

	(void)state;
	for (size_t i = 0; i < LEN(t); i++) {
		struct slurm_options *o = slurm_options_new();
		char *env[] = {(char *)t[i].variable, NULL};

		print_message("%s\n", t[i].script);
		slurm_options_add_script(o, t[i].script);
		slurm_options_add_env(o, env);
		slurm_options_add_line(o, t[i].line);
		assert_option(o, t[i].one, t[i].one_is);
		assert_option(o, t[i].two, t[i].two_is);
		slurm_options_free(o);
	}
}

#define HEADING "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n"

static void test_wrap(void **state)
{
	static const struct {
		const char *script, *line, *wrap, *partition, *time;
	} t[] = {
		{HEADING "srun -p b x\n", "sbatch -p a --wrap=srun -p b x -t 5",
			"srun -p b x", "a", "5"},
		{HEADING "srun -p b x\n", "sbatch -p a --wrap srun -p b x -t 5",
			"srun -p b x", "a", "5"},
		{HEADING "srun -p b x\n", "sbatch --wrap=srun -p b x",
			"srun -p b x", NULL, NULL},
		{HEADING "x\n", "sbatch --wrap=y --wrap=x -t 5", "x", NULL,
			"5"},
		{HEADING "x\n", "sbatch --wrap=xy -t 5", "xy", NULL, NULL},
		{HEADING "x\n", "sbatch --wrap", NULL, NULL, NULL},
		{HEADING "x\n", "sbatch --wrap=", "", NULL, NULL},
		{HEADING "\n", "sbatch --wrap= -t 5", "", NULL, NULL},
		{HEADING, "sbatch --wrap=x -t 5", "x", NULL, NULL},
		{HEADING "a\nb \n", "sbatch --wrap=a\nb  -t 5", "a\nb ", NULL,
			"5"},
		{HEADING "x", "sbatch --wrap=x -t 5", "x", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < LEN(t); i++) {
		struct slurm_options *o = slurm_options_new();

		print_message("%s\n", t[i].line);
		slurm_options_add_script(o, t[i].script);
		slurm_options_add_line(o, t[i].line);
		assert_option(o, "wrap", t[i].wrap);
		assert_option(o, "partition", t[i].partition);
		assert_option(o, "time", t[i].time);
		assert_args(o, "-");
		slurm_options_free(o);
	}
}

#define LARGE ((size_t)1 << 20)

/* The same few bytes over and over: neither slow nor overrun. */
static void test_large(void **state)
{
	static const char *const parts[] = {"x", "-", "--", " ", "\"", "'",
		"\\", "#", "=", " -p ", " --a=1", " --wrap=x", " -pp", "\n",
		"#SBATCH -p\n", "#SBATCH 'a\n", " --comment='a b'", ":", "\xff",
		" hetjob", " : ", " -- ", "\r", "\t-\t"};
	auto_free char *text = xcalloc(LARGE + 1, 1);

	(void)state;
	for (size_t i = 0; i < LEN(parts); i++) {
		struct slurm_options *o = slurm_options_new();
		size_t n = strlen(parts[i]);

		print_message("%s\n", parts[i]);
		for (size_t at = 0; at < 8; at++)
			text[at] = "#SBATCH "[at];
		for (size_t at = 8; at < LARGE; at++)
			text[at] = parts[i][(at - 8) % n];
		slurm_options_add_script(o, text);
		slurm_options_add_line(o, text);
		slurm_options_free(o);
	}
}

/* Bytes at random, the same ones each time. */
static void test_random(void **state)
{
	static const char bytes[] = "-- =:#'\"\\\n\tpkHawrp#SBATCH\xff";
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		struct slurm_options *o = slurm_options_new();
		char text[80] = "#SBATCH ";
		char *env[] = {text, NULL};

		for (size_t at = 8; at < sizeof(text) - 1; at++) {
			seed = hash_text("x", seed);
			text[at] = bytes[(seed >> 20) % (sizeof(bytes) - 1)];
		}
		slurm_options_add_script(o, text);
		slurm_options_add_env(o, env);
		slurm_options_add_line(o, text);
		(void)slurm_option(o, text);
		slurm_options_free(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_script),
		cmocka_unit_test(test_env),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
