/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "tcp.h"
#include "util.h"

static void test_parse_v4(void **state)
{
	const char *line =
		"   1: 0100007F:C9E4 0202000A:A939 01 00000001:00000000 "
		"01:00000022 00000004  1500        0 198774 2 0 100 0 0 1 -1";
	char text[TCP_TEXT];
	struct tcp_socket s;

	(void)state;
	/* The kernel prints the bytes of an address as one number. */
	if (htonl(1) == 1)
		skip();
	assert_true(tcp_parse(line, false, &s));
	assert_int_equal(s.state, TCP_ESTABLISHED);
	assert_int_equal(s.uid, 1500);
	assert_int_equal(s.inode, 198774);
	assert_int_equal(s.pid, 0);
	tcp_show(&s.local, text);
	assert_string_equal(text, "127.0.0.1:51684");
	tcp_show(&s.remote, text);
	assert_string_equal(text, "10.0.2.2:43321");
}

static void test_parse_v6(void **state)
{
	const char *line =
		"  0: 00000000000000000000000001000000:0050 "
		"0000000000000000FFFF00000100007F:1F90 08 00000000:00000000 "
		"00:00000000 00000000  0  0 7 1 0 20 4 0 10 -1";
	char text[TCP_TEXT];
	struct tcp_socket s;

	(void)state;
	if (htonl(1) == 1)
		skip();
	assert_true(tcp_parse(line, true, &s));
	assert_int_equal(s.state, TCP_CLOSE_WAIT);
	tcp_show(&s.local, text);
	assert_string_equal(text, "[::1]:80");
	/* One of IPv4 in a socket of IPv6. */
	tcp_show(&s.remote, text);
	assert_string_equal(text, "127.0.0.1:8080");
}

static void test_parse_nonsense(void **state)
{
	static const char *const lines[] = {
		"", "  sl  local_address rem_address   st tx_queue rx_queue",
		"  0: 0100007F:0050",
		"  0: 0100007F 0100007F:0050 01 0:0 0:0 0 0 0 7",
		"  0: 0100:0050 0100007F:0050 01 0:0 0:0 0 0 0 7",
		"  0: 0100007F:10050 0100007F:0050 01 0:0 0:0 0 0 0 7",
		"  0: XYZ0007F:0050 0100007F:0050 01 0:0 0:0 0 0 0 7",
		/* One of IPv4 in the table of IPv6. */
	};
	struct tcp_socket s;

	(void)state;
	for (size_t i = 0; i < LEN(lines); i++)
		if (tcp_parse(lines[i], false, &s))
			fail_msg("taken: %s", lines[i]);
	assert_false(tcp_parse("  0: 0100007F:0050 0100007F:0051 01 0:0 0:0 0 "
			       "0 0 7",
		true, &s));
}

/* --- who talks to whom --- */

static struct tcp_socket between(uint16_t from, uint16_t to, unsigned state)
{
	struct tcp_socket s = {.state = state, .inode = from};

	s.local.port = from;
	s.remote.port = to;
	return s;
}

static void test_inside(void **state)
{
	struct tcp_socket v[] = {
		between(1, 2, TCP_ESTABLISHED),
		between(2, 1, TCP_ESTABLISHED),
		between(3, 0, TCP_LISTEN),
	};
	struct tcp_list l = {v, LEN(v)};

	(void)state;
	for (size_t i = 0; i < LEN(v); i++)
		v[i].pid = 1001;
	for (size_t i = 0; i < LEN(v); i++)
		assert_false(tcp_is_outside(&l, &v[i]));
}

static void test_outside(void **state)
{
	struct tcp_socket v[] = {
		between(1, 2, TCP_ESTABLISHED), /* to another machine */
		between(3, 4, TCP_CLOSE_WAIT),  /* to another process */
		between(4, 3, TCP_FIN_WAIT2),
		between(5, 6, TCP_SYN_SENT),
		between(7, 8, TCP_CLOSE),
		between(9, 2, TCP_TIME_WAIT),
	};
	struct tcp_list l = {v, LEN(v)};

	(void)state;
	v[0].pid = v[1].pid = v[3].pid = v[4].pid = v[5].pid = 1001;
	assert_true(tcp_is_outside(&l, &v[0]));
	assert_true(tcp_is_outside(&l, &v[1]));
	/* It is not ours. */
	assert_false(tcp_is_outside(&l, &v[2]));
	assert_true(tcp_is_outside(&l, &v[3]));
	assert_false(tcp_is_outside(&l, &v[4]));
	assert_false(tcp_is_outside(&l, &v[5]));
}

/* The same ports at another address are another connection. */
static void test_addresses_count(void **state)
{
	struct tcp_socket v[] = {
		between(1, 2, TCP_ESTABLISHED),
		between(2, 1, TCP_ESTABLISHED),
	};
	struct tcp_list l = {v, LEN(v)};

	(void)state;
	v[0].pid = v[1].pid = 1001;
	v[0].remote.addr = in6addr_loopback;
	assert_true(tcp_is_outside(&l, &v[0]));
	v[1].local.addr = in6addr_loopback;
	assert_false(tcp_is_outside(&l, &v[0]));
}

static void test_orphans(void **state)
{
	struct tcp_socket v[] = {
		between(1, 2, TCP_FIN_WAIT1),
		between(2, 1, TCP_ESTABLISHED),
		between(3, 4, TCP_FIN_WAIT2),
		between(4, 3, TCP_CLOSE_WAIT),
		between(5, 6, TCP_FIN_WAIT1),
	};
	struct tcp_list l = {v, LEN(v)};

	(void)state;
	v[0].inode = v[2].inode = v[4].inode = 0;
	v[1].pid = v[3].pid = 1001;
	/* It still sends to the tree. */
	assert_true(tcp_is_orphan(&l, &v[0]));
	/* The other end has it all. */
	assert_false(tcp_is_orphan(&l, &v[2]));
	/* To the outside. */
	assert_false(tcp_is_orphan(&l, &v[4]));
	/* Whose other end was closed is not outside. */
	assert_false(tcp_is_outside(&l, &v[1]));
}

/* --- a real one --- */

static void test_survey(void **state)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);
	struct tcp_list l;
	size_t listening = 0, connected = 0;

	(void)state;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(server, (struct sockaddr *)&at, size), 0);
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&at, &size), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&at, size), 0);
	l = tcp_survey(getpid());
	for (size_t i = 0; i < l.n; i++) {
		const struct tcp_socket *s = &l.v[i];

		if (s->pid == getpid() && s->fd == server) {
			assert_int_equal(s->state, TCP_LISTEN);
			assert_int_equal(s->uid, geteuid());
			assert_false(tcp_is_connected(s));
			listening++;
		} else if (s->pid == getpid() && s->fd == client) {
			assert_true(tcp_is_connected(s));
			/* The other end waits to be accepted. */
			assert_false(tcp_is_outside(&l, s));
			connected++;
		}
	}
	assert_int_equal(listening, 1);
	assert_int_equal(connected, 1);
	free(l.v);
	close(client);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_v4),
		cmocka_unit_test(test_parse_v6),
		cmocka_unit_test(test_parse_nonsense),
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_addresses_count),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_survey),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
