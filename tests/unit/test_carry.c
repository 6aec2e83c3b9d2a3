/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "archives.h"
#include "carry.h"
#include "tree.h"
#include "util.h"

/* This process is the tree; what it uses of others is on no list. */
struct fixture {
	char base[64], *local, *file;
	int store, open;
	struct config cfg;
	struct private private;
	struct carry carry;
	struct stat std[3];
};

static char *in(const char *dir, const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static int write_text(const char *path, const char *text)
{
	auto_close int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd < 0 || write_all(fd, text, strlen(text));
}

static int set_up(void **state)
{
	static char root[] = "/";
	struct fixture *f = xcalloc(1, sizeof(*f));
	auto_free char *store = NULL;

	*state = f;
	snprintf(f->base, sizeof(f->base), "/tmp/test_carry.XXXXXX");
	if (!mkdtemp(f->base))
		return -1;
	f->local = in(f->base, "local");
	f->file = in(f->local, "with blank\n\377");
	store = in(f->base, "store");
	if (mkdir(f->local, 0700) || mkdir(store, 0700) ||
		write_text(f->file, "content"))
		return -1;
	f->store = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->open = open(f->file, O_RDWR | O_CLOEXEC);
	f->cfg.carry = 1;
	f->cfg.carry_limit = 1 << 20;
	f->cfg.local_paths = f->local;
	f->cfg.shared_paths = root;
	f->carry = (struct carry){.cfg = &f->cfg,
		.private = &f->private,
		.checkpoints = f->store,
		.outside = true};
	return f->store < 0 || f->open < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc = remove_tree(f->base);

	close(f->store);
	close(f->open);
	free(f->file);
	free(f->local);
	free(f);
	return rc;
}

static void find(struct fixture *f, struct carry_list *l)
{
	struct err err;

	if (carry_find(&f->carry, getpid(), f->std, l, &err))
		fail_msg("%s", err.text);
}

/* As a dump does it, but for criu. */
static void dump(struct fixture *f)
{
	const struct store_options o = {.threads = 1};
	struct store_writer *w = store_begin(f->store, 1, &o, NULL);
	json_t *manifest = json_object();
	struct store_cost cost;
	struct archives a;
	struct err err;
	int status;
	pid_t pid;

	assert_non_null(w);
	assert_int_equal(archives_open(&a, &f->carry, &err), 0);
	pid = fork();
	if (pid == 0)
		_exit(archives_write(&a, &f->carry, getppid(), f->std, &err) !=
			0);
	archives_close(&a);
	for (size_t i = 0; i < ARCHIVES_MAX; i++) {
		ssize_t n = 1;
		int stream;

		if (a.from[i] < 0)
			continue;
		stream = store_add(w, a.name[i], &err);
		while (n > 0)
			n = store_take(w, stream, a.from[i], &err);
		assert_int_equal(n, 0);
		close(a.from[i]);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(store_commit(w, manifest, &cost, &err), 0);
	json_decref(manifest);
}

static int put_back(struct fixture *f, struct err *err)
{
	struct store_reader *r = store_open(f->store, 1, err);
	int ret;

	assert_non_null(r);
	ret = archives_put_back(r, false, err);
	store_close(r);
	return ret;
}

static void test_found(void **state)
{
	struct fixture *f = *state;
	auto_free char *other = in(f->local, "not used");
	struct carry_list l;

	assert_int_equal(write_text(other, "x"), 0);
	find(f, &l);
	assert_int_equal(l.files, 1);
	assert_int_equal(l.bytes, strlen("content"));
	assert_string_equal(l.largest, f->file);
	assert_true(l.outside >= 0 && l.records >= 0);
	carry_release(&l);
}

static void test_nothing(void **state)
{
	struct fixture *f = *state;
	struct carry_list l;

	f->carry.outside = false;
	find(f, &l);
	assert_int_equal(l.files, 0);
	assert_true(l.outside < 0 && l.records < 0);
	carry_release(&l);
	f->carry.outside = true;
	f->cfg.carry = 0;
	find(f, &l);
	assert_int_equal(l.files, 0);
	carry_release(&l);
}

static void test_output(void **state)
{
	struct fixture *f = *state;
	struct carry_list l;

	assert_int_equal(fstat(f->open, &f->std[1]), 0);
	find(f, &l);
	assert_int_equal(l.files, 0);
	carry_release(&l);
}

static void test_limit(void **state)
{
	struct fixture *f = *state;
	struct carry_list l;
	struct err err;

	f->cfg.carry_limit = 6;
	assert_int_equal(carry_find(&f->carry, getpid(), f->std, &l, &err), -1);
	assert_non_null(strstr(err.text, f->file));
	assert_non_null(strstr(err.text, "carry_limit"));
}

static void test_back(void **state)
{
	const struct timespec times[2] = {{1000, 5}, {1000000000, 123456789}};
	struct fixture *f = *state;
	auto_free char *text = NULL;
	struct stat st;
	struct err err;

	assert_int_equal(fchmod(f->open, 0640), 0);
	assert_int_equal(futimens(f->open, times), 0);
	assert_int_equal(chmod(f->local, 0750), 0);
	dump(f);
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(rmdir(f->local), 0);
	assert_int_equal(archives_check(f->store, 1, &err), 0);
	assert_int_equal(put_back(f, &err), 0);
	/* Again, over what is there. */
	assert_int_equal(write_text(f->file, "something longer"), 0);
	assert_int_equal(put_back(f, &err), 0);
	text = read_file_at(AT_FDCWD, f->file, 100, NULL, NULL);
	assert_string_equal(text, "content");
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	assert_int_equal(stat(f->local, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
}

static void test_in_the_way(void **state)
{
	struct fixture *f = *state;
	struct err err;

	dump(f);
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(mkdir(f->file, 0700), 0);
	assert_int_equal(archives_check(f->store, 1, &err), -1);
	assert_non_null(strstr(err.text, f->file));
	assert_int_equal(put_back(f, &err), -1);
	assert_non_null(strstr(err.text, f->file));
	assert_int_equal(rmdir(f->file), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found),
		TEST(test_nothing),
		TEST(test_output),
		TEST(test_limit),
		TEST(test_back),
		TEST(test_in_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
