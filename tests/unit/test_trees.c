/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tree.h"
#include "trees.h"
#include "util.h"

struct fixture {
	char path[64];
	int dir;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	snprintf(f->path, sizeof(f->path), "/tmp/test_trees.XXXXXX");
	if (!mkdtemp(f->path))
		return -1;
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->dir < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc = remove_tree(f->path);

	close(f->dir);
	free(f);
	return rc;
}

static void make_dir(const struct fixture *f, const char *name)
{
	assert_int_equal(mkdirat(f->dir, name, 0700), 0);
}

static void make_file(const struct fixture *f, const char *name, size_t n)
{
	auto_close int fd = openat(
		f->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	auto_free char *bytes = xcalloc(n, 1);

	assert_true(fd >= 0);
	memset(bytes, 'x', n);
	assert_int_equal(write_all(fd, bytes, n), 0);
}

static bool exists(const struct fixture *f, const char *name)
{
	return !faccessat(f->dir, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void test_remove(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	make_dir(f, "keep");
	make_file(f, "keep/file", 3);
	make_dir(f, "t");
	make_dir(f, "t/a");
	make_dir(f, "t/a/b");
	make_file(f, "t/a/b/c", 3);
	make_file(f, "t/.hidden", 3);
	assert_int_equal(symlinkat("../keep", f->dir, "t/link"), 0);
	assert_int_equal(symlinkat("nowhere", f->dir, "t/a/broken"), 0);
	/* Closed even to their owner. */
	make_dir(f, "t/empty");
	assert_int_equal(fchmodat(f->dir, "t/empty", 0, 0), 0);
	assert_int_equal(fchmodat(f->dir, "t/a/b", 0500, 0), 0);
	assert_int_equal(tree_remove(f->dir, "t", &err), 0);
	assert_string_equal(err.text, "");
	assert_false(exists(f, "t"));
	assert_true(exists(f, "keep/file"));
}

/* A file, a link, and nothing at all are trees, too. */
static void test_remove_leaves(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	make_dir(f, "keep");
	make_file(f, "file", 3);
	assert_int_equal(symlinkat("keep", f->dir, "link"), 0);
	assert_int_equal(tree_remove(f->dir, "file", &err), 0);
	assert_int_equal(tree_remove(f->dir, "link", &err), 0);
	assert_int_equal(tree_remove(f->dir, "nothing", &err), 0);
	assert_false(exists(f, "file"));
	assert_false(exists(f, "link"));
	assert_true(exists(f, "keep"));
}

static void test_remove_fails(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	make_dir(f, "a");
	make_dir(f, "a/b");
	make_file(f, "a/b/file", 3);
	if (geteuid() == 0)
		skip();
	assert_int_equal(fchmod(f->dir, 0500), 0);
	assert_int_equal(tree_remove(f->dir, "a", &err), -1);
	assert_int_equal(fchmod(f->dir, 0700), 0);
	assert_non_null(strstr(err.text, "remove a: "));
	/* As much as can go, goes. */
	assert_true(exists(f, "a"));
	assert_false(exists(f, "a/b"));
}

static void test_bytes(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	assert_true(tree_bytes(f->dir) == 0);
	make_dir(f, "a");
	before = tree_bytes(f->dir);
	make_file(f, "a/file", 100000);
	assert_true(tree_bytes(f->dir) >= before + 98304);
	assert_true(tree_bytes(f->dir) <= before + 200000);
	before = tree_bytes(f->dir);
	/* Not what a link leads to. */
	assert_int_equal(symlinkat("/usr", f->dir, "link"), 0);
	assert_true(tree_bytes(f->dir) <= before + 8192);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_remove),
		TEST(test_remove_leaves),
		TEST(test_remove_fails),
		TEST(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
