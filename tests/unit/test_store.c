/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "log.h"
#include "store.h"
#include "tree.h"
#include "util.h"

struct fixture {
	char path[64];
	int dir; /* of the step */
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	snprintf(f->path, sizeof(f->path), "/tmp/test_store.XXXXXX");
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

static void put_file(int dir, const char *name, const char *text)
{
	auto_close int fd = openat(
		dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static bool exists(const struct fixture *f, const char *name)
{
	return !faccessat(f->dir, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static int create(const struct fixture *f, unsigned gen)
{
	struct err err = {0};
	int fd = store_create(f->dir, gen, &err);

	if (fd < 0)
		fail_msg("generation %u: %s", gen, err.text);
	return fd;
}

/* Images, but no manifest: a dump that was interrupted. */
static void interrupted(const struct fixture *f, unsigned gen)
{
	auto_close int images = create(f, gen);

	put_file(images, "core-1.img", "half a core");
}

static void commit(const struct fixture *f, unsigned gen)
{
	auto_close int images = create(f, gen);
	json_t *m = json_pack("{s:s}", "host", "here");
	struct err err = {0};

	put_file(images, "core-1.img", "core");
	put_file(images, "pages-1.img", "0123456789");
	put_file(images, "empty.img", "");
	if (store_commit(f->dir, gen, images, m, &err))
		fail_msg("commit %u: %s", gen, err.text);
	json_decref(m);
}

/* Opening must fail, with words that have this text in them. */
static void refused(const struct fixture *f, unsigned gen, const char *text)
{
	struct err err = {0};
	int images = -1;
	json_t *m = store_open(f->dir, gen, &images, &err);

	assert_null(m);
	assert_int_equal(images, -1);
	if (!strstr(err.text, text))
		fail_msg("no '%s' in: %s", text, err.text);
	assert_null(store_open(f->dir, gen, &images, NULL));
}

static void accepted(const struct fixture *f, unsigned gen)
{
	struct err err = {0};
	auto_close int images = -1;
	json_t *m = store_open(f->dir, gen, &images, &err);

	if (!m)
		fail_msg("generation %u: %s", gen, err.text);
	assert_true(images >= 0);
	json_decref(m);
}

static void test_empty(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(store_newest(f->dir, UINT_MAX), 0);
	assert_int_equal(store_next(f->dir), 1);
	store_collect(f->dir, 1);
	refused(f, 1, "0001.json");
	assert_int_equal(store_remove(f->dir, 1, NULL), 0);
}

static void test_commit_and_open(void **state)
{
	const struct fixture *f = *state;
	auto_close int images = -1;
	auto_free char *core = NULL;
	const json_t *list, *image;
	struct err err = {0};
	struct stat st;
	unsigned seen = 0;
	json_t *m;
	size_t i;

	commit(f, 1);
	assert_int_equal(store_newest(f->dir, UINT_MAX), 1);
	assert_int_equal(store_next(f->dir), 2);
	m = store_open(f->dir, 1, &images, &err);
	assert_non_null(m);
	assert_string_equal(
		json_string_value(json_object_get(m, "host")), "here");
	assert_int_equal(json_integer_value(json_object_get(m, "gen")), 1);
	assert_int_equal(json_integer_value(json_object_get(m, "bytes")), 14);
	list = json_object_get(m, "images");
	assert_int_equal(json_array_size(list), 3);
	json_array_foreach(list, i, image)
	{
		const char *name =
			json_string_value(json_object_get(image, "name"));

		assert_int_equal(fstatat(images, name, &st, 0), 0);
		assert_int_equal(st.st_size,
			json_integer_value(json_object_get(image, "size")));
		/* Memory of the command is nobody else's business. */
		assert_int_equal(st.st_mode & 07777, 0600);
		seen++;
	}
	assert_int_equal(seen, 3);
	core = read_file_at(images, "core-1.img", 100, NULL, NULL);
	assert_string_equal(core, "core");
	assert_int_equal(fstat(images, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstatat(f->dir, "0001.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_false(exists(f, "0001.json.new"));
	json_decref(m);
}

static void test_a_number_is_used_once(void **state)
{
	const struct fixture *f = *state;
	struct err err = {0};

	commit(f, 1);
	assert_int_equal(store_create(f->dir, 1, &err), -1);
	assert_int_equal(err.num, EEXIST);
	accepted(f, 1);
}

static void test_newest_and_next(void **state)
{
	const struct fixture *f = *state;

	commit(f, 2);
	commit(f, 9);
	commit(f, 10);
	interrupted(f, 11);
	assert_int_equal(store_newest(f->dir, UINT_MAX), 10);
	assert_int_equal(store_newest(f->dir, 11), 10);
	assert_int_equal(store_newest(f->dir, 10), 9);
	assert_int_equal(store_newest(f->dir, 9), 2);
	assert_int_equal(store_newest(f->dir, 2), 0);
	/* Above every trace, so that a new dump never meets old images. */
	assert_int_equal(store_next(f->dir), 12);
	put_file(f->dir, "0020.json.new", "{");
	assert_int_equal(store_newest(f->dir, UINT_MAX), 10);
	assert_int_equal(store_next(f->dir), 21);
}

static void test_more_than_four_digits(void **state)
{
	const struct fixture *f = *state;

	commit(f, 9999);
	commit(f, 10000);
	assert_true(exists(f, "10000.json"));
	assert_int_equal(store_newest(f->dir, UINT_MAX), 10000);
	assert_int_equal(store_newest(f->dir, 10000), 9999);
	assert_int_equal(store_next(f->dir), 10001);
	store_collect(f->dir, 1);
	accepted(f, 10000);
	assert_false(exists(f, "9999"));
}

static void test_other_names_are_left_alone(void **state)
{
	static const char *const names[] = {"notes", "12", "0000.json",
		"0003.json.bak", "0003x", "-001", "99999999999999999999.json",
		".0003", "4294967295.json"};
	const struct fixture *f = *state;

	for (size_t i = 0; i < LEN(names); i++)
		put_file(f->dir, names[i], "mine");
	assert_int_equal(store_newest(f->dir, UINT_MAX), 0);
	assert_int_equal(store_next(f->dir), 1);
	store_collect(f->dir, 0);
	for (size_t i = 0; i < LEN(names); i++)
		if (!exists(f, names[i]))
			fail_msg("%s is gone", names[i]);
}

/* Such a name counts as none: removing its number would not remove it. */
static void test_a_name_with_more_zeros(void **state)
{
	const struct fixture *f = *state;
	int status = -1;
	pid_t pid;

	commit(f, 1);
	put_file(f->dir, "00003.json", "{}");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(3);
		store_collect(f->dir, 1);
		_exit(store_newest(f->dir, UINT_MAX) != 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("store_collect() does not end");
	assert_int_equal(status, 0);
	accepted(f, 1);
}

static void test_collect_keeps_the_newest(void **state)
{
	const struct fixture *f = *state;

	for (unsigned gen = 1; gen <= 5; gen++)
		commit(f, gen);
	store_collect(f->dir, 7);
	accepted(f, 1);
	store_collect(f->dir, 2);
	accepted(f, 5);
	accepted(f, 4);
	assert_false(exists(f, "0003"));
	assert_false(exists(f, "0003.json"));
	assert_int_equal(store_newest(f->dir, 4), 0);
	assert_int_equal(store_next(f->dir), 6);
	store_collect(f->dir, 0);
	assert_int_equal(store_next(f->dir), 1);
}

static void test_collect_removes_what_is_unfinished(void **state)
{
	const struct fixture *f = *state;

	interrupted(f, 1);
	commit(f, 2);
	interrupted(f, 3);
	put_file(f->dir, "0003.json.new", "{\"gen\"");
	put_file(f->dir, "0004.json.new", "");
	/* Interrupted dumps do not count as kept. */
	store_collect(f->dir, 1);
	assert_false(exists(f, "0001"));
	assert_false(exists(f, "0003"));
	assert_false(exists(f, "0003.json.new"));
	assert_false(exists(f, "0004.json.new"));
	accepted(f, 2);
	assert_int_equal(store_next(f->dir), 3);
}

static void test_remove(void **state)
{
	const struct fixture *f = *state;
	struct err err = {0};

	commit(f, 1);
	commit(f, 2);
	interrupted(f, 3);
	assert_int_equal(store_remove(f->dir, 1, &err), 0);
	assert_int_equal(store_remove(f->dir, 1, &err), 0);
	assert_int_equal(store_remove(f->dir, 3, &err), 0);
	assert_string_equal(err.text, "");
	refused(f, 1, "0001.json");
	accepted(f, 2);
	assert_false(exists(f, "0003"));
}

/* Removing goes through no symlink, whoever put it there. */
static void test_remove_follows_no_symlink(void **state)
{
	const struct fixture *f = *state;
	struct err err = {0};

	assert_int_equal(mkdirat(f->dir, "precious", 0700), 0);
	put_file(f->dir, "precious/file", "precious");
	assert_int_equal(symlinkat("precious", f->dir, "0001"), 0);
	assert_int_equal(store_remove(f->dir, 1, &err), -1);
	assert_true(exists(f, "precious/file"));
	log_set_level(LOG_ERROR);
	store_collect(f->dir, 0);
	log_set_level(LOG_INFO);
	assert_true(exists(f, "precious/file"));
}

static void test_without_manifest(void **state)
{
	const struct fixture *f = *state;

	interrupted(f, 1);
	assert_int_equal(store_newest(f->dir, UINT_MAX), 0);
	refused(f, 1, "0001.json");
	put_file(f->dir, "0001.json.new", "{}");
	assert_int_equal(store_newest(f->dir, UINT_MAX), 0);
	refused(f, 1, "0001.json");
}

static void test_truncated_image(void **state)
{
	const struct fixture *f = *state;

	commit(f, 1);
	put_file(f->dir, "0001/pages-1.img", "012345678");
	refused(f, 1, "pages-1.img");
	put_file(f->dir, "0001/pages-1.img", "0123456789X");
	refused(f, 1, "11 bytes instead of 10");
	put_file(f->dir, "0001/pages-1.img", "");
	refused(f, 1, "0 bytes");
	put_file(f->dir, "0001/pages-1.img", "9876543210");
	accepted(f, 1);
}

static void test_missing_image(void **state)
{
	const struct fixture *f = *state;

	commit(f, 1);
	assert_int_equal(unlinkat(f->dir, "0001/empty.img", 0), 0);
	refused(f, 1, "empty.img");
	assert_int_equal(renameat(f->dir, "0001", f->dir, "elsewhere"), 0);
	refused(f, 1, "0001");
	/* A file or a link is no image directory. */
	put_file(f->dir, "0001", "");
	refused(f, 1, "0001");
	assert_int_equal(unlinkat(f->dir, "0001", 0), 0);
	put_file(f->dir, "elsewhere/empty.img", "");
	assert_int_equal(symlinkat("elsewhere", f->dir, "0001"), 0);
	refused(f, 1, "0001");
}

static void test_image_is_no_file(void **state)
{
	const struct fixture *f = *state;

	commit(f, 1);
	put_file(f->dir, "other", "core");
	assert_int_equal(unlinkat(f->dir, "0001/core-1.img", 0), 0);
	assert_int_equal(symlinkat("../other", f->dir, "0001/core-1.img"), 0);
	refused(f, 1, "core-1.img");
	assert_int_equal(unlinkat(f->dir, "0001/core-1.img", 0), 0);
	assert_int_equal(mkdirat(f->dir, "0001/core-1.img", 0700), 0);
	refused(f, 1, "core-1.img");
	assert_int_equal(unlinkat(f->dir, "0001/core-1.img", AT_REMOVEDIR), 0);
	assert_int_equal(mkfifoat(f->dir, "0001/empty-fifo", 0600), 0);
	assert_int_equal(unlinkat(f->dir, "0001/empty.img", 0), 0);
	assert_int_equal(
		renameat(f->dir, "0001/empty-fifo", f->dir, "0001/empty.img"),
		0);
	put_file(f->dir, "0001/core-1.img", "core");
	refused(f, 1, "empty.img");
}

/* The program under test asks this one: files then seem somebody else's. */
static uid_t pretended;

uid_t geteuid(void)
{
	return pretended ? pretended : (uid_t)syscall(SYS_geteuid);
}

static void test_image_of_another_user(void **state)
{
	const struct fixture *f = *state;

	commit(f, 1);
	accepted(f, 1);
	pretended = geteuid() + 1;
	refused(f, 1, "regular file of yours");
	pretended = 0;
}

static void test_damaged_manifest(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"", "damaged"},
		{"{", "damaged"},
		{"null", "0001.json"},
		{"[]", "0001.json"},
		{"{}", "0001.json"},
		{"{\"gen\":1,\"version\":1}", "no images"},
		{"{\"gen\":1,\"version\":1,\"images\":[]}", "no images"},
		{"{\"gen\":1,\"version\":1,\"images\":{}}", "no images"},
		{"{\"gen\":1,\"version\":1,\"images\":[1]}", "damaged"},
		{"{\"gen\":1,\"version\":1,\"images\":[{}]}", "damaged"},
		{"{\"gen\":1,\"version\":1,\"images\":[{\"name\":\"core-1.img\""
		 "}]}",
			"damaged"},
		{"{\"gen\":1,\"version\":1,\"images\":[{\"name\":\"core-1.img\""
		 ",\"size\":\"4\"}]}",
			"damaged"},
		{"{\"gen\":1,\"version\":1,\"images\":[{\"name\":"
		 "\"../0001/core-1.img\",\"size\":4}]}",
			"damaged"},
		{"{\"gen\":1,\"version\":1,\"images\":[{\"name\":\"..\","
		 "\"size\":4}]}",
			"image"},
		{"{\"gen\":2,\"version\":1,\"images\":[{\"name\":\"core-1.img\""
		 ",\"size\":4}]}",
			"0001.json"},
		{"{\"gen\":1,\"version\":99,\"images\":[{\"name\":"
		 "\"core-1.img\",\"size\":4}]}",
			"0001.json"},
		{"{\"gen\":1,\"gen\":1,\"version\":1,\"images\":[{\"name\":"
		 "\"core-1.img\",\"size\":4}]}",
			"damaged"},
	};
	const struct fixture *f = *state;

	commit(f, 1);
	for (size_t i = 0; i < LEN(bad); i++) {
		print_message("%s\n", bad[i].text);
		put_file(f->dir, "0001.json", bad[i].text);
		refused(f, 1, bad[i].says);
	}
	put_file(f->dir, "0001.json",
		"{\"gen\":1,\"version\":1,\"images\":[{\"name\":\"core-1.img\","
		"\"size\":4}]}");
	accepted(f, 1);
}

/* Cut anywhere, a manifest is found out, and the older one is there. */
static void test_torn_manifest(void **state)
{
	const struct fixture *f = *state;
	auto_free char *text = NULL;
	size_t len = 0;

	commit(f, 1);
	commit(f, 2);
	text = read_file_at(f->dir, "0002.json", 1 << 20, &len, NULL);
	assert_non_null(text);
	for (size_t n = 0; n < len; n++) {
		auto_free char *head = xasprintf("%.*s", (int)n, text);

		put_file(f->dir, "0002.json", head);
		if (n + 1 < len) /* the last byte may be a newline */
			refused(f, 2, "0002.json");
	}
	accepted(f, store_newest(f->dir, 2));
}

static void test_manifest_is_no_file(void **state)
{
	const struct fixture *f = *state;

	commit(f, 1);
	assert_int_equal(renameat(f->dir, "0001.json", f->dir, "manifest"), 0);
	assert_int_equal(symlinkat("manifest", f->dir, "0001.json"), 0);
	refused(f, 1, "symbolic link");
	assert_int_equal(unlinkat(f->dir, "0001.json", 0), 0);
	assert_int_equal(mkfifoat(f->dir, "0001.json", 0600), 0);
	refused(f, 1, "regular file");
}

static void test_commit_of_a_symlink(void **state)
{
	const struct fixture *f = *state;
	auto_close int images = create(f, 1);
	json_t *m = json_object();
	struct err err = {0};

	put_file(images, "core-1.img", "core");
	assert_int_equal(symlinkat("core-1.img", images, "pages-1.img"), 0);
	assert_int_equal(store_commit(f->dir, 1, images, m, &err), -1);
	assert_non_null(strstr(err.text, "pages-1.img"));
	assert_false(exists(f, "0001.json"));
	assert_int_equal(store_newest(f->dir, UINT_MAX), 0);
	json_decref(m);
}

/* Something is in the way of the manifest: nothing is committed. */
static void test_commit_that_fails(void **state)
{
	const struct fixture *f = *state;
	auto_close int images = create(f, 2);
	json_t *m = json_object();
	struct err err = {0};

	commit(f, 1);
	put_file(images, "core-1.img", "core");
	assert_int_equal(mkdirat(f->dir, "0002.json.new", 0700), 0);
	assert_int_equal(store_commit(f->dir, 2, images, m, &err), -1);
	assert_true(err.text[0]);
	assert_int_equal(store_newest(f->dir, UINT_MAX), 1);
	accepted(f, 1);
	json_decref(m);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(test_empty),
		WITH_DIR(test_commit_and_open),
		WITH_DIR(test_a_number_is_used_once),
		WITH_DIR(test_newest_and_next),
		WITH_DIR(test_more_than_four_digits),
		WITH_DIR(test_other_names_are_left_alone),
		WITH_DIR(test_a_name_with_more_zeros),
		WITH_DIR(test_collect_keeps_the_newest),
		WITH_DIR(test_collect_removes_what_is_unfinished),
		WITH_DIR(test_remove),
		WITH_DIR(test_remove_follows_no_symlink),
		WITH_DIR(test_without_manifest),
		WITH_DIR(test_truncated_image),
		WITH_DIR(test_missing_image),
		WITH_DIR(test_image_is_no_file),
		WITH_DIR(test_image_of_another_user),
		WITH_DIR(test_damaged_manifest),
		WITH_DIR(test_torn_manifest),
		WITH_DIR(test_manifest_is_no_file),
		WITH_DIR(test_commit_of_a_symlink),
		WITH_DIR(test_commit_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
