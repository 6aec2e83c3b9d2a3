/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>

#include "util.h"

#define DAY 86400.0

static void test_parse_duration(void **state)
{
	static const struct {
		const char *text;
		double seconds;
	} good[] = {
		{"0", 0},
		{"90", 90},
		{"90s", 90},
		{"10m", 600},
		{"2h30m", 9000},
		{"1h30m10s", 5410},
		{"1d", DAY},
		{"1d1s", DAY + 1},
		{"1.5h", 5400},
		{"0.25", 0.25},
		{"0.1s", 0.1},
		{"30:00", 1800},
		{"0:05", 5},
		{"1:30:00", 5400},
		{"1-12", 1.5 * DAY},
		{"1-12:30", 1.5 * DAY + 1800},
		{"1-12:00:00", 1.5 * DAY},
		{"90:00", 5400},
		{"3650d", 3650 * DAY},
	};
	double seconds;
	size_t i;

	(void)state;
	for (i = 0; i < LEN(good); i++) {
		struct err err = {0};

		print_message("%s\n", good[i].text);
		assert_int_equal(
			parse_duration(good[i].text, &seconds, &err), 0);
		assert_true(seconds == good[i].seconds);
		assert_string_equal(err.text, "");
	}
}

static void test_parse_count(void **state)
{
	static const char *const bad[] = {"", "0", "-1", "+1", "1.5", "3x", "x",
		" 3", "1000000", "99999999999999999999999"};
	struct err err;
	unsigned n = 0;

	(void)state;
	assert_int_equal(parse_count("1", &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(parse_count("0012", &n, &err), 0);
	assert_int_equal(n, 12);
	assert_int_equal(parse_count("999999", &n, &err), 0);
	assert_int_equal(n, 999999);
	for (size_t i = 0; i < LEN(bad); i++)
		assert_int_equal(parse_count(bad[i], &n, &err), -1);
	assert_int_equal(n, 999999);
}

static void test_bad_duration(void **state)
{
	static const char *const bad[] = {"", " ", "xx", "-1", "-", "1-", "+5",
		"1 h", " 1", "1 ", "1h30", "30m1h", "1h1h", "1x", "m", "nan",
		"inf", "0x10", "1e3", "1.", ".5", "1.2.3", ":", "1:", ":30",
		"1:2:3:4", "1-1:2:3:4", "1-1-1", "1:30.5", "1.5-1", "1h:30",
		"1:30h", "99999999999999999999", "none", "UNLIMITED"};
	static const char *const large[] = {"3651d", "400000000", "3651-0",
		"100000:00:00", "18446744073709551615d"};
	size_t i;

	(void)state;
	for (i = 0; i < LEN(bad); i++) {
		struct err err = {0};
		double seconds = 42;

		print_message("'%s'\n", bad[i]);
		assert_int_equal(parse_duration(bad[i], &seconds, &err), -1);
		assert_true(seconds == 42);
		assert_non_null(strstr(err.text, "bad duration"));
		assert_non_null(strstr(err.text, bad[i]));
		assert_int_equal(parse_duration(bad[i], &seconds, NULL), -1);
	}
	for (i = 0; i < LEN(large); i++) {
		struct err err = {0};
		double seconds;

		print_message("'%s'\n", large[i]);
		assert_int_equal(parse_duration(large[i], &seconds, &err), -1);
		assert_non_null(strstr(err.text, "ten years"));
	}
}

static void test_parse_size(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"64K", 65536},
		{"64k", 65536},
		{"1.5G", 1610612736},
		{"2T", 2199023255552},
		{"1KB", 1024},
		{"1KiB", 1024},
		{"10B", 10},
		{"1P", (uint64_t)1 << 50},
		{"15E", (uint64_t)15 << 60},
		{"18446744073709551615", UINT64_MAX},
	};
	static const char *const bad[] = {"", "x", "-1", "1X", "1KK", "1 K",
		"1Kx", "K", "nan", "1.5.5", "16E", "18446744073709551616",
		"1iB", "0x10"};
	uint64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < LEN(good); i++) {
		print_message("%s\n", good[i].text);
		assert_int_equal(parse_size(good[i].text, &bytes, NULL), 0);
		assert_true(bytes == good[i].bytes);
	}
	for (i = 0; i < LEN(bad); i++) {
		struct err err = {0};

		print_message("'%s'\n", bad[i]);
		assert_int_equal(parse_size(bad[i], &bytes, &err), -1);
		assert_non_null(strstr(err.text, bad[i]));
	}
}

static void test_signals(void **state)
{
	static const struct {
		const char *text;
		int number;
	} some[] = {
		{"USR1", SIGUSR1},
		{"SIGUSR1", SIGUSR1},
		{"sigusr2", SIGUSR2},
		{"term", SIGTERM},
		{"10", 10},
		{"SIG42", 42},
		{"42", 42},
		{"IO", SIGIO},
		{"POLL", SIGPOLL},
		{"CLD", SIGCHLD},
		{"", -1},
		{"SIG", -1},
		{"USR3", -1},
		{"0", -1},
		{"-1", -1},
		{"65", -1},
		{"32", -1},
		{"10x", -1},
		{"10.5", -1},
		{"SIGSIGUSR1", -1},
		{"99999999999999999999", -1},
		{"4294967306", -1},
	};
	size_t i;
	int sig;

	(void)state;
	for (i = 0; i < LEN(some); i++) {
		print_message("'%s'\n", some[i].text);
		assert_int_equal(parse_signal(some[i].text), some[i].number);
	}
	assert_string_equal(signal_name(SIGUSR1), "USR1");
	assert_string_equal(signal_name(SIGIO), "IO");
	assert_string_equal(signal_name(SIGCHLD), "CHLD");
	assert_string_equal(signal_name(42), "SIG42");
	assert_string_equal(signal_name(0), "SIG?");
	assert_string_equal(signal_name(-1), "SIG?");
	assert_string_equal(signal_name(1000), "SIG?");
	for (sig = 1; sig <= SIGRTMAX; sig++) {
		if (sig < 32 || sig >= SIGRTMIN)
			assert_int_equal(parse_signal(signal_name(sig)), sig);
	}
}

static void test_did_you_mean(void **state)
{
	static const char *const words[] = {
		"dir", "margin", "interval", "keep", "max_legs", "look_after"};
	static const struct {
		const char *word, *meant;
	} some[] = {
		{"margn", "margin"},
		{"amrgin", "margin"},
		{"marginn", "margin"},
		{"Margin", "margin"},
		{"maxlegs", "max_legs"},
		{"maks_legs", "max_legs"},
		{"max-legs", "max_legs"},
		{"lookafter", "look_after"},
		{"kep", "keep"},
		{"dri", "dir"},
		{"di", NULL},
		{"", NULL},
		{"di_dir", NULL},
		{"colour", NULL},
		{"xyz", NULL},
		{"interval_of_checkpoints_that_are_to_be_taken_by_the_"
		 "program",
			NULL},
	};
	size_t i;

	(void)state;
	for (i = 0; i < LEN(some); i++) {
		const char *near =
			did_you_mean(some[i].word, words, LEN(words));

		print_message("%s: %s\n", some[i].word, near ? near : "-");
		if (some[i].meant)
			assert_string_equal(near, some[i].meant);
		else
			assert_null(near);
	}
	assert_null(did_you_mean("margin", NULL, 0));
}

static void test_moment(void **state)
{
	struct tm tm = {.tm_year = 126,
		.tm_mon = 0,
		.tm_mday = 1,
		.tm_hour = 14,
		.tm_min = 2,
		.tm_sec = 31,
		.tm_isdst = -1};
	double t = (double)mktime(&tm);
	char buf[32];

	(void)state;
	assert_string_equal(show_moment(t, t + 60, buf), "14:02:31");
	assert_string_equal(
		show_moment(t, t + 12 * 3600, buf), "yesterday 14:02");
	assert_string_equal(show_moment(t, t + 72 * 3600, buf), "01 Jan 14:02");
	/* Yesterday may be of the year before; a day before that is not. */
	assert_string_equal(show_moment(t - 86400, t, buf), "yesterday 14:02");
	assert_string_equal(
		show_moment(t - 2 * 86400, t, buf), "30 Dec 2025 14:02");
}

static void test_show(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} times[] = {
		{0, "0 s"},
		{-3, "0 s"},
		{0.002, "0.01 s"},
		{0.034, "0.034 s"},
		{0.44, "0.44 s"},
		{0.999, "1 s"},
		{9, "9 s"},
		{9.96, "10 s"},
		{1.5, "1.5 s"},
		{59.4, "59 s"},
		{59.9, "1 min"},
		{125, "2 min 5 s"},
		{3600, "1 h"},
		{3780, "1 h 3 min"},
		{2 * DAY + 3 * 3600, "2 d 3 h"},
		{1e300, "forever"},
	};
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{0, "0 B"},
		{999, "999 B"},
		{1000, "1.0 KB"},
		{1023, "1.0 KB"},
		{812 * 1024, "812 KB"},
		{1503238553, "1.4 GB"},
		{UINT64_MAX, "16 EB"},
	};
	char buf[32];
	size_t i;

	(void)state;
	for (i = 0; i < LEN(times); i++)
		assert_string_equal(
			show_duration(times[i].seconds, buf), times[i].text);
	for (i = 0; i < LEN(sizes); i++)
		assert_string_equal(
			show_size(sizes[i].bytes, buf), sizes[i].text);
}

static void test_hash(void **state)
{
	(void)state;
	/* The published values of 64-bit FNV-1a. */
	assert_true(hash_text("", 0) == 0xcbf29ce484222325);
	assert_true(hash_text("a", 0) == 0xaf63dc4c8601ec8c);
	assert_true(hash_text("foobar", 0) == 0x85944171f73967e8);
	assert_true(hash_text("bar", hash_text("foo", 0)) ==
		    hash_text("foobar", 0));
}

static void test_clocks(void **state)
{
	double wall = now_wall(), mono = now_mono();

	(void)state;
	assert_true(wall > 1.6e9);
	assert_true(now_mono() >= mono);
}

static void test_memory(void **state)
{
	auto_free char *zero = xcalloc(0, 0);
	auto_free char *copy = xstrdup("text");
	auto_free char *made = xasprintf("%s %d", copy, 3);

	(void)state;
	assert_non_null(zero);
	assert_string_equal(made, "text 3");
}

/* Files. */

struct dir {
	char path[64];
	int fd;
};

static int make_dir(void **state)
{
	struct dir *dir = xcalloc(1, sizeof(*dir));

	snprintf(dir->path, sizeof(dir->path), "/tmp/test_util.XXXXXX");
	*state = dir;
	if (!mkdtemp(dir->path))
		return -1;
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir->fd < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
	struct dir *dir = *state;
	auto_free char *command = xasprintf("rm -rf '%s'", dir->path);
	int rc = system(command); /* NOLINT(cert-env33-c) */

	close(dir->fd);
	free(dir);
	return rc;
}

static void test_write_and_read(void **state)
{
	struct dir *dir = *state;
	auto_free char *big = xcalloc(1, 100001);
	auto_free char *path = xasprintf("%s/abs", dir->path);
	struct stat st;
	size_t len = 0;
	char *text;

	assert_int_equal(write_file_at(dir->fd, "a", "one", 3, NULL), 0);
	assert_int_equal(write_file_at(dir->fd, "a", "tw\0o", 4, NULL), 0);
	text = read_file_at(dir->fd, "a", 4, &len, NULL);
	assert_int_equal(len, 4);
	assert_memory_equal(text, "tw\0o", 5);
	free(text);
	assert_int_equal(fstatat(dir->fd, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fstatat(dir->fd, "a.new", &st, 0), -1);

	assert_int_equal(write_file_at(dir->fd, "none", "", 0, NULL), 0);
	text = read_file_at(dir->fd, "none", 0, NULL, NULL);
	assert_string_equal(text, "");
	free(text);

	memset(big, 'x', 100000);
	assert_int_equal(write_file_at(AT_FDCWD, path, big, 100000, NULL), 0);
	text = read_file_at(AT_FDCWD, path, 100000, &len, NULL);
	assert_int_equal(len, 100000);
	assert_string_equal(text, big);
	free(text);
}

/* A file whose size is told as 0. */
static void test_read_proc(void **state)
{
	struct err err = {0};
	size_t len = 0;
	auto_free char *text = read_file_at(
		AT_FDCWD, "/proc/self/mountinfo", 1 << 24, &len, &err);

	(void)state;
	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	assert_true(len > 0);
	assert_null(
		read_file_at(AT_FDCWD, "/proc/self/mountinfo", 10, NULL, &err));
	assert_int_equal(err.num, EFBIG);
}

static void test_refused(void **state)
{
	struct dir *dir = *state;
	static const struct {
		const char *name, *text;
		int num;
	} bad[] = {
		{"absent", "absent: No such file", ENOENT},
		{"link", "link is a symbolic link", 0},
		{"dir", "dir is not a regular file", 0},
		{"fifo", "fifo is not a regular file", 0},
		{"five", "five has more than 4 bytes", EFBIG},
	};
	size_t i;

	assert_int_equal(write_file_at(dir->fd, "five", "12345", 5, NULL), 0);
	assert_int_equal(symlinkat("five", dir->fd, "link"), 0);
	assert_int_equal(mkdirat(dir->fd, "dir", 0700), 0);
	assert_int_equal(mkfifoat(dir->fd, "fifo", 0600), 0);
	for (i = 0; i < LEN(bad); i++) {
		struct err err = {0};

		assert_null(read_file_at(dir->fd, bad[i].name, 4, NULL, &err));
		assert_non_null(strstr(err.text, bad[i].text));
		assert_int_equal(err.num, bad[i].num);
		assert_null(read_file_at(dir->fd, bad[i].name, 4, NULL, NULL));
	}
}

/* A link that waits under the name of the new file is not written through. */
static void test_write_past_link(void **state)
{
	struct dir *dir = *state;
	struct stat st;
	char *text;

	assert_int_equal(write_file_at(dir->fd, "victim", "safe", 4, NULL), 0);
	assert_int_equal(symlinkat("victim", dir->fd, "b.new"), 0);
	assert_int_equal(write_file_at(dir->fd, "b", "bbbb", 4, NULL), 0);
	text = read_file_at(dir->fd, "victim", 100, NULL, NULL);
	assert_string_equal(text, "safe");
	free(text);
	assert_int_equal(fstatat(dir->fd, "b", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void test_write_fails(void **state)
{
	struct dir *dir = *state;
	struct err err = {0};
	struct stat st;

	assert_int_equal(write_file_at(dir->fd, "no/such", "x", 1, &err), -1);
	assert_int_equal(err.num, ENOENT);
	assert_non_null(strstr(err.text, "no/such.new"));
	assert_int_equal(mkdirat(dir->fd, "taken", 0700), 0);
	assert_int_equal(write_file_at(dir->fd, "taken", "x", 1, &err), -1);
	assert_non_null(strstr(err.text, "rename"));
	assert_int_equal(fstatat(dir->fd, "taken.new", &st, 0), -1);
}

static void test_write_all(void **state)
{
	int fds[2];
	char buf[4];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write_all(fds[1], "abc", 3), 0);
	assert_int_equal(read(fds[0], buf, sizeof(buf)), 3);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(write_all(fds[1], "abc", 3), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(write_all(fds[1], "", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_duration),
		cmocka_unit_test(test_bad_duration),
		cmocka_unit_test(test_parse_count),
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_did_you_mean),
		cmocka_unit_test(test_moment),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_memory),
		cmocka_unit_test_setup_teardown(
			test_write_and_read, make_dir, remove_dir),
		cmocka_unit_test(test_read_proc),
		cmocka_unit_test_setup_teardown(
			test_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			test_write_past_link, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			test_write_fails, make_dir, remove_dir),
		cmocka_unit_test(test_write_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
