/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "slurm_text.h"
#include "util.h"

/* --- comments --- */

static void want_comment(const char *comment, const char *tag, const char *want)
{
	auto_free char *got = slurm_comment_with(comment, tag);

	assert_string_equal(got, want);
}

static void test_comment_keeps_the_users_text(void **state)
{
	auto_free char *tag = slurm_tag("vc-7", 3, "running");

	(void)state;
	assert_string_equal(tag, "[checkpointer vc-7 leg 3 running]");
	want_comment(NULL, tag, tag);
	want_comment("", tag, tag);
	want_comment("mine", tag, "mine [checkpointer vc-7 leg 3 running]");
	want_comment(
		"a [b] c", tag, "a [b] c [checkpointer vc-7 leg 3 running]");
	want_comment("mine [checkpointer vc-7 leg 2 resubmitted as job 9] x",
		tag, "mine [checkpointer vc-7 leg 3 running] x");
	/* Cut short by somebody: it is text like any other. */
	want_comment("[checkpointer vc-7 leg", tag,
		"[checkpointer vc-7 leg [checkpointer vc-7 leg 3 running]");
}

static void want_chain(const char *comment, const char *want, unsigned leg)
{
	unsigned got_leg = 0;
	auto_free char *got = slurm_chain_in(comment, &got_leg);

	if (!want) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, want);
	assert_int_equal(got_leg, leg);
}

static void test_chain_of_a_comment(void **state)
{
	(void)state;
	want_chain(NULL, NULL, 0);
	want_chain("", NULL, 0);
	want_chain("mine", NULL, 0);
	want_chain("x [checkpointer vc-7 leg 12 running] y", "vc-7", 12);
	want_chain("[checkpointer a.b_c-d leg 1 submitted]", "a.b_c-d", 1);
	want_chain("[checkpointer ../etc leg 1 running]", NULL, 0);
	want_chain("[checkpointer  leg 1 running]", NULL, 0);
	want_chain("[checkpointer vc-7 leg x]", NULL, 0);
	want_chain("[checkpointer vc-7]", NULL, 0);
	want_chain("[checkpointer vc-7 leg 1 running", NULL, 0);
}

/* --- dependencies --- */

static void want_moved(const char *dependency, const char *from, const char *to,
	const char *want)
{
	auto_free char *got = slurm_dependency_moved(dependency, from, to);

	if (!want) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, want);
}

static void test_dependencies(void **state)
{
	(void)state;
	want_moved("afterok:12", "12", "30", "afterok:30");
	want_moved("afterok:12(unfulfilled)", "12", "30", "afterok:30");
	want_moved("afterok:12(unfulfilled),afterany:13(failed)", "12", "30",
		"afterok:30,afterany:13");
	want_moved("afterok:11:12:13", "12", "30", "afterok:11:30:13");
	want_moved(
		"afterok:12?afterok:13", "13", "30", "afterok:12?afterok:30");
	want_moved("after:12+5,singleton", "12", "30", "after:30+5,singleton");
	want_moved("afterok:12_3(unfulfilled)", "12_3", "30", "afterok:30");
	/* Others are left alone. */
	want_moved("afterok:112", "12", "30", NULL);
	want_moved("afterok:12_3", "12", "30", NULL);
	want_moved("afterok:12_*", "12", "30", NULL);
	want_moved("singleton", "12", "30", NULL);
	want_moved("after:9+12", "12", "30", NULL);
	want_moved("", "12", "30", NULL);
	want_moved("afterok:12(unfulfilled", "12", "30", "afterok:30");
}

/* --- options --- */

static void want_signal(const char *text, int number, unsigned seconds,
	int to_batch, int in_reservation)
{
	struct slurm_signal s;

	assert_int_equal(slurm_signal_option(text, &s), number > 0 ? 0 : -1);
	if (number <= 0)
		return;
	assert_int_equal(s.number, number);
	assert_int_equal(s.seconds, seconds);
	assert_int_equal(s.to_batch, to_batch);
	assert_int_equal(s.in_reservation, in_reservation);
}

static void test_signal_option(void **state)
{
	(void)state;
	want_signal("USR1", SIGUSR1, 60, 0, 0);
	want_signal("10", SIGUSR1, 60, 0, 0);
	want_signal("B:USR1@600", SIGUSR1, 600, 1, 0);
	want_signal("b:SIGUSR2@90", SIGUSR2, 90, 1, 0);
	want_signal("RB:TERM@0", SIGTERM, 0, 1, 1);
	want_signal("R:TERM@65535", SIGTERM, 65535, 0, 1);
	want_signal("B:USR1@65536", 0, 0, 0, 0);
	want_signal("B:USR1@", 0, 0, 0, 0);
	want_signal("B:USR1@x", 0, 0, 0, 0);
	want_signal("B:", 0, 0, 0, 0);
	want_signal("", 0, 0, 0, 0);
	want_signal("NONE@60", 0, 0, 0, 0);
}

static void want_nodes(const char *text, int result, uint32_t min, uint32_t max)
{
	uint32_t got_min = 0, got_max = 0;

	assert_int_equal(slurm_nodes_option(text, &got_min, &got_max), result);
	if (result)
		return;
	assert_int_equal(got_min, min);
	assert_int_equal(got_max, max);
}

static void test_nodes_option(void **state)
{
	(void)state;
	want_nodes("2", 0, 2, 2);
	want_nodes("2-4", 0, 2, 4);
	want_nodes("1k", 0, 1024, 1024);
	want_nodes("1-1K", 0, 1, 1024);
	want_nodes("", -1, 0, 0);
	want_nodes("x", -1, 0, 0);
	want_nodes("2-", -1, 0, 0);
	want_nodes("2x", -1, 0, 0);
	want_nodes("2-4-6", -1, 0, 0);
	/* A list of sizes is more than a range. */
	want_nodes("1,2,4", -1, 0, 0);
}

static void test_counts(void **state)
{
	static const char list[] = "cpu=4,mem=8G,node=2,gres/gpu=1";

	(void)state;
	assert_int_equal(slurm_count_in(list, "cpu"), 4);
	assert_int_equal(slurm_count_in(list, "node"), 2);
	assert_int_equal(slurm_count_in(list, "gpu"), 0);
	assert_int_equal(slurm_count_in(list, "billing"), 0);
	assert_int_equal(slurm_count_in(NULL, "cpu"), 0);
	assert_int_equal(slurm_count_in("", "cpu"), 0);
	assert_int_equal(slurm_count_in("cpu", "cpu"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comment_keeps_the_users_text),
		cmocka_unit_test(test_chain_of_a_comment),
		cmocka_unit_test(test_dependencies),
		cmocka_unit_test(test_signal_option),
		cmocka_unit_test(test_nodes_option),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
