/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_sysv.c - what /proc says of System V IPC; calls put into a process */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "inject.h"
#include "sysv_maps.h"
#include "util.h"

static void a_segment_is_parsed(void **state)
{
	struct sysv_segment s;

	(void)state;
	assert_true(sysv_parse_segment(
		" -559038737     131074  1640                  5000  1001  "
		"1003      2  1000   100  1000   100 1700000000          0 "
		"1700000000                  4096                  8192\n",
		&s));
	assert_int_equal(s.key, -559038737);
	assert_int_equal(s.id, 131074);
	assert_int_equal(s.mode, 01640);
	assert_int_equal(s.size, 5000);
	assert_int_equal(s.uid, 1000);
	assert_int_equal(s.gid, 100);
	assert_int_equal(s.rss, 4096);
	assert_int_equal(s.swap, 8192);
}

static void the_heading_is_no_segment(void **state)
{
	struct sysv_segment s;

	(void)state;
	assert_false(sysv_parse_segment(
		"       key      shmid perms                  size  cpid  lpid "
		"nattch   uid   gid  cuid  cgid      atime      dtime      "
		"ctime                   rss                  swap\n",
		&s));
	assert_false(sysv_parse_segment("1 2 600 4096 1 1\n", &s));
	assert_false(sysv_parse_segment("", &s));
}

static void names_are_told_apart(void **state)
{
	(void)state;
	assert_true(sysv_is_name("/SYSV00000000 (deleted)\n"));
	assert_true(sysv_is_name("/SYSV05e9c0de (deleted)"));
	assert_false(sysv_is_name("/SYSV05e9c0de"));
	assert_false(sysv_is_name("/SYSVfile (deleted)"));
	assert_false(sysv_is_name("/home/a/SYSV00000000 (deleted)"));
	assert_false(sysv_is_name("/SYSV0000000000 (deleted)"));
	assert_false(sysv_is_name("/dev/zero (deleted)"));
	assert_false(sysv_is_name(""));
}

static void a_piece_is_parsed(void **state)
{
	struct sysv_piece p;

	(void)state;
	assert_true(sysv_parse_piece(
		"7f52c8a00000-7f52c8a02000 r-xs 00003000 00:01 32769      "
		"              /SYSV0000162e (deleted)\n",
		&p));
	assert_int_equal(p.start, 0x7f52c8a00000);
	assert_int_equal(p.end, 0x7f52c8a02000);
	assert_int_equal(p.offset, 0x3000);
	assert_int_equal(p.major, 0);
	assert_int_equal(p.minor, 1);
	assert_int_equal(p.id, 32769);
	assert_int_equal(p.prot, PROT_READ | PROT_EXEC);
	assert_false(sysv_parse_piece(
		"7f52c8a00000-7f52c8a02000 rw-s 00000000 00:01 5 "
		"/dev/zero (deleted)\n",
		&p));
	assert_false(sysv_parse_piece(
		"7f52c8a00000-7f52c8a02000 rw-p 00000000 00:00 0 \n", &p));
}

static void only_the_whole_is_whole(void **state)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct sysv_piece p[3] = {
		{.start = 10 * page, .end = 11 * page},
		{.start = 11 * page, .end = 13 * page, .offset = page},
		{.start = 13 * page, .end = 14 * page, .offset = 3 * page},
	};

	(void)state;
	assert_true(sysv_is_whole(p, 1, page));
	assert_true(sysv_is_whole(p, 1, 1));
	assert_true(sysv_is_whole(p, 3, 3 * page + 1));
	assert_false(sysv_is_whole(p, 1, page + 1));
	assert_false(sysv_is_whole(p, 2, 4 * page));
	assert_false(sysv_is_whole(p + 1, 2, 3 * page));
	p[1].offset = 2 * page;
	assert_false(sysv_is_whole(p, 3, 4 * page));
}

static void a_wait_is_known(void **state)
{
	char text[128];
	uint64_t call[5];

	(void)state;
	snprintf(text, sizeof(text),
		"%d 0x8000 0x7ffd0 0x1 0x0 0x0 0x0 0x7ffc0 0x7f00\n",
		(int)SYS_semop);
	assert_true(sysv_parse_wait(text, call));
	assert_int_equal(call[0], SYS_semop);
	assert_int_equal(call[1], 0x8000);
	assert_int_equal(call[2], 0x7ffd0);
	assert_int_equal(call[3], 1);
	snprintf(text, sizeof(text),
		"%d 0x0 0x7ffd0 0x1 0x0 0x0 0x0 0x7ffc0 0x7f00\n",
		(int)SYS_semtimedop);
	assert_true(sysv_parse_wait(text, call));
	/* This one has a time limit, which would begin anew. */
	snprintf(text, sizeof(text),
		"%d 0x0 0x7ffd0 0x1 0x7ffe0 0x0 0x0 0x7ffc0 0x7f00\n",
		(int)SYS_semtimedop);
	assert_false(sysv_parse_wait(text, call));
	snprintf(text, sizeof(text),
		"%d 0x0 0x7ffd0 0x1 0x0 0x0 0x0 0x7ffc0 0x7f00\n",
		(int)SYS_read);
	assert_false(sysv_parse_wait(text, call));
	assert_false(sysv_parse_wait("running\n", call));
	assert_false(sysv_parse_wait("-1 0x7ffc0 0x7f00\n", call));
}

#if defined(__x86_64__)
static void an_interrupted_call_is_begun_again(void **state)
{
	inject_regs r = {.rip = 1002, .rax = (unsigned long long)-512LL};

	(void)state;
	r.orig_rax = SYS_read;
	inject_settle(&r);
	assert_int_equal(r.rip, 1000);
	assert_int_equal(r.rax, SYS_read);
	r = (inject_regs){.rip = 1002, .rax = (unsigned long long)-516LL};
	r.orig_rax = SYS_nanosleep;
	inject_settle(&r);
	assert_int_equal(r.rip, 1000);
	assert_int_equal(r.rax, SYS_restart_syscall);
}

static void other_registers_stay(void **state)
{
	inject_regs r = {.rip = 1002, .rax = (unsigned long long)-4LL};

	(void)state;
	r.orig_rax = SYS_read;
	inject_settle(&r);
	assert_int_equal(r.rip, 1002);
	/* This was no system call, whatever its register has. */
	r.rax = (unsigned long long)-512LL;
	r.orig_rax = (unsigned long long)-1;
	inject_settle(&r);
	assert_int_equal(r.rip, 1002);
	assert_int_equal((long long)r.rax, -512);
}
#endif

/* A child that sleeps in read(2) until it gets a byte, and ends with it. */
static pid_t start_reader(int *to)
{
	int fds[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) == 1 ? byte : 99);
	}
	assert_true(pid > 0);
	close(fds[0]);
	*to = fds[1];
	return pid;
}

static void a_process_does_a_call_and_goes_on(void **state)
{
	uint64_t none[6] = {0};
	struct inject in;
	struct err err = {0};
	int64_t result = 0;
	int to, status;
	pid_t pid = start_reader(&to);

	(void)state;
	if (!INJECT_WORKS)
		skip();
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL,
				 (void *)(intptr_t)PTRACE_O_TRACESYSGOOD),
		0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_int_equal(inject_begin(&in, pid, &err), 0);
	assert_int_equal(inject_call(&in, SYS_getpid, none, &result, &err), 0);
	assert_int_equal(result, pid);
	/* One that fails, and has arguments. */
	none[0] = 12345;
	assert_int_equal(inject_call(&in, SYS_close, none, &result, &err), 0);
	assert_int_equal(result, -EBADF);
	assert_int_equal(inject_end(&in, &err), 0);
	assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
	assert_int_equal(write(to, "\7", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	close(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_is_parsed),
		cmocka_unit_test(the_heading_is_no_segment),
		cmocka_unit_test(names_are_told_apart),
		cmocka_unit_test(a_piece_is_parsed),
		cmocka_unit_test(only_the_whole_is_whole),
		cmocka_unit_test(a_wait_is_known),
#if defined(__x86_64__)
		cmocka_unit_test(an_interrupted_call_is_begun_again),
		cmocka_unit_test(other_registers_stay),
#endif
		cmocka_unit_test(a_process_does_a_call_and_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
