/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "timers.h"
#include "util.h"

#define BIT(sig) (UINT64_C(1) << ((sig) - 1))

/* --- images, written as CRIU does --- */

struct bytes {
	unsigned char b[512];
	size_t n;
};

static void varint(struct bytes *m, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		m->b[m->n++] = (unsigned char)(v | 0x80);
	m->b[m->n++] = (unsigned char)v;
}

static void number(struct bytes *m, unsigned field, uint64_t v)
{
	varint(m, field << 3);
	varint(m, v);
}

static void message(struct bytes *m, unsigned field, const struct bytes *inner)
{
	varint(m, field << 3 | 2);
	varint(m, inner->n);
	memcpy(m->b + m->n, inner->b, inner->n);
	m->n += inner->n;
}

static struct bytes itimer(uint64_t isec, uint64_t iusec, uint64_t vusec)
{
	struct bytes m = {.n = 0};

	number(&m, 1, isec);
	number(&m, 2, iusec);
	number(&m, 3, 0);
	number(&m, 4, vusec);
	return m;
}

static struct bytes posix(int sig, unsigned notify, uint64_t vnsec)
{
	struct bytes m = {.n = 0};

	number(&m, 1, 0);
	number(&m, 2, 1);
	number(&m, 3, (uint64_t)sig);
	number(&m, 4, notify);
	number(&m, 5, UINT64_C(0x7ffd12345678));
	for (unsigned i = 6; i < 10; i++)
		number(&m, i, 0);
	number(&m, 10, vnsec);
	return m;
}

/* Of a process with these timers; a number of 64 bits stands before them. */
static struct bytes core(const struct bytes *real, const struct bytes *posix)
{
	const struct bytes none = itimer(0, 0, 0);
	struct bytes timers = {.n = 0}, tc = {.n = 0}, m = {.n = 12};

	message(&timers, 1, real);
	message(&timers, 2, &none);
	message(&timers, 3, &none);
	if (posix)
		message(&timers, 4, posix);
	number(&tc, 1, 1);
	number(&tc, 5, ~UINT64_C(0));
	message(&tc, 7, &timers);
	number(&m, 1, 1);
	varint(&m, 4 << 3 | 1);
	m.n += 8;
	message(&m, 3, &tc);
	return m;
}

static void mended(const struct bytes *real, const struct bytes *posix,
	uint64_t pending, const struct bytes *want_real,
	const struct bytes *want_posix)
{
	struct bytes m = core(real, posix), want = core(want_real, want_posix);

	timers_mend(m.b, m.n, pending);
	assert_memory_equal(m.b, want.b, want.n);
}

static void test_real(void **state)
{
	const struct bytes none = itimer(0, 0, 0), gone = itimer(0, 0, 1),
			   runs = itimer(0, 0, 500), ticks = itimer(0, 7, 0),
			   again = itimer(0, 7, 1), slow = itimer(3, 0, 0),
			   slowly = itimer(3, 0, 1);

	(void)state;
	mended(&none, NULL, 0, &none, NULL);
	mended(&none, NULL, BIT(SIGALRM), &gone, NULL);
	mended(&none, NULL, BIT(SIGUSR1), &none, NULL);
	mended(&runs, NULL, BIT(SIGALRM), &runs, NULL);
	/* One that is periodic has a time, unless it has gone off. */
	mended(&ticks, NULL, 0, &again, NULL);
	mended(&slow, NULL, BIT(SIGALRM), &slowly, NULL);
}

static void test_posix(void **state)
{
	const struct bytes none = itimer(0, 0, 0), gone = itimer(0, 0, 1),
			   usr = posix(SIGUSR1, 0, 0),
			   usr_gone = posix(SIGUSR1, 0, 1),
			   runs = posix(SIGUSR1, 0, 900000000),
			   silent = posix(SIGUSR1, SIGEV_NONE, 0),
			   alarm = posix(SIGALRM, 0, 0),
			   alarm_gone = posix(SIGALRM, 0, 1);

	(void)state;
	mended(&none, &usr, 0, &none, &usr);
	mended(&none, &usr, BIT(SIGUSR1), &none, &usr_gone);
	mended(&none, &runs, BIT(SIGUSR1), &none, &runs);
	mended(&none, &silent, BIT(SIGUSR1), &none, &silent);
	/* The signal is the timer's, and no other one's as well. */
	mended(&none, &alarm, BIT(SIGALRM), &none, &alarm_gone);
	mended(&none, &usr, BIT(SIGUSR1) | BIT(SIGALRM), &gone, &usr_gone);
}

/* Whatever it is, nothing behind its end is touched. */
static void test_damaged(void **state)
{
	const struct bytes ticks = itimer(0, 7, 0), usr = posix(SIGUSR1, 0, 0);
	struct bytes m = core(&ticks, &usr);

	(void)state;
	for (size_t n = 0; n < m.n; n++) {
		auto_free unsigned char *part = xcalloc(1, n + 1);

		memcpy(part, m.b, n);
		timers_mend(part, n, ~UINT64_C(0));
		assert_int_equal(part[n], 0);
	}
	for (size_t i = 0; i < m.n; i++) {
		struct bytes flipped = m;

		flipped.b[i] ^= 0xff;
		timers_mend(flipped.b, m.n, ~UINT64_C(0));
	}
}

static void test_pending(void **state)
{
	sigset_t mask;
	json_t *list;
	pid_t child;

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGALRM);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	kill(child, SIGALRM);
	kill(child, SIGUSR2);
	list = timers_pending(child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(
		timers_pending_of(list, child), BIT(SIGALRM) | BIT(SIGUSR2));
	assert_int_equal(timers_pending_of(list, child + 1), 0);
	assert_int_equal(timers_pending_of(NULL, child), 0);
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_posix),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
