/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "chain.h"
#include "progress.h"
#include "status.h"
#include "tree.h"
#include "util.h"

/* Lines of a journal in short; all of leg 1 on host n1. */
static json_t *parse(const char *const *text)
{
	json_t *lines = json_array();

	for (; *text; text++) {
		json_t *j = json_loads(*text, 0, NULL);

		assert_non_null(j);
		json_array_append_new(lines, j);
	}
	return lines;
}

#define LEG1                                                                   \
	"{\"t\":100,\"event\":\"leg\",\"leg\":1,\"key\":\"slurm-12.0\","       \
	"\"scheduler\":\"slurm\",\"host\":\"n1\"}"
#define STEP1                                                                  \
	"{\"t\":101,\"event\":\"step\",\"leg\":1,\"step\":1,"                  \
	"\"argv\":[\"Rscript\",\"fit\\u001b.R\"]}"
#define BEGUN                                                                  \
	"{\"t\":102,\"event\":\"state\",\"leg\":1,\"step\":1,"                 \
	"\"state\":\"starting\",\"on\":\"started\",\"host\":\"n1\","           \
	"\"pid\":42,\"born\":7,\"job\":\"12\",\"margin\":60.0,\"end\":1000.0}"
#define RUNNING                                                                \
	"{\"t\":103,\"event\":\"state\",\"leg\":1,\"step\":1,"                 \
	"\"state\":\"running\",\"on\":\"started\",\"next\":300.0,"             \
	"\"end\":1000.0}"
#define DUMPING                                                                \
	"{\"t\":300,\"event\":\"state\",\"leg\":1,\"step\":1,"                 \
	"\"state\":\"dumping\",\"on\":\"save\",\"end\":1000.0}"
#define DUMPED                                                                 \
	"{\"t\":302,\"event\":\"state\",\"leg\":1,\"step\":1,"                 \
	"\"state\":\"running\",\"on\":\"dumped\",\"gen\":1,"                   \
	"\"bytes\":2097152,\"memory\":4194304,\"seconds\":2.0,"                \
	"\"next\":500.0,\"end\":1000.0}"
#define MOVED                                                                  \
	"{\"t\":303,\"event\":\"limit\",\"leg\":1,\"step\":1,\"end\":2000.0}"
#define LEFT "{\"t\":310,\"event\":\"submitted\",\"leg\":1,\"job\":\"13\"}"
#define STEP(n)                                                                \
	"{\"t\":101,\"event\":\"step\",\"leg\":1,\"step\":" #n                 \
	",\"argv\":[\"true\"]}"
#define STATE(n, state)                                                        \
	"{\"t\":103,\"event\":\"state\",\"leg\":1,\"step\":" #n                \
	",\"state\":\"" state "\",\"on\":\"x\"}"

static const char *text_at(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static double number_at(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

static const json_t *step_of(const json_t *s, size_t i)
{
	return json_array_get(json_object_get(s, "steps"), i);
}

/* All lines that a person sees at time 310, in one string. */
static char *printed(const json_t *s)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	status_print(s, 310, false, f);
	fclose(f);
	return text;
}

static void want_text(const json_t *s, const char *part)
{
	auto_free char *text = printed(s);

	if (!strstr(text, part))
		fail_msg("no '%s' in:\n%s", part, text);
}

static json_t *status(const char *const *text, enum chain_state state)
{
	json_t *lines = parse(text);
	json_t *s = status_of("fit", lines, state);

	json_decref(lines);
	return s;
}

static void test_running(void **state)
{
	static const char *const text[] = {
		LEG1, STEP1, BEGUN, RUNNING, DUMPING, DUMPED, NULL};
	json_t *s = status(text, CHAIN_RUNNING);
	const json_t *step = step_of(s, 0);

	(void)state;
	assert_string_equal(text_at(s, "chain"), "fit");
	assert_string_equal(text_at(s, "state"), "running");
	assert_string_equal(text_at(s, "host"), "n1");
	assert_string_equal(text_at(s, "job"), "12");
	assert_true(number_at(s, "end") == 1000);
	assert_true(number_at(s, "last_dump") == 940);
	assert_true(number_at(step, "next") == 500);
	assert_true(number_at(step, "pid") == 42);
	/* No byte of it can disturb a terminal. */
	assert_string_equal(text_at(step, "command"), "Rscript fit?.R");
	assert_true(number_at(json_object_get(step, "checkpoint"), "bytes") ==
		    2097152);
	want_text(s, "fit: running, last change 8 s ago\n");
	want_text(s, "leg         1, on n1, job 12, begun 3 min 30 s ago\n");
	want_text(s, "the last checkpoint begins in 10 min 30 s, the leg ends "
		     "in 11 min 30 s\n");
	want_text(s, "checkpoint  1: 2.0 MB in 2 s, 8 s ago\n");
	want_text(s, "next        checkpoint in 3 min 10 s\n");
	json_object_set_new(s, "unlocked", json_true());
	want_text(s,
		"note        no lock of it is seen here, but its job runs, "
		"as slurm says\n");
	json_decref(s);
}

static void test_moved_end(void **state)
{
	static const char *const text[] = {
		LEG1, STEP1, BEGUN, RUNNING, MOVED, NULL};
	json_t *s = status(text, CHAIN_RUNNING);

	(void)state;
	assert_true(number_at(s, "end") == 2000);
	assert_true(number_at(s, "last_dump") == 1940);
	json_decref(s);
}

static void test_dumping(void **state)
{
	static const char *const text[] = {
		LEG1, STEP1, BEGUN, RUNNING, DUMPING, NULL};
	const struct progress p = {
		.began = 300, .now = 304, .done = 40 << 20, .total = 100 << 20};
	json_t *s = status(text, CHAIN_RUNNING);
	auto_free char *word = NULL;

	(void)state;
	assert_string_equal(text_at(s, "state"), "dumping");
	json_object_set_new(json_array_get(json_object_get(s, "steps"), 0),
		"progress", progress_json(&p));
	word = status_word(s);
	assert_string_equal(word, "dumping 40 %");
	want_text(s, "dumping     40 %, 40 MB of about 100 MB, 10 MB/s, 6 s "
		     "left\n");
	json_decref(s);
}

static void test_resubmitted(void **state)
{
	static const char *const text[] = {
		LEG1, STEP1, BEGUN, RUNNING, LEFT, NULL};
	json_t *s = status(text, CHAIN_RESUBMITTED);
	json_t *next = json_object_get(s, "successor");

	(void)state;
	assert_string_equal(text_at(next, "job"), "13");
	assert_true(status_is_at_work(s));
	want_text(s, "successor   job 13\n");
	json_object_set_new(next, "state", json_string("pending"));
	json_object_set_new(next, "why", json_string("others come first"));
	json_object_set_new(next, "start", json_real(370));
	want_text(s, "successor   job 13: pending, others come first, expected "
		     "to start in 1 min\n");
	json_object_set_new(next, "over", json_true());
	want_text(s, "checkpointer restore fit");
	json_decref(s);
}

static void test_died(void **state)
{
	static const char *const text[] = {
		LEG1, STEP1, BEGUN, RUNNING, DUMPING, DUMPED, NULL};
	json_t *s = status(text, CHAIN_DIED);

	(void)state;
	assert_string_equal(text_at(s, "state"), "died");
	assert_string_equal(text_at(step_of(s, 0), "state"), "died");
	/* What nobody will do is not announced. */
	assert_null(json_object_get(step_of(s, 0), "next"));
	assert_false(status_is_at_work(s));
	want_text(s, "checkpointer restore fit");
	json_decref(s);
}

static void test_steps(void **state)
{
	static const char *const text[] = {LEG1, STEP1, BEGUN,
		STATE(1, "finished"), STEP(2), STATE(2, "running"), STEP(3),
		NULL};
	json_t *s = status(text, CHAIN_RUNNING);

	(void)state;
	assert_string_equal(text_at(step_of(s, 0), "state"), "finished");
	assert_string_equal(text_at(step_of(s, 1), "state"), "running");
	assert_string_equal(text_at(step_of(s, 2), "state"), "starting");
	want_text(s, "step 2      true: running\n");
	json_decref(s);
}

static void test_all_finished(void **state)
{
	static const char *const text[] = {
		LEG1, STEP1, BEGUN, STATE(1, "finished"), NULL};
	json_t *s = status(text, CHAIN_RUNNING);

	(void)state;
	assert_string_equal(text_at(s, "state"), "ending");
	json_decref(s);
}

/* A supervisor that is found dead after the first look. */
static void test_settle(void **state)
{
	static const char *const text[] = {LEG1, STEP1, BEGUN, DUMPING, STEP(2),
		STATE(2, "running"), NULL};
	json_t *s = status(text, CHAIN_RUNNING);
	json_t *first = json_array_get(json_object_get(s, "steps"), 0);

	(void)state;
	assert_string_equal(text_at(s, "state"), "dumping");
	json_object_set_new(first, "state", json_string("died"));
	status_settle(s);
	assert_string_equal(text_at(s, "state"), "running");
	json_decref(s);
}

/* A leg that has just begun has not come to all of its steps. */
static void test_new_leg(void **state)
{
	static const char *const text[] = {LEG1, STEP1, BEGUN, RUNNING, LEFT,
		"{\"t\":320,\"event\":\"leg\",\"leg\":2,\"host\":\"n2\"}",
		NULL};
	json_t *s = status(text, CHAIN_RUNNING);

	(void)state;
	assert_string_equal(text_at(s, "state"), "starting");
	assert_string_equal(text_at(s, "host"), "n2");
	assert_string_equal(text_at(step_of(s, 0), "state"), "waiting");
	assert_null(json_object_get(s, "end"));
	assert_null(json_object_get(s, "job"));
	assert_null(json_object_get(step_of(s, 0), "pid"));
	json_decref(s);
}

static void test_nothing(void **state)
{
	static const char *const text[] = {NULL};
	json_t *s = status(text, CHAIN_EMPTY);

	(void)state;
	assert_int_equal(json_array_size(json_object_get(s, "steps")), 0);
	want_text(s, "fit: empty");
	json_decref(s);
}

/* --- which chain --- */

static void make_chain(const char *base, const char *id, const char *line)
{
	struct chain c;
	struct err err;

	if (chain_open(&c, base, id, true, &err))
		fail_msg("%s", err.text);
	assert_int_equal(
		chain_write(&c, json_loads(line, 0, NULL), false, &err), 0);
	chain_close(&c);
}

static void want_found(const char *base, const char *word, const char *id)
{
	struct err err;
	auto_free char *found = status_find(base, word, &err);

	if (id)
		assert_string_equal(found, id);
	else
		assert_null(found);
}

static void test_find(void **state)
{
	char base[] = "/tmp/test_status.XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(base));
	make_chain(base, "a", LEG1);
	make_chain(base, "b", LEFT);
	make_chain(base, "99", BEGUN);
	make_chain(base, "text",
		"{\"event\":\"step\",\"argv\":[\"\\\"job\\\":\\\"77\\\"\"]}");
	want_found(base, "a", "a");
	want_found(base, "13", "b");
	want_found(base, "99", "99");
	want_found(base, "77", NULL);
	want_found(base, "1", NULL);
	want_found(base, "", NULL);
	want_found(base, "../a", NULL);
	want_found("/nowhere", "a", NULL);
	assert_int_equal(remove_tree(base), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_moved_end),
		cmocka_unit_test(test_dumping),
		cmocka_unit_test(test_resubmitted),
		cmocka_unit_test(test_died),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_all_finished),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_new_leg),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
