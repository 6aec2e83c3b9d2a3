/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "sharedfs.h"
#include "util.h"

static void test_types(void **state)
{
	static const char *const local[] = {
		"ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk"};
	static const char *const shared[] = {"nfs", "nfs4", "lustre", "gpfs",
		"beegfs", "ceph", "fuse.ceph-fuse", "panfs", "wekafs", "cifs",
		"smb3", "afs", "pvfs2", "ocfs2", "gfs2", "fuse.glusterfs",
		"fuse.sshfs", "9p", "virtiofs", "ext", "ext44", ""};

	(void)state;
	for (size_t i = 0; i < LEN(local); i++)
		assert_true(sharedfs_is_local("/a/b", local[i], "", ""));
	for (size_t i = 0; i < LEN(shared); i++)
		assert_false(sharedfs_is_local("/a/b", shared[i], "", ""));
	assert_true(sharedfs_is_local("/a", "xfs", NULL, NULL));
}

static void test_lists(void **state)
{
	(void)state;
	assert_false(sharedfs_is_local("/a/b", "xfs", "/a", ""));
	assert_false(sharedfs_is_local("/a/b", "xfs", "/x /a/", ""));
	assert_true(sharedfs_is_local("/ab", "xfs", "/a", ""));
	assert_true(sharedfs_is_local("/a/b", "nfs", "", "/a"));
	assert_true(sharedfs_is_local("/a", "nfs", "", "/a"));
	assert_true(sharedfs_is_local("/a", "nfs", "", "/"));
	/* The longest wins; of two that are equal, the safe one. */
	assert_true(sharedfs_is_local("/a/b/c", "nfs", "/a", "/a/b"));
	assert_false(sharedfs_is_local("/a/b/c", "xfs", "/a/b", "/a"));
	assert_false(sharedfs_is_local("/a/b/c", "xfs", "/a", "/a"));
}

static void test_below(void **state)
{
	(void)state;
	assert_true(sharedfs_is_below("/tmp", "/tmp"));
	assert_true(sharedfs_is_below("/tmp/a", "/tmp"));
	assert_false(sharedfs_is_below("/tmpa", "/tmp"));
	assert_false(sharedfs_is_below("/", "/tmp"));
}

/* On real mounts: what is with the checkpoints is shared, if nothing else says
 * so. */
static void test_here(void **state)
{
	char path[] = "/tmp/test_sharedfs.XXXXXX";
	auto_close int dir = -1;
	struct sharedfs fs;

	(void)state;
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	sharedfs_open(&fs, "", "", dir);
	assert_false(sharedfs_only_here(&fs, path));
	sharedfs_close(&fs);
	sharedfs_open(&fs, "", path, dir);
	assert_true(sharedfs_only_here(&fs, path));
	sharedfs_close(&fs);
	sharedfs_open(&fs, "", "", dir);
	fs.checkpoints = 0;
	assert_true(sharedfs_only_here(&fs, path));
	assert_false(sharedfs_only_here(&fs, "/proc/self/status"));
	assert_false(sharedfs_only_here(&fs, "/nonexistent/x"));
	sharedfs_close(&fs);
	assert_int_equal(rmdir(path), 0);
}

static void test_type_of_directory(void **state)
{
	auto_close int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char type[64];

	(void)state;
	sharedfs_type(proc, type, sizeof(type));
	assert_string_equal(type, "proc");
	sharedfs_type(-1, type, sizeof(type));
	assert_string_equal(type, "an unknown file system");
	assert_true(sharedfs_is_named("/a/b", "/x /a"));
	assert_false(sharedfs_is_named("/a/b", "/x"));
	assert_false(sharedfs_is_named("/a/b", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_here),
		cmocka_unit_test(test_type_of_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
