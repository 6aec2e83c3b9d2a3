/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <regex.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define TIME "[0-9-]{10}T[0-9:]{8}[+-][0-9]{2}:[0-9]{2} "

/* Standard error, and the log of a chain, are files. */
struct fixture {
	char err[40], chain[40];
	int saved, fd;
};

static int make(char path[40])
{
	snprintf(path, 40, "/tmp/test_log.XXXXXX");
	return mkstemp(path);
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	auto_close int to = make(f->err);
	auto_close int chain = make(f->chain);

	*state = f;
	f->fd = open(f->chain, O_RDWR | O_APPEND | O_CLOEXEC);
	f->saved = dup(STDERR_FILENO);
	return to < 0 || chain < 0 || f->fd < 0 || f->saved < 0 ||
	       dup2(to, STDERR_FILENO) < 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int ret = dup2(f->saved, STDERR_FILENO);

	log_set_chain(-1, 0, 0);
	log_set_timestamps(false);
	log_set_level(LOG_INFO);
	close(f->saved);
	close(f->fd);
	if (unlink(f->err) || unlink(f->chain))
		ret = -1;
	free(f);
	return ret < 0;
}

/* The whole file, as an extended regular expression. */
static void expect(const char *path, const char *pattern)
{
	auto_free char *text =
		read_file_at(AT_FDCWD, path, 1 << 22, NULL, NULL);
	auto_free char *whole = xasprintf("^%s$", pattern);
	regex_t r;

	assert_non_null(text);
	assert_int_equal(regcomp(&r, whole, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&r, text, 0, NULL, 0))
		fail_msg("not '%s':\n%s", pattern, text);
	regfree(&r);
}

static void test_levels(void **state)
{
	const struct fixture *f = *state;

	log_error("one %d", 1);
	log_warn("two");
	log_info("three");
	log_debug("four");
	expect(f->err, "checkpointer: error: one 1\n"
		       "checkpointer: warning: two\ncheckpointer: three\n");
}

static void test_timestamps(void **state)
{
	const struct fixture *f = *state;

	log_set_timestamps(true);
	log_info("text");
	expect(f->err, TIME "checkpointer: text\n");
}

/* Whatever is shown; what is not asked for is left out there, too. */
static void test_a_chain_is_told_all(void **state)
{
	const struct fixture *f = *state;

	log_set_level(LOG_ERROR);
	log_set_chain(f->fd, 3, 0);
	log_info("early");
	log_set_chain(f->fd, 3, 2);
	log_warn("later");
	log_debug("left out");
	log_set_level(LOG_DEBUG);
	log_debug("shown");
	log_set_chain(-1, 0, 0);
	log_info("behind");
	expect(f->err, "checkpointer: debug: step 2: shown\n"
		       "checkpointer: behind\n");
	expect(f->chain, TIME "leg 3: early\n" TIME
			      "leg 3, step 2: warning: later\n" TIME
			      "leg 3, step 2: debug: shown\n");
}

/* Where jobs have numbers; a file of all messages may be that of several. */
static void test_a_job_is_named(void **state)
{
	const struct fixture *f = *state;

	log_set_job("4711");
	log_set_file(f->fd);
	log_info("before the leg");
	log_set_chain(f->fd, 3, 2);
	log_warn("text");
	log_set_chain(-1, 0, 0);
	log_set_job(NULL);
	log_set_file(-1);
	expect(f->err, "checkpointer: before the leg\n"
		       "checkpointer: warning: step 2: text\n");
	expect(f->chain, TIME
		"checkpointer: before the leg\n" TIME
		"checkpointer: warning: job 4711, leg 3, step 2: text\n" TIME
		"job 4711, leg 3, step 2: warning: text\n");
}

static void test_a_chains_log_does_not_grow_for_ever(void **state)
{
	const struct fixture *f = *state;
	char text[900];
	struct stat st;

	log_set_level(LOG_ERROR);
	log_set_chain(f->fd, 1, 1);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < 2 * LOG_CHAIN_MAX / sizeof(text); i++)
		log_info("%s", text);
	assert_int_equal(fstat(f->fd, &st), 0);
	assert_in_range(st.st_size, LOG_CHAIN_MAX, LOG_CHAIN_MAX + 2048);
	expect(f->chain, ".*leg 1, step 1: the log is full: [^\n]*\n");
}

/* Cut, with its end of line. */
static void test_a_long_message(void **state)
{
	const struct fixture *f = *state;
	auto_free char *text = xcalloc(5001, 1);

	memset(text, 'y', 5000);
	log_set_timestamps(true);
	log_info("%s", text);
	log_info("next");
	expect(f->err, TIME "checkpointer: y{255}y{255}y{255}y+\n" TIME
			    "checkpointer: next\n");
}

static void test_errno_is_kept(void **state)
{
	(void)state;
	errno = EDOM;
	log_warn("text");
	assert_int_equal(errno, EDOM);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_levels),
		TEST(test_timestamps),
		TEST(test_a_chain_is_told_all),
		TEST(test_a_job_is_named),
		TEST(test_a_chains_log_does_not_grow_for_ever),
		TEST(test_a_long_message),
		TEST(test_errno_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
