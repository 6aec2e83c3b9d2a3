/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "criu_log.h"
#include "engine.h"
#include "tree.h"
#include "util.h"

/* What every log of an unprivileged criu begins with. */
#define HEAD                                                                   \
	"(00.000001) Version: 4.1.1 (gitid 0)\n"                               \
	"(00.000012) Running on node1 Linux 6.12.0 x86_64\n"                   \
	"(00.000303) Error (criu/util.c:1533): rlimit: Can't setup "           \
	"RLIMIT_NOFILE for self: Operation not permitted\n"                    \
	"(00.000500) Warn  (criu/kerndat.c:1103): $XDG_RUNTIME_DIR not set.\n" \
	"(00.004100) Error (criu/kerndat.c:1): net: Unexpected error: "        \
	"-1(Operation not permitted)\n"

static void explain(const char *log, struct err *err)
{
	memset(err, 0, sizeof(*err));
	criu_log_explain(log, "the dump failed", err);
	if (strncmp(err->text, "the dump failed", 15) != 0)
		fail_msg("does not begin with what failed: %s", err->text);
	if (strchr(err->text, '\n'))
		fail_msg("more than one line: %s", err->text);
}

static void has(const struct err *err, const char *text)
{
	if (!strstr(err->text, text))
		fail_msg("no '%s' in: %s", text, err->text);
}

static void has_not(const struct err *err, const char *text)
{
	if (strstr(err->text, text))
		fail_msg("'%s' in: %s", text, err->text);
}

static void test_hints(void **state)
{
	static const struct {
		const char *line, *hint;
	} cases[] = {
		{"(00.010000) pie: 1002: Error (criu/pie/parasite-vdso.c:250): "
		 "vdso: Unexpected rt vDSO area bounds",
			"CRIU 4.1"},
		{"(00.010000) Error (criu/files-ext.c:98): Can't dump file 18 "
		 "of that type [600] (unknown anon_inode:[io_uring])",
			"io_uring = deny"},
		{"(00.010000) Error (criu/sk-inet.c:191): inet: Connected TCP "
		 "socket, consider using --tcp-established option.",
			"network connection"},
		{"(00.010000) Error (criu/sockets.c:620): sockets: Can't get "
		 "1:16 opt: Operation not supported",
			"CRIU 4.2"},
		{"(00.010000) Error (criu/sk-unix.c:824): unix: External "
		 "socket is used. Consider using --ext-unix-sk option.",
			"outside the command"},
		{"(00.010000) Error (criu/proc_parse.c:150): Can't open mapfile"
		 " link 7f0000000000: Operation not permitted",
			"multiprocessing"},
		{"(00.010000) Error (criu/tty.c:1950): tty: Found dangling tty "
		 "with sid 812 pgid 812 (pts) on peer fd 0.",
			"terminal"},
		{"(00.010000) Error (criu/files-reg.c:1043): Can't dump ghost "
		 "file /home/a/x of 2097152 size, increase limit",
			"ghost_limit"},
		{"(00.010000) Error (criu/page-xfer.c:270): page-xfer: Can't "
		 "write pages: No space left on device",
			"full"},
		{"(00.010000) Error (criu/page-xfer.c:270): page-xfer: Can't "
		 "write pages: Disk quota exceeded",
			"quota"},
		{"(00.010000)   1002: Error (criu/files-reg.c:2143): File "
		 "home/a/data has bad size 10 (expect 20)",
			"changed since"},
		{"(00.010000)   1002: Error (criu/files-reg.c:2076): File "
		 "usr/bin/x has bad build-ID",
			"program or library"},
		{"(00.010000)   1002: Error (criu/files-reg.c:2217): Can't "
		 "open file home/a/gone on restore: No such file or directory",
			"missing here"},
		{"(00.010000) Error (criu/cr-restore.c:1500): Can't fork for "
		 "1002: File exists",
			"process number"},
		{"(00.010000) Error (compel/src/lib/infect.c:302): Can't seize "
		 "task 1002: Operation not permitted",
			"ptrace"},
		{"(00.010000) Error (criu/cr-restore.c:1): prctl: Operation "
		 "not permitted",
			"privilege"},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < LEN(cases); i++) {
		auto_free char *log = xasprintf(HEAD
			"%s\n"
			"(00.020000) Error (criu/cr-dump.c:2111): Dumping "
			"FAILED.\n",
			cases[i].line);
		const char *said = strstr(cases[i].line, "): ");

		print_message("%s\n", cases[i].line);
		explain(log, &err);
		has(&err, cases[i].hint);
		/* What criu said itself is in it as well. */
		assert_non_null(said);
		has(&err, said + 3);
	}
}

static void test_unknown_error(void **state)
{
	struct err err;

	(void)state;
	explain(HEAD "(00.010000) Error (criu/x.c:1): something new\n"
		     "(00.020000) Error (criu/y.c:2): its consequence\n",
		&err);
	assert_string_equal(err.text, "the dump failed: criu: something new");
}

static void test_no_error(void **state)
{
	static const char *const logs[] = {"", "\n", "\n\n\n", HEAD,
		HEAD "(00.1) Error (criu/cr-dump.c:2111): Dumping FAILED.\n",
		HEAD "(00.1) Error (criu/cr-restore.c:1): Restoring FAILED.",
		"(00.1) Warn  (criu/a.c:1): Can't infect\n"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < LEN(logs); i++) {
		explain(logs[i], &err);
		assert_string_equal(
			err.text, "the dump failed (criu gave no reason)");
	}
}

/* Advice is about the first real error, not about what comes after it. */
static void test_harmless_lines_give_no_advice(void **state)
{
	struct err err;

	(void)state;
	explain("(00.010000) Error (criu/x.c:1): something new\n" HEAD, &err);
	has_not(&err, "privilege");
	assert_string_equal(err.text, "the dump failed: criu: something new");
}

static void test_the_first_error_counts(void **state)
{
	struct err err;

	(void)state;
	explain(HEAD
		"(00.010000) Error (criu/a.c:1): inet: Connected TCP socket\n"
		"(00.020000) Error (criu/b.c:2): Can't write: No space left on "
		"device\n",
		&err);
	has(&err, "network connection");
	has_not(&err, "full");
	explain(HEAD
		"(00.010000) Error (criu/b.c:2): Can't write: No space left on "
		"device\n"
		"(00.020000) Error (criu/a.c:1): inet: Connected TCP socket\n",
		&err);
	has(&err, "full");
	has_not(&err, "network connection");
}

static void test_torn_log(void **state)
{
	static const char log[] =
		HEAD "(00.010000) Error (criu/x.c:1): something new\n";
	struct err err;

	(void)state;
	for (size_t n = 0; n < sizeof(log); n++) {
		auto_free char *head = xasprintf("%.*s", (int)n, log);

		explain(head, &err);
		assert_true(err.text[0]);
	}
	has(&err, "something new");
}

static void test_long_line(void **state)
{
	char log[4096];
	struct err err;

	(void)state;
	memset(log, 'x', sizeof(log) - 1);
	memcpy(log, "Error (a.c:1): ", 15);
	log[sizeof(log) - 1] = '\0';
	explain(log, &err);
	has(&err, "xxxx");
}

/* --- engine_find --- */

struct fixture {
	char dir[64], *path;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	const char *path = getenv("PATH");

	*state = f;
	f->path = path ? xstrdup(path) : NULL;
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_engine.XXXXXX");
	return mkdtemp(f->dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc;

	if (f->path)
		rc = setenv("PATH", f->path, 1);
	else
		rc = unsetenv("PATH");
	if (!rc)
		rc = remove_tree(f->dir);
	free(f->path);
	free(f);
	return rc;
}

static char *program(const struct fixture *f, const char *name, mode_t mode)
{
	char *path = xasprintf("%s/%s", f->dir, name);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	return path;
}

static void test_find_by_path(void **state)
{
	const struct fixture *f = *state;
	auto_free char *yes = program(f, "criu-yes", 0755);
	auto_free char *no = program(f, "criu-no", 0644);
	auto_free char *gone = xasprintf("%s/criu-gone", f->dir);
	struct err err = {0};
	char path[4096];

	assert_int_equal(engine_find(yes, path, sizeof(path), &err), 0);
	assert_string_equal(path, yes);
	assert_int_equal(engine_find(no, path, sizeof(path), &err), -1);
	assert_int_equal(err.num, EACCES);
	assert_non_null(strstr(err.text, no));
	assert_int_equal(engine_find(gone, path, sizeof(path), &err), -1);
	assert_int_equal(err.num, ENOENT);
}

static void test_find_by_name(void **state)
{
	const struct fixture *f = *state;
	auto_free char *yes = program(f, "criu-yes", 0755);
	auto_free char *no = program(f, "criu-no", 0644);
	auto_free char *path_var = xasprintf("/nonexistent::%s", f->dir);
	struct err err = {0};
	char path[4096];

	assert_non_null(no);
	assert_int_equal(setenv("PATH", path_var, 1), 0);
	assert_int_equal(engine_find("criu-yes", path, sizeof(path), &err), 0);
	assert_string_equal(path, yes);
	assert_int_equal(engine_find("criu-no", path, sizeof(path), &err), -1);
	/* It says what to do. */
	assert_non_null(strstr(err.text, "criu-no"));
	assert_non_null(strstr(err.text, "criu.binary="));
	assert_int_equal(unsetenv("PATH"), 0);
	assert_int_equal(engine_find("criu-yes", path, sizeof(path), NULL), -1);
	assert_int_equal(engine_find("sh", path, sizeof(path), NULL), 0);
}

/* The path is used later, from another directory. */
static void test_find_gives_absolute_paths(void **state)
{
	const struct fixture *f = *state;
	auto_free char *yes = program(f, "criu-yes", 0755);
	char path[4096];
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_non_null(yes);
	assert_int_equal(chdir(f->dir), 0);
	assert_int_equal(setenv("PATH", ".:", 1), 0);
	assert_int_equal(engine_find("criu-yes", path, sizeof(path), NULL), -1);
	assert_int_equal(fchdir(here), 0);
	close(here);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_unknown_error),
		cmocka_unit_test(test_no_error),
		cmocka_unit_test(test_harmless_lines_give_no_advice),
		cmocka_unit_test(test_the_first_error_counts),
		cmocka_unit_test(test_torn_log),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test_setup_teardown(
			test_find_by_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_find_by_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_find_gives_absolute_paths, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
