/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "request.h"
#include "util.h"

/* --- messages --- */

#define MSG(text) (const unsigned char *)(text), sizeof(text) - 1

static void test_names(void **state)
{
	static const struct {
		const unsigned char *msg;
		size_t n;
		const char *name;
	} cases[] = {
		{MSG("\x0a\x01"
		     "a"),
			"a"},
		{MSG("\x0a\x0d"
		     "inventory.img"),
			"inventory.img"},
		/* the length in more bytes than it needs */
		{MSG("\x0a\x83\x80\x00"
		     "abc"),
			"abc"},
		/* the last one counts */
		{MSG("\x0a\x01"
		     "a"
		     "\x0a\x01"
		     "b"),
			"b"},
		/* other fields of each kind, before and behind */
		{MSG("\x10\x96\x01"
		     "\x0a\x02"
		     "ab"
		     "\x19"
		     "12345678"
		     "\x22\x03"
		     "xyz"
		     "\x2d"
		     "1234"),
			"ab"},
		/* field 1 as a number is none either */
		{MSG("\x08\x05\x0a\x01"
		     "a"),
			"a"},
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		char name[REQUEST_NAME];

		assert_int_equal(request_parse(cases[i].msg, cases[i].n, name,
					 sizeof(name)),
			0);
		assert_string_equal(name, cases[i].name);
	}
}

static void test_nonsense(void **state)
{
	static const struct {
		const unsigned char *msg;
		size_t n;
	} cases[] = {
		{MSG("")},
		{MSG("\x0a")},
		{MSG("\x0a\x00")},
		{MSG("\x0a\x02"
		     "a")},
		{MSG("\x0a\x03"
		     "a\0b")},
		{MSG("\x0a\x80")},
		/* too long a number */
		{MSG("\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"
		     "a")},
		/* a length near 2^64 */
		{MSG("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
		     "a")},
		{MSG("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
		     "a")},
		/* other fields that are cut off */
		{MSG("\x0a\x01"
		     "a"
		     "\x10")},
		{MSG("\x0a\x01"
		     "a"
		     "\x19"
		     "1234567")},
		{MSG("\x0a\x01"
		     "a"
		     "\x2d"
		     "123")},
		{MSG("\x0a\x01"
		     "a"
		     "\x22\x02"
		     "x")},
		/* kinds that there are not */
		{MSG("\x0a\x01"
		     "a"
		     "\x0b")},
		{MSG("\x0a\x01"
		     "a"
		     "\x0f")},
		/* only other fields */
		{MSG("\x10\x01")},
	};
	char name[REQUEST_NAME];

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++)
		if (!request_parse(cases[i].msg, cases[i].n, name, 4))
			fail_msg("message %zu was understood", i);
}

static void test_long_names(void **state)
{
	unsigned char msg[300] = {0x0a};
	char name[REQUEST_NAME];

	(void)state;
	for (size_t n = 120; n < 290; n++) {
		bool fits = n < sizeof(name);
		int got;

		msg[1] = (unsigned char)((n & 0x7f) | 0x80);
		msg[2] = (unsigned char)(n >> 7);
		memset(msg + 3, 'x', n);
		got = request_parse(msg, 3 + n, name, sizeof(name));
		assert_int_equal(got, fits ? 0 : -1);
		if (fits)
			assert_int_equal(strlen(name), n);
	}
}

/* --- over a socket --- */

static int set_up(void **state)
{
	int *pair = xcalloc(2, sizeof(*pair));

	*state = pair;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int tear_down(void **state)
{
	int *pair = *state;

	release_fd(&pair[0]);
	release_fd(&pair[1]);
	free(pair);
	return 0;
}

static void say(const int *pair, uint32_t len, const void *msg, size_t n)
{
	assert_int_equal(write_all(pair[0], &len, sizeof(len)), 0);
	assert_int_equal(write_all(pair[0], msg, n), 0);
}

static void test_read(void **state)
{
	int *pair = *state;
	char name[REQUEST_NAME];
	struct err err = {0};

	say(pair, 5, "\x0a\x03ids", 5);
	say(pair, 4, "\x0a\x02tt", 4);
	assert_int_equal(request_read(pair[1], name, &err), 1);
	assert_string_equal(name, "ids");
	assert_int_equal(request_read(pair[1], name, &err), 1);
	assert_string_equal(name, "tt");
	release_fd(&pair[0]);
	assert_int_equal(request_read(pair[1], name, &err), 0);
	/* A socket that is closed here is one that says no more. */
	assert_int_equal(request_read(-1, name, &err), 0);
}

static void test_read_what_is_cut_off(void **state)
{
	int *pair = *state;
	char name[REQUEST_NAME];
	struct err err = {0};

	say(pair, 5, "\x0a\x03i", 3);
	release_fd(&pair[0]);
	assert_int_equal(request_read(pair[1], name, &err), -1);
	assert_non_null(strstr(err.text, "criu"));
}

static void test_read_a_cut_length(void **state)
{
	int *pair = *state;
	char name[REQUEST_NAME];
	struct err err = {0};

	assert_int_equal(write_all(pair[0], "\x05\x00", 2), 0);
	release_fd(&pair[0]);
	assert_int_equal(request_read(pair[1], name, &err), -1);
	assert_non_null(strstr(err.text, "in the middle"));
}

static void test_read_too_much(void **state)
{
	int *pair = *state;
	char name[REQUEST_NAME];
	struct err err = {0};

	say(pair, UINT32_MAX, "\x0a\x03ids", 5);
	assert_int_equal(request_read(pair[1], name, &err), -1);
	assert_non_null(strstr(err.text, "nonsense"));
}

static void test_answer(void **state)
{
	int *pair = *state;
	unsigned char got[12];
	struct err err = {0};

	assert_int_equal(request_answer(pair[1], true, &err), 0);
	assert_int_equal(request_answer(pair[1], false, &err), 0);
	assert_int_equal(read(pair[0], got, sizeof(got)), 12);
	assert_memory_equal(got, "\x02\0\0\0\x08\x01\x02\0\0\0\x08\x00", 12);
}

/* A byte with n descriptors. */
static void give(int sock, const int *fd, size_t n)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int) * 8)];
	} control = {0};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (n) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fd, sizeof(int) * n);
	}
	assert_int_equal(sendmsg(sock, &m, 0), 1);
}

static void test_pipe(void **state)
{
	int *pair = *state, fds[2], got;
	struct err err = {0};
	char byte;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	give(pair[0], &fds[0], 1);
	got = request_pipe(pair[1], &err);
	assert_true(got >= 0);
	assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write_all(fds[1], "x", 1), 0);
	assert_int_equal(read(got, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(got);
	close(fds[0]);
	close(fds[1]);
}

static void test_no_pipe(void **state)
{
	int *pair = *state, one = 0;
	struct err err = {0};

	give(pair[0], &one, 0);
	assert_int_equal(request_pipe(pair[1], &err), -1);
	assert_non_null(strstr(err.text, "no pipe"));
	release_fd(&pair[0]);
	assert_int_equal(request_pipe(pair[1], &err), -1);
}

/* None of them is kept open. */
static void test_too_many_pipes(void **state)
{
	int *pair = *state, many[3] = {0, 1, 2}, before, after;
	struct err err = {0};

	before = dup(0);
	close(before);
	give(pair[0], many, LEN(many));
	assert_int_equal(request_pipe(pair[1], &err), -1);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

#define WITH_PAIR(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_long_names),
		WITH_PAIR(test_read),
		WITH_PAIR(test_read_what_is_cut_off),
		WITH_PAIR(test_read_a_cut_length),
		WITH_PAIR(test_read_too_much),
		WITH_PAIR(test_answer),
		WITH_PAIR(test_pipe),
		WITH_PAIR(test_no_pipe),
		WITH_PAIR(test_too_many_pipes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
