/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"
#include "util.h"

/* A configuration of nothing but one hook, and a file that hooks write to. */
struct fixture {
	char path[40];
	struct config cfg;
	struct hook_facts facts;
};

static char none[] = "";

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	int fd;

	*state = f;
	snprintf(f->path, sizeof(f->path), "/tmp/test_hooks.XXXXXX");
	fd = mkstemp(f->path);
	for (size_t i = 0; i < N_HOOKS; i++)
		f->cfg.hook[i] = none;
	f->facts = (struct hook_facts){
		.chain = "c", .dir = "/d", .step = 2, .leg = 3, .gen = 4};
	return fd < 0 || close(fd) || setenv("F", f->path, 1);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int ret = unlink(f->path);

	free(f);
	return ret;
}

static int run(struct fixture *f, enum hook_at at, const char *site,
	const char *user, struct err *err)
{
	auto_free char *a = site ? xstrdup(site) : NULL;
	auto_free char *b = xstrdup(user);
	int ret;

	*err = (struct err){0};
	f->facts.at = at;
	f->cfg.site_hook[at] = a;
	f->cfg.hook[at] = b;
	ret = hooks_run(&f->cfg, &f->facts, 20, err);
	f->cfg.site_hook[at] = NULL;
	f->cfg.hook[at] = none;
	return ret;
}

static void expect_file(const struct fixture *f, const char *text)
{
	auto_free char *is =
		read_file_at(AT_FDCWD, f->path, 1 << 16, NULL, NULL);

	assert_non_null(is);
	assert_string_equal(is, text);
	assert_int_equal(truncate(f->path, 0), 0);
}

static void expect_error(const struct err *err, const char *text)
{
	if (!strstr(err->text, text))
		fail_msg("no '%s' in '%s'", text, err->text);
}

static void test_wanted(void **state)
{
	struct fixture *f = *state;
	char command[] = "true";

	assert_false(hooks_wanted(&f->cfg, HOOK_ON_FINISH));
	f->cfg.hook[HOOK_ON_FINISH] = command;
	assert_true(hooks_wanted(&f->cfg, HOOK_ON_FINISH));
	f->cfg.hook[HOOK_ON_FINISH] = none;
	f->cfg.site_hook[HOOK_ON_FINISH] = command;
	assert_true(hooks_wanted(&f->cfg, HOOK_ON_FINISH));
	assert_false(hooks_wanted(&f->cfg, HOOK_BEFORE_DUMP));
	f->cfg.site_hook[HOOK_ON_FINISH] = NULL;
}

static void test_the_site_comes_first(void **state)
{
	struct fixture *f = *state;
	struct err err;

	assert_int_equal(run(f, HOOK_BEFORE_DUMP, "echo site >>$F",
				 "echo user >>$F", &err),
		0);
	expect_file(f, "site\nuser\n");
}

static void test_a_refusal_is_the_last_word(void **state)
{
	struct fixture *f = *state;
	struct err err;

	assert_int_equal(
		run(f, HOOK_BEFORE_DUMP, "exit 3", "echo user >>$F", &err), -1);
	expect_file(f, "");
	expect_error(&err, "before_dump of the site");
	expect_error(&err, "status 3: exit 3");
	assert_int_equal(
		run(f, HOOK_BEFORE_RESTORE, "true", "exit 4", &err), -1);
	expect_error(&err, "before_restore of the user");
	expect_error(&err, "status 4");
}

/* What comes afterwards is done by all; the first failure is told. */
static void test_afterwards_all_run(void **state)
{
	struct fixture *f = *state;
	struct err err;

	assert_int_equal(run(f, HOOK_AFTER_DUMP, "exit 3",
				 "echo user >>$F; exit 4", &err),
		-1);
	expect_file(f, "user\n");
	expect_error(&err, "of the site");
	assert_int_equal(run(f, HOOK_ON_FINISH, NULL, "exit 4", &err), -1);
	expect_error(&err, "on_finish of the user");
}

static void test_how_it_ended(void **state)
{
	struct fixture *f = *state;
	struct err err;

	assert_int_equal(
		run(f, HOOK_AFTER_DUMP, NULL, "kill -SEGV $$", &err), -1);
	expect_error(&err, "died of SIGSEGV");
	assert_int_equal(
		run(f, HOOK_AFTER_DUMP, NULL, "/nonexistent/x", &err), -1);
	expect_error(&err, "status 127");
}

/* With all that it has started: these keep the FIFO open for writing. */
static void test_the_limit(void **state)
{
	struct fixture *f = *state;
	char command[] = "sleep 1000 & echo begun >>$F; sleep 1000";
	int fds[2];
	struct err err = {0};
	char byte;

	f->facts.at = HOOK_BEFORE_DUMP;
	f->cfg.hook[HOOK_BEFORE_DUMP] = command;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(hooks_run(&f->cfg, &f->facts, 0.5, &err), -1);
	f->cfg.hook[HOOK_BEFORE_DUMP] = none;
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 0);
	close(fds[0]);
	expect_error(&err, "killed after 0.5");
	expect_file(f, "begun\n");
}

static void test_the_environment(void **state)
{
	struct fixture *f = *state;
	struct err err;

	f->facts.leaving = true;
	f->facts.status = 1;
	f->facts.bytes = 5000000000;
	f->facts.memory = 6;
	f->facts.seconds = 1.25;
	snprintf(f->facts.reason, sizeof(f->facts.reason), "it's \"so\"");
	assert_int_equal(
		run(f, HOOK_AFTER_DUMP, NULL,
			"for v in EVENT CHAIN DIR STEP LEG GENERATION LEAVING "
			"STATUS REASON SECONDS BYTES MEMORY; do "
			"eval \"echo \\\"\\$CHECKPOINTER_$v\\\"\"; done >$F",
			&err),
		0);
	expect_file(f, "after_dump\nc\n/d\n2\n3\n4\nyes\n1\nit's \"so\"\n"
		       "1.250\n5000000000\n6\n");
}

/* Neither standard input nor output is that of the command. */
static void test_the_streams(void **state)
{
	struct fixture *f = *state;
	struct err err;

	assert_int_equal(run(f, HOOK_AFTER_DUMP, NULL,
				 "cat >$F; [ /dev/fd/1 -ef /dev/fd/2 ]", &err),
		0);
	expect_file(f, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wanted),
		TEST(test_the_site_comes_first),
		TEST(test_a_refusal_is_the_last_word),
		TEST(test_afterwards_all_run),
		TEST(test_how_it_ended),
		TEST(test_the_limit),
		TEST(test_the_environment),
		TEST(test_the_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
