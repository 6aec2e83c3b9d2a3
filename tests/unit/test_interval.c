/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "interval.h"
#include "util.h"

#define WEEK (7 * 86400.)

static void test_best(void **state)
{
	static const struct {
		double cost, dump, mtbf, best;
	} known[] = {
		{2, 3, 10000, 200},     /* sqrt(2 * 2 * 10000) */
		{0.5, 1, 250000, 500},  /* less than a second counts, too */
		{0, 0, 20000, 200},     /* not known: as if it were a second */
		{2, 20, 10000, 200},    /* just ten dumps */
		{2, 21, 10000, 210},    /* never more often than that */
		{0.0002, 9, 10000, 90}, /* a cheap one that takes long */
		{300, 300, 600, 3000},  /* nodes that fail all the time */
		{2, 0, 10000, 200},
	};

	(void)state;
	for (size_t i = 0; i < LEN(known); i++) {
		double best = interval_best(
			known[i].cost, known[i].dump, known[i].mtbf);

		if (best < known[i].best - 1e-6 || best > known[i].best + 1e-6)
			fail_msg("%zu: %g", i, best);
	}
}

/* What is dearer is done less often; what breaks more often, more often. */
static void test_grows(void **state)
{
	double last = 0, cost = 0.001;

	(void)state;
	for (int i = 0; i < 16; i++) {
		double best = interval_best(cost, cost, WEEK);

		assert_true(best > last);
		assert_true(best >= 10 * cost);
		assert_true(best <= interval_best(cost, cost, 2 * WEEK));
		last = best;
		cost *= 3;
	}
}

static void test_news(void **state)
{
	(void)state;
	assert_true(interval_is_news(0, 1100));
	assert_false(interval_is_news(1100, 1100));
	assert_false(interval_is_news(1000, 1190));
	assert_false(interval_is_news(1000, 840));
	assert_true(interval_is_news(1000, 1210));
	assert_true(interval_is_news(1000, 830));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_best),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
