/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"
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

/* --- who changes memory waits --- */

/* A word of a process that another one changes; both processes see it. */
static long *word;

/* As criu does it, and what came of it. */
static int change(int sock)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (pid < 0 || questions_ask(sock, false) ||
		ptrace(PTRACE_SEIZE, pid, NULL, NULL) ||
		ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) ||
		waitpid(pid, &status, __WALL) != pid)
		return -1;
	errno = 0;
	ptrace(PTRACE_POKEDATA, pid, word, (void *)2L);
	status = errno;
	kill(pid, SIGKILL);
	return status;
}

struct seen {
	int calls, ret;
	long before;
};

static int changing(void *arg)
{
	struct seen *seen = arg;

	seen->calls++;
	seen->before = *word;
	return seen->ret;
}

/* Returns what the change came to. */
static int watch_a_change(struct seen *seen)
{
	struct engine_calls calls = {.changing = changing, .arg = seen};
	struct err err = {0};
	struct questions *q;
	struct pollfd p = {.events = POLLIN};
	int sock[2], status;
	pid_t pid;

	*word = 1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(change(sock[1]));
	close(sock[1]);
	q = questions_new(sock[0], pid, 0, 0, &calls, &err);
	assert_non_null(q);
	p.fd = questions_fd(q);
	while (poll(&p, 1, -1) == 1 && (p.revents & POLLIN))
		questions_answer(q, &err);
	questions_free(q);
	close(sock[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_a_change_waits(void **state)
{
	struct seen seen = {0};

	(void)state;
	assert_int_equal(watch_a_change(&seen), 0);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.before, 1);
	assert_int_equal(*word, 2);
}

static void test_a_change_is_refused(void **state)
{
	struct seen seen = {.ret = -1};

	(void)state;
	assert_int_equal(watch_a_change(&seen), EIO);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(*word, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_expired_timer),
		cmocka_unit_test(test_other_timers),
		cmocka_unit_test(test_the_kernels_text),
		cmocka_unit_test(test_a_change_waits),
		cmocka_unit_test(test_a_change_is_refused),
	};

	word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (word == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
