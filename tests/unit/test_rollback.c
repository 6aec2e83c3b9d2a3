/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rollback.h"
#include "store.h"
#include "tree.h"
#include "util.h"

/*
 * A child has files open and waits; what it has is surveyed, and its contents
 * go into a generation of a store. Then the child is killed, the files are
 * changed, and put back.
 */

struct fixture {
	char dir[64]; /* with files in it, and the store in step */
	int step;
	pid_t child;
	json_t *list;
	struct store_reader *generation;
	struct rollback_job job;
	struct err err;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	char step[80];

	*state = f;
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_rollback.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(step, sizeof(step), "%s/step", f->dir);
	if (mkdir(step, 0700))
		return -1;
	f->step = open(step, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->step < 0;
}

static void end_child(struct fixture *f)
{
	if (f->child <= 0)
		return;
	kill(f->child, SIGKILL);
	waitpid(f->child, NULL, 0);
	f->child = 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc;

	end_child(f);
	store_close(f->generation);
	json_decref(f->list);
	close(f->step);
	rc = remove_tree(f->dir);
	free(f);
	return rc;
}

static char *path_of(const struct fixture *f, const char *name)
{
	return xasprintf("%s/%s", f->dir, name);
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	auto_free char *path = path_of(f, name);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static void add(const struct fixture *f, const char *name, const char *text)
{
	auto_free char *path = path_of(f, name);
	auto_close int fd = open(path, O_WRONLY | O_APPEND);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static void has(const struct fixture *f, const char *name, const char *text)
{
	auto_free char *path = path_of(f, name);
	auto_free char *now = read_file_at(AT_FDCWD, path, 1 << 20, NULL, NULL);

	assert_non_null(now);
	assert_string_equal(now, text);
}

static bool is_there(const struct fixture *f, const char *name)
{
	auto_free char *path = path_of(f, name);

	return !access(path, F_OK);
}

static void drop(const struct fixture *f, const char *name)
{
	auto_free char *path = path_of(f, name);

	assert_int_equal(unlink(path), 0);
}

/* --- the child --- */

struct open_file {
	const char *name;
	int flags;
	bool mapped; /* and closed then */
};

static void open_one(const struct fixture *f, const struct open_file *o)
{
	auto_free char *path = path_of(f, o->name);
	int fd = open(path, o->flags);

	if (fd < 0)
		_exit(1);
	if (!o->mapped)
		return;
	if (mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
		MAP_FAILED)
		_exit(2);
	close(fd);
}

/* Returns when the child has them open; more is done by it before that. */
static void start(struct fixture *f, const struct open_file *o, size_t n)
{
	int fds[2];
	char byte;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	f->child = fork();
	if (f->child == 0) {
		alarm(60);
		/* Nothing but these: what the tests inherit may be files. */
		if (close_range(0, (unsigned)fds[1] - 1, 0) ||
			close_range((unsigned)fds[1] + 1, ~0U, 0))
			_exit(4);
		for (size_t i = 0; i < n; i++)
			open_one(f, &o[i]);
		if (write(fds[1], "", 1) != 1)
			_exit(3);
		close(fds[1]);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
}

/* --- survey and store --- */

static void store_list_of(struct fixture *f, unsigned gen)
{
	const struct store_options o = {.threads = 1};
	struct store_writer *w;
	struct store_cost cost;
	auto_free char *path = path_of(f, "stream");
	json_t *m = json_object();
	auto_close int out =
		open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int stream;

	store_close(f->generation);
	assert_int_equal(store_remove(f->step, gen, &f->err), 0);
	w = store_begin(f->step, gen, &o, &f->err);
	assert_non_null(w);
	assert_int_equal(rollback_snapshot(f->list, out, &f->err), 0);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	stream = store_add(w, ROLLBACK_STREAM, &f->err);
	while (store_take(w, stream, out, &f->err) > 0)
		;
	assert_int_equal(store_commit(w, m, &cost, &f->err), 0);
	json_decref(m);
	unlink(path);
	f->generation = store_open(f->step, gen, &f->err);
	assert_non_null(f->generation);
}

/* All that is needed for a restore; went_on and policy may be changed. */
static void survey(
	struct fixture *f, const struct open_file *o, size_t n, uint64_t limit)
{
	struct rollback_survey s = {.snapshot_limit = limit};

	start(f, o, n);
	s.root = f->child;
	f->list = rollback_survey(&s, &f->err);
	assert_non_null(f->list);
	store_list_of(f, 3);
	end_child(f);
	f->job = (struct rollback_job){
		.list = f->list,
		.generation = f->generation,
		.gen = 3,
		.keep = f->step,
		.went_on = true,
		.policy = ROLLBACK_TRUNCATE,
	};
}

static void applies(struct fixture *f)
{
	f->err.text[0] = '\0';
	if (rollback_apply(&f->job, &f->err) != ROLLBACK_DONE)
		fail_msg("%s", f->err.text);
}

static void fails_with(
	struct fixture *f, enum rollback_result want, const char *text)
{
	assert_int_equal(rollback_apply(&f->job, &f->err), want);
	if (!strstr(f->err.text, text))
		fail_msg("no '%s' in: %s", text, f->err.text);
}

static const struct open_file the_log = {"log", O_WRONLY | O_APPEND, false};
static const struct open_file data = {"data", O_WRONLY, false};
static const struct open_file base = {"base", O_RDWR, false};

/* The first entry whose path ends so, or NULL. */
static json_t *entry(const struct fixture *f, const char *name)
{
	json_t *e;
	size_t i, len = strlen(name);

	json_array_foreach(f->list, i, e)
	{
		const char *p = json_string_value(json_object_get(e, "path"));
		size_t n = strlen(p);

		if (n > len && !strcmp(p + n - len, name) &&
			p[n - len - 1] == '/')
			return e;
	}
	return NULL;
}

static bool flag(const struct fixture *f, const char *name, const char *key)
{
	return json_is_true(json_object_get(entry(f, name), key));
}

/* --- the survey --- */

static void test_what_is_listed(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {
		the_log,
		the_log, /* twice is once */
		data,
		base,
		{"read", O_RDONLY, false},
		{"mapped", O_RDWR, true},
	};
	const char *const names[] = {"log", "data", "base", "read", "mapped"};

	for (size_t i = 0; i < LEN(names); i++)
		put(f, names[i], "text");
	survey(f, all, LEN(all), 4);
	assert_int_equal(json_array_size(f->list), 4);
	assert_null(entry(f, "read"));
	assert_true(flag(f, "log", "append"));
	assert_false(flag(f, "log", "checked"));
	assert_true(flag(f, "data", "checked"));
	assert_false(flag(f, "data", "append"));
	assert_null(json_object_get(entry(f, "log"), "content"));
	assert_null(json_object_get(entry(f, "data"), "content"));
	assert_true(
		json_is_string(json_object_get(entry(f, "base"), "content")));
	assert_true(
		json_is_string(json_object_get(entry(f, "mapped"), "content")));
}

static void test_snapshot_limit(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {base};

	put(f, "base", "12345");
	survey(f, all, 1, 4);
	assert_null(json_object_get(entry(f, "base"), "content"));
	/* Where no content is stored, nothing beside it is looked at. */
	json_decref(f->list);
	survey(f, all, 1, 0);
	assert_int_equal(json_array_size(f->list), 1);
	assert_null(json_object_get(entry(f, "base"), "content"));
}

static void test_companions(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {base};

	put(f, "base", "SQLite format 3");
	put(f, "base-journal", "journal");
	survey(f, all, 1, 100);
	/* The magic has a NUL behind it, so this was no database. */
	assert_int_equal(json_array_size(f->list), 1);
	json_decref(f->list);
	put(f, "base", "");
	survey(f, all, 1, 100);
	assert_int_equal(json_array_size(f->list), 4);
	assert_true(flag(f, "base-journal", "beside"));
	assert_true(flag(f, "base-wal", "absent"));
	assert_true(flag(f, "base-shm", "absent"));
}

static void test_no_process(void **state)
{
	struct fixture *f = *state;
	struct rollback_survey s = {.root = 0x7ffffffe};

	f->list = rollback_survey(&s, &f->err);
	assert_int_equal(json_array_size(f->list), 0);
}

/* It may grow between the plan, and the stop of the tree. */
static void test_stream_that_grows(void **state)
{
	struct fixture *f = *state;
	struct rollback_survey s = {.snapshot_limit = 0};
	auto_free char *path = path_of(f, "data");
	auto_close int kept = fcntl(2, F_DUPFD_CLOEXEC, 3);
	auto_close int out = -1;
	json_int_t size;

	put(f, "data", "one");
	start(f, &data, 1);
	s.root = f->child;
	out = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(fstat(out, &s.std[2]), 0);
	assert_int_equal(ftruncate(out, s.std[2].st_size + 3), 0);
	dup2(out, 2);
	f->list = rollback_survey(&s, &f->err);
	dup2(kept, 2);
	assert_int_equal(json_array_size(f->list), 1);
	size = json_integer_value(
		json_object_get(json_array_get(f->list, 0), "size"));
	assert_int_equal(size, s.std[2].st_size + 3);
}

/* --- what grew --- */

static void test_cut(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log, data};
	struct stat before, after;
	auto_free char *path = path_of(f, "log");

	put(f, "log", "before\n");
	put(f, "data", "");
	assert_int_equal(stat(path, &before), 0);
	survey(f, all, 2, 0);
	applies(f);
	assert_false(is_there(f, "step/0003.tail-0"));
	for (int i = 0; i < 2; i++) {
		add(f, "log", i ? "second\n" : "first\n");
		add(f, "data", i ? "2" : "1");
		applies(f);
		has(f, "log", "before\n");
		has(f, "data", "");
	}
	has(f, "step/0003.tail-0", "first\n");
	has(f, "step/0003.tail-0.2", "second\n");
	has(f, "step/0003.tail-1", "1");
	has(f, "step/0003.tail-1.2", "2");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

static void test_an_older_one_after_that(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log};
	json_t *older;

	put(f, "log", "1");
	survey(f, all, 1, 0);
	older = f->list;
	add(f, "log", "2");
	survey(f, all, 1, 0);
	add(f, "log", "3");
	applies(f);
	has(f, "log", "12");
	f->job.list = older;
	f->job.gen = 2;
	applies(f);
	has(f, "log", "1");
	has(f, "step/0003.tail-0", "3");
	has(f, "step/0002.tail-0", "2");
	json_decref(older);
}

static void test_appended_by_others(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log};

	put(f, "log", "1");
	survey(f, all, 1, 0);
	add(f, "log", "2");
	f->job.went_on = false;
	applies(f);
	has(f, "log", "12");
}

/* criu would refuse it, so it is cut; what others wrote is kept. */
static void test_grown_by_others(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {data};

	put(f, "data", "1");
	survey(f, all, 1, 0);
	add(f, "data", "2");
	f->job.went_on = false;
	applies(f);
	has(f, "data", "1");
	has(f, "step/0003.tail-0", "2");
}

/* Emptied and written anew by the command: none of it is behind the old end. */
static void test_log_begun_anew(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log};

	put(f, "log", "old");
	survey(f, all, 1, 0);
	put(f, "log", "quite another text");
	applies(f);
	has(f, "log", "quite another text");
}

static void test_replaced(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log, data};

	put(f, "log", "1");
	put(f, "data", "1");
	survey(f, all, 2, 0);
	for (int i = 0; i < 2; i++) {
		auto_free char *from = path_of(f, i ? "data.new" : "log.new");
		auto_free char *to = path_of(f, i ? "data" : "log");

		put(f, i ? "data.new" : "log.new", "12345");
		assert_int_equal(rename(from, to), 0);
		if (i)
			fails_with(f, ROLLBACK_UNFIT,
				"/data is another file than at the checkpoint");
		else
			applies(f);
	}
	has(f, "log", "12345");
	has(f, "data", "12345");
}

/* The number of an inode may come back with another file. */
static void test_same_number_other_file(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {data};

	put(f, "data", "1");
	survey(f, all, 1, 0);
	json_object_set_new(entry(f, "data"), "btime", json_integer(12345));
	json_object_set_new(entry(f, "data"), "handle", json_string("other"));
	add(f, "data", "2");
	fails_with(f, ROLLBACK_UNFIT, "is another file");
	/* Where the file system does not tell, what it holds does. */
	json_object_set_new(entry(f, "data"), "btime", json_integer(0));
	applies(f);
	has(f, "data", "1");
	add(f, "data", "2");
	json_object_set_new(entry(f, "data"), "edge", json_string("other"));
	fails_with(f, ROLLBACK_UNFIT, "is another file");
	json_object_set_new(entry(f, "data"), "uid", json_integer(12345));
	fails_with(f, ROLLBACK_UNFIT, "is another file");
	has(f, "data", "12");
}

/* A backup that was put back, or a file that travelled. */
static void test_copied_back(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {data, base};

	put(f, "data", "text");
	put(f, "base", "text");
	survey(f, all, 2, 100);
	f->job.policy = ROLLBACK_REFUSE;
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "base" : "data";
		auto_free char *from = path_of(f, name);
		auto_free char *to = path_of(f, "copy");
		struct stat st;
		struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}};

		assert_int_equal(stat(from, &st), 0);
		put(f, "copy", "text");
		assert_int_equal(rename(to, from), 0);
		if (!i)
			fails_with(f, ROLLBACK_FATAL, "is another file");
		t[1].tv_sec = st.st_mtim.tv_sec;
		assert_int_equal(utimensat(AT_FDCWD, from, t, 0), 0);
		applies(f);
	}
}

static void test_a_link_in_its_place(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log};
	auto_free char *path = path_of(f, "log");

	put(f, "log", "1");
	put(f, "other", "12345");
	survey(f, all, 1, 0);
	drop(f, "log");
	assert_int_equal(symlink("other", path), 0);
	fails_with(f, ROLLBACK_UNFIT, "is another file");
	has(f, "other", "12345");
}

static void test_written_by_another_process(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log};

	put(f, "log", "1");
	survey(f, all, 1, 0);
	add(f, "log", "2");
	start(f, all, 1);
	/* A tree that was stopped is gone, so nobody is waited for. */
	f->job.went_on = false;
	json_object_set_new(entry(f, "log"), "checked", json_true());
	fails_with(f, ROLLBACK_UNFIT, "another process has it open");
	has(f, "log", "12");
	end_child(f);
	f->job.went_on = true;
	applies(f);
	has(f, "log", "1");
}

/* --- what shrank or is gone --- */

static void test_shrunk(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log, data};
	auto_free char *log = path_of(f, "log");
	auto_free char *path = path_of(f, "data");

	put(f, "log", "123");
	put(f, "data", "123");
	survey(f, all, 2, 0);
	assert_int_equal(truncate(log, 1), 0);
	applies(f);
	has(f, "log", "1");
	assert_int_equal(truncate(path, 1), 0);
	fails_with(f, ROLLBACK_UNFIT, "/data has 2 bytes less");
}

static void test_gone(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log};

	put(f, "log", "123");
	survey(f, all, 1, 0);
	drop(f, "log");
	fails_with(f, ROLLBACK_UNFIT, "/log is not there any more");
}

static void test_renamed(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {data};
	auto_free char *from = path_of(f, "data");
	auto_free char *to = path_of(f, "result");

	put(f, "data", "1");
	survey(f, all, 1, 0);
	add(f, "data", "2");
	assert_int_equal(rename(from, to), 0);
	f->job.went_on = false;
	fails_with(f, ROLLBACK_UNFIT, "/data is not there any more");
	f->job.went_on = true;
	applies(f);
	has(f, "data", "1");
	assert_false(is_there(f, "result"));
	has(f, "step/0003.tail-0", "2");
}

/* --- contents --- */

static void test_put_back(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {base, {"more", O_RDWR, false}};
	struct stat before, after;
	auto_free char *path = path_of(f, "base");
	char text[10001];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	put(f, "base", text);
	put(f, "more", "some more");
	assert_int_equal(stat(path, &before), 0);
	survey(f, all, 2, 1 << 20);
	put(f, "base", "changed");
	put(f, "more", "SOME MORE");
	applies(f);
	has(f, "base", text);
	has(f, "more", "some more");
	has(f, "step/0003.file-0", "changed");
	has(f, "step/0003.file-1", "SOME MORE");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	/* Unchanged since: nothing to do. */
	applies(f);
	assert_false(is_there(f, "step/0003.file-0.2"));
	/* Only the second one. */
	put(f, "more", "");
	applies(f);
	has(f, "more", "some more");
	has(f, "step/0003.file-1.2", "");
}

static void test_put_back_what_was_removed(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {base};
	struct stat st;
	auto_free char *path = path_of(f, "base");

	put(f, "base", "text");
	survey(f, all, 1, 100);
	drop(f, "base");
	applies(f);
	has(f, "base", "text");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* As another file it has the same content again. */
	drop(f, "base");
	put(f, "base", "other");
	applies(f);
	has(f, "base", "text");
	has(f, "step/0003.file-0", "other");
}

/* An empty mount point must not be taken for the directory. */
static void test_not_into_another_directory(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {base};

	put(f, "base", "text");
	survey(f, all, 1, 100);
	json_object_set_new(entry(f, "base"), "dir", json_integer(12345));
	drop(f, "base");
	fails_with(f, ROLLBACK_UNFIT, "/base is not there any more");
	assert_false(is_there(f, "base"));
}

static void test_changed_by_others(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {base};

	put(f, "base", "text");
	survey(f, all, 1, 100);
	f->job.went_on = false;
	applies(f);
	put(f, "base", "TEXT");
	applies(f);
	has(f, "base", "TEXT");
	put(f, "base", "longer text");
	fails_with(f, ROLLBACK_UNFIT, "somebody else has changed it");
	has(f, "base", "longer text");
	/* What they have removed is missed by nobody. */
	drop(f, "base");
	applies(f);
	has(f, "base", "text");
}

static void test_absent(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {base};

	put(f, "base", "");
	survey(f, all, 1, 100);
	put(f, "base", "pages");
	put(f, "base-journal", "journal");
	f->job.went_on = false;
	fails_with(f, ROLLBACK_UNFIT, "/base has 5 bytes more");
	has(f, "base-journal", "journal");
	f->job.went_on = true;
	applies(f);
	has(f, "base", "");
	assert_false(is_there(f, "base-journal"));
	has(f, "step/0003.file-1", "journal");
}

static void test_damaged_content(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {base};
	auto_close int pack = -1;
	char text[8193];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	put(f, "base", text);
	survey(f, all, 1, 1 << 20);
	pack = openat(f->step, "0003.pack", O_WRONLY);
	assert_int_equal(pwrite(pack, "yy", 2, 4096), 2);
	put(f, "base", "changed");
	fails_with(f, ROLLBACK_UNFIT, "damaged");
	has(f, "step/0003.file-0", "changed");
}

/* --- policies --- */

static void test_refuse(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {data, the_log, base};

	put(f, "data", "1");
	put(f, "log", "1");
	put(f, "base", "1");
	survey(f, all, 3, 100);
	f->job.policy = ROLLBACK_REFUSE;
	applies(f);
	add(f, "log", "2");
	fails_with(f, ROLLBACK_FATAL,
		"/log has 1 bytes more than at the checkpoint, and [files] "
		"rollback = refuse");
	f->job.policy = ROLLBACK_TRUNCATE;
	applies(f);
	f->job.policy = ROLLBACK_REFUSE;
	put(f, "base", "2");
	fails_with(f, ROLLBACK_FATAL, "/base was overwritten");
	drop(f, "data");
	fails_with(f, ROLLBACK_FATAL, "/data is not there any more");
	has(f, "base", "2");
}

static void test_keep(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log, base, data};

	put(f, "log", "1");
	put(f, "base", "1");
	put(f, "data", "1");
	survey(f, all, 3, 100);
	f->job.policy = ROLLBACK_KEEP;
	add(f, "log", "2");
	put(f, "base", "2");
	applies(f);
	has(f, "log", "12");
	has(f, "base", "2");
	add(f, "data", "2");
	fails_with(f, ROLLBACK_FATAL, "rollback = keep, which criu refuses");
	assert_false(is_there(f, "step/0003.tail-0"));
}

/* If one of them cannot be restored, none is touched. */
static void test_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log, base, data};

	put(f, "log", "1");
	put(f, "base", "1");
	put(f, "data", "1");
	survey(f, all, 3, 100);
	add(f, "log", "2");
	put(f, "base", "2");
	drop(f, "data");
	fails_with(f, ROLLBACK_UNFIT, "/data");
	has(f, "log", "12");
	has(f, "base", "2");
	assert_false(is_there(f, "step/0003.tail-0"));
}

static void test_cannot_be_kept(void **state)
{
	struct fixture *f = *state;
	const struct open_file all[] = {the_log, data};

	put(f, "log", "1");
	put(f, "data", "1");
	survey(f, all, 2, 0);
	add(f, "log", "2");
	add(f, "data", "2");
	/* The second one has no place. */
	assert_int_equal(mkdirat(f->step, "0003.tail-1.new", 0700), 0);
	fails_with(f, ROLLBACK_FATAL, "keep what ");
	has(f, "log", "12");
	has(f, "data", "12");
	assert_false(is_there(f, "step/0003.tail-0"));
	assert_int_equal(unlinkat(f->step, "0003.tail-1.new", AT_REMOVEDIR), 0);
	applies(f);
	has(f, "log", "1");
}

static void test_damaged_manifest(void **state)
{
	static const char *const bad[] = {
		"[{}]",
		"[7]",
		"[{\"path\":7}]",
		"[{\"path\":\"relative\",\"dir\":1,\"absent\":true}]",
		"[{\"path\":\"/x\",\"size\":1}]",
		"[{\"path\":\"/x\",\"dir\":1,\"size\":-1,\"mode\":0,\"uid\":0,"
		"\"gid\":0,\"ino\":0,\"mtime\":0,\"btime\":0}]",
		"[{\"path\":\"/x\",\"dir\":1,\"std\":3,\"absent\":true}]",
		"[{\"path\":\"/x\",\"dir\":1,\"size\":1,\"mode\":0,\"uid\":0,"
		"\"gid\":0,\"ino\":0,\"mtime\":0,\"btime\":0,"
		"\"content\":\"x\"}]",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < LEN(bad); i++) {
		json_t *list = json_loads(bad[i], 0, NULL);

		print_message("%s\n", bad[i]);
		assert_non_null(list);
		f->job = (struct rollback_job){.list = list, .keep = f->step};
		fails_with(f, ROLLBACK_UNFIT, "damaged");
		json_decref(list);
	}
	f->job = (struct rollback_job){.list = NULL, .keep = f->step};
	applies(f);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_listed),
		TEST(test_snapshot_limit),
		TEST(test_companions),
		TEST(test_no_process),
		TEST(test_stream_that_grows),
		TEST(test_cut),
		TEST(test_an_older_one_after_that),
		TEST(test_appended_by_others),
		TEST(test_grown_by_others),
		TEST(test_log_begun_anew),
		TEST(test_replaced),
		TEST(test_same_number_other_file),
		TEST(test_copied_back),
		TEST(test_a_link_in_its_place),
		TEST(test_written_by_another_process),
		TEST(test_shrunk),
		TEST(test_gone),
		TEST(test_renamed),
		TEST(test_put_back),
		TEST(test_put_back_what_was_removed),
		TEST(test_not_into_another_directory),
		TEST(test_changed_by_others),
		TEST(test_absent),
		TEST(test_damaged_content),
		TEST(test_refuse),
		TEST(test_keep),
		TEST(test_all_or_nothing),
		TEST(test_cannot_be_kept),
		TEST(test_damaged_manifest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
