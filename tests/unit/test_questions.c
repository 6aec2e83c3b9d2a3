/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "questions.h"

#define HEAD                                                                   \
	"pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1057\nclockid: 1\nticks: 3\n"

static void test_an_expired_timer(void **state)
{
	char out[1024];

	(void)state;
	assert_true(questions_timer_text(HEAD "settime flags: 00\n"
					      "it_value: (0, 0)\n"
					      "it_interval: (2, 50000000)\n",
		out, sizeof(out)));
	assert_string_equal(out, HEAD "settime flags: 00\n"
				      "it_value: (2, 50000000)\n"
				      "it_interval: (2, 50000000)\n");
}

static void test_other_timers(void **state)
{
	static const char *const as_they_are[] = {
		/* still running */
		HEAD "it_value: (0, 17)\nit_interval: (0, 50000000)\n",
		HEAD "it_value: (1, 0)\nit_interval: (0, 50000000)\n",
		/* off, and with no more to come */
		HEAD "it_value: (0, 0)\nit_interval: (0, 0)\n",
		/* no timer, or not as we know it */
		"pos:\t0\nflags:\t02\n",
		HEAD "it_value: (0, 0)\n",
		HEAD "it_value: (0, 0)\nit_interval: (x)\n",
		"",
	};
	char out[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(as_they_are) / sizeof(*as_they_are); i++)
		assert_false(
			questions_timer_text(as_they_are[i], out, sizeof(out)));
}

/* What the kernel of this machine says is what is understood. */
static void test_the_kernels_text(void **state)
{
	struct itimerspec t = {.it_value.tv_nsec = 1, .it_interval.tv_sec = 7};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	char path[48], text[1024], out[1024];
	struct timespec pause = {0, 20000000};
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(timerfd_settime(fd, 0, &t, NULL), 0);
	nanosleep(&pause, NULL);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	assert_true(questions_timer_text(text, out, sizeof(out)));
	assert_non_null(strstr(out, "it_value: (7, 0)\n"));
	assert_true(questions_about_timers(getpid()));
	close(fd);
	assert_false(questions_about_timers(getpid()));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_expired_timer),
		cmocka_unit_test(test_other_timers),
		cmocka_unit_test(test_the_kernels_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
