/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "look.h"
#include "util.h"

/* --- versions --- */

static void test_criu_fits(void **state)
{
	static const struct {
		int criu, kernel;
		bool root, in_capsule;
		int ret;
		const char *says;
	} cases[] = {
		/* Debian 12, 13 and what they may be run on */
		{317, 601, true, false, 0, NULL},
		{317, 601, false, true, -1, "without privilege"},
		{317, 612, true, false, 0, NULL},
		{317, 613, true, false, -1, "criu 3.17 does not work"},
		{401, 612, false, true, 0, NULL},
		{401, 618, false, true, 0, NULL},
		{401, 618, false, false, 0, NULL},
		/* the bounds */
		{400, 612, false, true, 0, NULL},
		{400, 613, false, true, -1, "Linux 6.13"},
		{401, 613, false, true, 0, NULL},
		{318, 601, false, true, -1, "criu 3.18"},
		{319, 601, false, true, 0, NULL},
		{401, 508, false, true, -1, "5.9 or newer"},
		{401, 206, false, true, -1, "uname -r"},
		{401, 509, false, true, 0, NULL},
		{401, 508, false, false, 0, NULL},
		{402, 419, true, false, 0, NULL},
		{402, 700, false, true, 0, NULL},
		{500, 1000, false, true, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		struct err err = {0};

		print_message("criu %d, Linux %d, %s, %s\n", cases[i].criu,
			cases[i].kernel, cases[i].root ? "root" : "a user",
			cases[i].in_capsule ? "capsule" : "none");
		assert_int_equal(
			look_criu_fits(cases[i].criu, cases[i].kernel,
				cases[i].root, cases[i].in_capsule, &err),
			cases[i].ret);
		if (!cases[i].says)
			assert_string_equal(err.text, "");
		else if (!strstr(err.text, cases[i].says))
			fail_msg("no '%s' in: %s", cases[i].says, err.text);
	}
}

static void test_no_criu(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(
		look_at_criu("/nonexistent/criu", getpid(), true, &err), -1);
	assert_non_null(strstr(err.text, "/nonexistent/criu"));
	assert_int_equal(look_at_criu("/bin/true", getpid(), true, &err), -1);
}

/* --- processes --- */

struct found {
	int old_criu, new_criu, old_kernel; /* look_sockets_fit() */
	struct err err;
	unsigned n;
	pid_t pid;
	char *messages;
};

/*
 * Start a child that has nothing but /dev/null and no terminal, makes what is
 * to be found (make returns false if it cannot be made here), and waits; look
 * at it. Returns false if it could not be made.
 */
static bool look(bool (*make)(void), struct found *f)
{
	char path[] = "/tmp/test_look.XXXXXX", ready = 'n';
	int fds[2], log, saved;

	assert_int_equal(pipe(fds), 0);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		setsid();
		for (int i = 0; i < 3; i++)
			if (null < 0 || dup2(null, i) < 0)
				_exit(1);
		if (dup2(fds[1], 3) < 0)
			_exit(1);
		for (int i = 4; i < 256; i++)
			close(i);
		ready = !make || make() ? 'y' : 'n';
		if (write(3, &ready, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &ready, 1), 1);
	close(fds[0]);

	log = mkstemp(path);
	saved = dup(STDERR_FILENO);
	assert_true(log >= 0 && saved >= 0 && dup2(log, STDERR_FILENO) >= 0);
	f->n = look_at_tree(getpid(), OUTSIDE_REFUSE);
	f->old_criu = look_sockets_fit(401, 616, getpid(), &f->err);
	f->new_criu = look_sockets_fit(402, 616, getpid(), NULL);
	f->old_kernel = look_sockets_fit(401, 615, getpid(), NULL);
	assert_true(saved >= 0 && dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	close(log);
	f->messages = read_file_at(AT_FDCWD, path, 1 << 20, NULL, NULL);
	assert_int_equal(unlink(path), 0);

	assert_int_equal(kill(f->pid, SIGKILL), 0);
	assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
	assert_non_null(f->messages);
	return ready == 'y';
}

/* So many findings, with this text in each of them. */
static void finds(bool (*make)(void), unsigned n, const char *text)
{
	struct found f;
	auto_free char *who = NULL;
	unsigned lines = 0;

	if (!look(make, &f)) {
		free(f.messages);
		skip();
	}
	who = xasprintf("process %d (", f.pid);
	if (f.n != n)
		fail_msg("%u findings instead of %u:\n%s", f.n, n, f.messages);
	for (char *p = strtok(f.messages, "\n"); p; p = strtok(NULL, "\n")) {
		if (!strstr(p, text) || !strstr(p, who))
			fail_msg("no '%s' of %s in: %s", text, who, p);
		lines++;
	}
	assert_int_equal(lines, n);
	free(f.messages);
}

static void test_plain_child(void **state)
{
	(void)state;
	finds(NULL, 0, "");
}

static void test_no_child(void **state)
{
	(void)state;
	assert_int_equal(look_at_tree(getpid(), OUTSIDE_REFUSE), 0);
}

static int listener(struct sockaddr_in *at, int type)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, type, 0);

	*at = (struct sockaddr_in){.sin_family = AF_INET};
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, len) ||
		(type == SOCK_STREAM && listen(fd, 1)) ||
		getsockname(fd, (struct sockaddr *)at, &len))
		return -1;
	return fd;
}

static bool connect_to_itself(void)
{
	struct sockaddr_in at;
	int fd = listener(&at, SOCK_STREAM);
	int client = socket(AF_INET, SOCK_STREAM, 0);

	return fd >= 0 && client >= 0 &&
	       !connect(client, (struct sockaddr *)&at, sizeof(at)) &&
	       accept(fd, NULL, NULL) >= 0 && !close(fd);
}

static void test_connection(void **state)
{
	(void)state;
	finds(connect_to_itself, 2, "a TCP connection");
}

static bool connect_ipv6(void)
{
	struct sockaddr_in6 at = {
		.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int client = socket(AF_INET6, SOCK_STREAM, 0);

	return fd >= 0 && client >= 0 &&
	       !bind(fd, (struct sockaddr *)&at, len) && !listen(fd, 1) &&
	       !getsockname(fd, (struct sockaddr *)&at, &len) &&
	       !connect(client, (struct sockaddr *)&at, len) &&
	       accept(fd, NULL, NULL) >= 0 && !close(fd);
}

static void test_ipv6_connection(void **state)
{
	(void)state;
	finds(connect_ipv6, 2, "a TCP connection");
}

static bool wait_for_connections(void)
{
	struct sockaddr_in at;

	return listener(&at, SOCK_STREAM) >= 0;
}

/* Harmless in itself, but not to CRIU before 4.2 on Linux 6.16 or newer. */
static void test_listener(void **state)
{
	auto_free char *who = NULL;
	struct found f = {0};

	(void)state;
	if (!look(wait_for_connections, &f)) {
		free(f.messages);
		skip();
	}
	free(f.messages);
	who = xasprintf("process %d (", f.pid);
	assert_int_equal(f.n, 0);
	assert_int_equal(f.old_criu, -1);
	assert_non_null(strstr(f.err.text, who));
	assert_int_equal(f.new_criu, 0);
	assert_int_equal(f.old_kernel, 0);
}

/* UDP, and both ends of a socket pair. */
static bool harmless_sockets(void)
{
	struct sockaddr_in at;
	int pair[2];

	return listener(&at, SOCK_DGRAM) >= 0 &&
	       !socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static void test_harmless_sockets(void **state)
{
	(void)state;
	finds(harmless_sockets, 0, "");
}

static bool take_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

	if (master < 0 || grantpt(master) || unlockpt(master))
		return false;
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	return slave >= 0 && !ioctl(slave, TIOCSCTTY, 0);
}

static void test_terminal(void **state)
{
	(void)state;
	finds(take_terminal, 1, "a controlling terminal");
}

static bool map_deleted_file(void)
{
	char path[] = "/tmp/test_look.XXXXXX";
	int fd = mkstemp(path);
	void *p;

	if (fd < 0 || unlink(path) || ftruncate(fd, 4096))
		return false;
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return p != MAP_FAILED;
}

/* Deleted files are given to criu by the worker. */
static bool harmless_mappings(void)
{
	int fd = memfd_create("test", 0);
	void *p, *q;

	if (fd < 0 || ftruncate(fd, 4096))
		return false;
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	q = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p != MAP_FAILED && q != MAP_FAILED && map_deleted_file();
}

static void test_harmless_mappings(void **state)
{
	(void)state;
	finds(harmless_mappings, 0, "");
}

static bool make_io_uring(void)
{
	/* struct io_uring_params, which older headers lack */
	uint32_t params[30] = {0};

	return syscall(SYS_io_uring_setup, 4, params) >= 0;
}

static void test_io_uring(void **state)
{
	(void)state;
	finds(make_io_uring, 1, "io_uring");
}

static bool new_namespaces(void)
{
	return !unshare(CLONE_NEWUSER | CLONE_NEWUTS);
}

static void test_namespace(void **state)
{
	(void)state;
	finds(new_namespaces, 1, "a user namespace of its own");
}

static bool open_devices(void)
{
	return open("/dev/zero", O_RDONLY) >= 0 &&
	       open("/dev/urandom", O_RDONLY) >= 0;
}

static void test_harmless_devices(void **state)
{
	(void)state;
	finds(open_devices, 0, "");
}

/* The child of a child, which ends with it. */
static bool fork_twice(void)
{
	char byte = 'n';
	int fds[2];

	if (pipe(fds))
		return false;
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = connect_to_itself() ? 'y' : 'n';
		if (write(fds[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	return read(fds[0], &byte, 1) == 1 && byte == 'y';
}

static void test_whole_tree(void **state)
{
	struct found f;

	(void)state;
	if (!look(fork_twice, &f)) {
		free(f.messages);
		skip();
	}
	if (f.n != 2)
		fail_msg("%u findings instead of 2:\n%s", f.n, f.messages);
	free(f.messages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_criu_fits),
		cmocka_unit_test(test_no_criu),
		cmocka_unit_test(test_no_child),
		cmocka_unit_test(test_plain_child),
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_ipv6_connection),
		cmocka_unit_test(test_listener),
		cmocka_unit_test(test_harmless_sockets),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_harmless_mappings),
		cmocka_unit_test(test_io_uring),
		cmocka_unit_test(test_namespace),
		cmocka_unit_test(test_harmless_devices),
		cmocka_unit_test(test_whole_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
