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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "files.h"
#include "tree.h"
#include "util.h"

/*
 * The standard streams belong to cmocka: so a leg is a process of its own that
 * sets up its streams, does its work with them and leaves the result as JSON
 * in a file.
 */

struct fixture {
	char dir[64];
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_files.XXXXXX");
	return mkdtemp(f->dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc = remove_tree(f->dir);

	free(f);
	return rc;
}

/* A leg: streams() sets up its 0, 1 and 2, work() makes its result. */
struct leg {
	const struct fixture *f;
	void (*streams)(const struct fixture *);
	json_t *(*work)(const struct leg *);
	void (*in_child)(const struct fixture *); /* of a survey */
	const json_t *outside;                    /* of a restore */
};

_Noreturn static void leg_main(const struct leg *l, const char *result)
{
	json_t *j;
	int rc;

	alarm(60);
	l->streams(l->f);
	j = l->work(l);
	rc = json_dump_file(j, result, JSON_ENCODE_ANY);
	json_decref(j);
	_exit(rc ? 1 : 0);
}

static json_t *run_leg(const struct leg *l)
{
	auto_free char *result = xasprintf("%s/result", l->f->dir);
	int status = -1;
	json_t *j;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		leg_main(l, result);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	j = json_load_file(result, JSON_DECODE_ANY, NULL);
	assert_non_null(j);
	assert_int_equal(unlink(result), 0);
	return j;
}

/* From here on in a leg, where a failed assertion is of no use. */

static void must(bool ok)
{
	if (!ok)
		_exit(99);
}

static void move(int fd, int to)
{
	must(fd >= 0 && dup2(fd, to) == to);
	if (fd > 2)
		close(fd);
}

static void open_at(
	const struct fixture *f, const char *name, int flags, int to)
{
	auto_free char *path = xasprintf("%s/%s", f->dir, name);

	move(open(path, flags, 0600), to);
}

/* What `< in >> out 2> pipe` gives. */
static void streams(const struct fixture *f)
{
	int fds[2];

	open_at(f, "in", O_RDONLY | O_CREAT, 0);
	open_at(f, "out", O_WRONLY | O_CREAT | O_APPEND, 1);
	must(!pipe(fds));
	move(fds[1], 2);
	/* The read end stays open: it is the reader's, not the tree's. */
	must(fcntl(fds[0], F_SETFD, FD_CLOEXEC) == 0);
}

/* The next job has files of its own. */
static void next_streams(const struct fixture *f)
{
	int fds[2];

	open_at(f, "in", O_RDONLY, 0);
	open_at(f, "out.2", O_WRONLY | O_CREAT | O_APPEND, 1);
	must(!pipe(fds));
	move(fds[1], 2);
}

static void no_pipe(const struct fixture *f)
{
	next_streams(f);
	open_at(f, "err.2", O_WRONLY | O_CREAT | O_APPEND, 2);
}

static void quiet(const struct fixture *f)
{
	(void)f;
	for (int i = 0; i < 3; i++)
		move(open("/dev/null", O_RDWR), i);
}

/* A child like the command; result: files_outside() or the reason. */
static json_t *survey(const struct leg *l)
{
	struct err err = {0};
	int fds[2];
	json_t *j;
	pid_t pid;
	char byte;

	must(!pipe(fds));
	pid = fork();
	if (pid == 0) {
		for (int i = 3; i < 256; i++)
			if (i != fds[1])
				close(i);
		if (l->in_child)
			l->in_child(l->f);
		must(write(fds[1], "", 1) == 1);
		close(fds[1]);
		for (;;)
			pause();
	}
	close(fds[1]);
	must(pid > 0 && read(fds[0], &byte, 1) == 1);
	j = files_outside(pid, &err);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return j ? j : json_string(err.text);
}

/* What is inherited: key, what lies behind the descriptor, its offset. */
static int note(int fd, const char *key, void *arg)
{
	char name[32], target[512] = "";

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (readlink(name, target, sizeof(target) - 1) < 0)
		return -1;
	return json_array_append_new(arg,
		json_pack("{s:s, s:s%, s:i, s:b, s:b, s:I}", "key", key,
			"target", target, strnlen(target, sizeof(target)),
			"flags", fcntl(fd, F_GETFL), "survives",
			!(fcntl(fd, F_GETFD) & FD_CLOEXEC), "stream", fd <= 2,
			"pos", (json_int_t)lseek(fd, 0, SEEK_CUR)));
}

static json_t *inherit(const struct leg *l)
{
	json_t *list = json_array();
	struct err err = {0};

	if (!files_inherit(l->outside, note, list, &err))
		return list;
	json_decref(list);
	return json_pack("{s:s}", "error", err.text);
}

/* Half of the input has been read when this leg begins. */
static json_t *read_and_inherit(const struct leg *l)
{
	char buf[4];

	must(read(0, buf, 4) == 4);
	return inherit(l);
}

static int refuse(int fd, const char *key, void *arg)
{
	(void)fd;
	(void)key;
	(void)arg;
	return -1;
}

static json_t *inherit_refused(const struct leg *l)
{
	struct err err = {0};
	int ret = files_inherit(l->outside, refuse, NULL, &err);

	return json_pack("{s:s}", "error", ret ? err.text : "");
}

/* --- looking at results --- */

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static void show(const json_t *j)
{
	auto_free char *text = json_dumps(j, JSON_ENCODE_ANY | JSON_INDENT(1));

	print_message("%s\n", text ? text : "?");
}

/* The number of entries that are this standard stream (-1: none). */
static unsigned count_std(const json_t *list, int std)
{
	unsigned n = 0;
	const json_t *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		const json_t *s = json_object_get(j, "std");

		n += (s ? (int)json_integer_value(s) : -1) == std;
	}
	return n;
}

static const json_t *first_std(const json_t *list, int std)
{
	const json_t *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		const json_t *s = json_object_get(j, "std");

		if (s && json_integer_value(s) == std)
			return j;
	}
	show(list);
	fail_msg("standard stream %d is not listed", std);
	return NULL;
}

static const json_t *with_key(const json_t *list, const char *key)
{
	const json_t *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		if (!strcmp(text_of(j, "key"), key))
			return j;
	}
	show(list);
	fail_msg("nothing is inherited for %s", key);
	return NULL;
}

static void put_file(const struct fixture *f, const char *name, const char *s)
{
	auto_free char *path = xasprintf("%s/%s", f->dir, name);
	struct err err = {0};

	if (write_file_at(AT_FDCWD, path, s, strlen(s), &err))
		fail_msg("%s", err.text);
}

static ino_t inode_of(const struct fixture *f, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", f->dir, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void has_error(const json_t *j, const char *text)
{
	const char *error = text_of(j, "error");

	if (!strstr(error, text)) {
		show(j);
		fail_msg("no '%s' in: %s", text, error);
	}
}

/* --- tests --- */

static json_t *survey_streams(const struct fixture *f)
{
	const struct leg l = {.f = f, .streams = streams, .work = survey};

	put_file(f, "in", "0123456789");
	return run_leg(&l);
}

static void test_survey(void **state)
{
	const struct fixture *f = *state;
	json_t *list = survey_streams(f);
	const json_t *j;
	unsigned mount;
	unsigned long inode;

	assert_true(json_is_array(list));
	j = first_std(list, 0);
	assert_true(ends_with(text_of(j, "path"), "/in"));
	assert_int_equal(
		json_integer_value(json_object_get(j, "flags")) & O_ACCMODE,
		O_RDONLY);
	assert_int_equal(
		sscanf(text_of(j, "key"), "file[%x:%lx]", &mount, &inode), 2);
	assert_int_equal(inode, inode_of(f, "in"));
	j = first_std(list, 1);
	assert_true(ends_with(text_of(j, "path"), "/out"));
	assert_int_equal(json_integer_value(json_object_get(j, "flags")) &
				 (O_ACCMODE | O_APPEND),
		O_WRONLY | O_APPEND);
	j = first_std(list, 2);
	assert_int_equal(sscanf(text_of(j, "key"), "pipe:[%lu]", &inode), 1);
	assert_null(json_object_get(j, "path"));
	assert_int_equal(count_std(list, 2), 1);
	assert_int_equal(count_std(list, -1), 0);
	json_decref(list);
}

static void open_more(const struct fixture *f)
{
	int fds[2];

	/* All of this criu sees and restores by itself. */
	open_at(f, "own", O_RDWR | O_CREAT, 10);
	must(!pipe(fds));
	must(open("/dev/zero", O_RDONLY) >= 0);
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	/* And this is standard output once more. */
	must(dup2(1, 20) == 20);
}

static void test_only_what_is_outside(void **state)
{
	const struct fixture *f = *state;
	const struct leg l = {
		.f = f,
		.streams = streams,
		.work = survey,
		.in_child = open_more,
	};
	json_t *plain = survey_streams(f), *list = run_leg(&l);

	if (json_array_size(list) != json_array_size(plain)) {
		show(list);
		fail_msg("too much is listed");
	}
	json_decref(list);
	json_decref(plain);
}

/* Memory with a file's name lies on no mount, but is no file from outside. */
static void open_memory(const struct fixture *f)
{
	(void)f;
	must(memfd_create("test", 0) >= 0);
}

static void test_memory_is_not_outside(void **state)
{
	const struct fixture *f = *state;
	const struct leg l = {
		.f = f,
		.streams = quiet,
		.work = survey,
		.in_child = open_memory,
	};
	json_t *list = run_leg(&l);

	/* Neither listed nor in the way of a dump: criu saves it. */
	if (!json_is_array(list) || json_array_size(list)) {
		show(list);
		fail_msg("a memfd is taken for a file from outside");
	}
	json_decref(list);
}

/* /dev/null is /dev/null everywhere. */
static void test_null_is_not_outside(void **state)
{
	const struct fixture *f = *state;
	const struct leg l = {.f = f, .streams = quiet, .work = survey};
	json_t *list = run_leg(&l);

	assert_true(json_is_array(list));
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

/* A command whose streams are not this program's, as after 2>&1 or exec. */
static void redirect_stdout(const struct fixture *f)
{
	must(dup2(1, 2) == 2);
	open_at(f, "own", O_WRONLY | O_CREAT, 1);
}

static void test_own_redirections(void **state)
{
	const struct fixture *f = *state;
	const struct leg l = {
		.f = f,
		.streams = streams,
		.work = survey,
		.in_child = redirect_stdout,
	};
	json_t *list;

	put_file(f, "in", "");
	list = run_leg(&l);
	/* It is our standard output that counts, at whatever descriptor. */
	assert_true(ends_with(text_of(first_std(list, 1), "path"), "/out"));
	assert_int_equal(count_std(list, 2), 0);
	assert_int_equal(count_std(list, -1), 0);
	json_decref(list);
}

static void test_no_process(void **state)
{
	struct err err = {0};
	json_t *list;

	(void)state;
	list = files_outside(0x7ffffff0, &err);
	assert_non_null(list);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void test_round_trip(void **state)
{
	const struct fixture *f = *state;
	json_t *outside = survey_streams(f), *list;
	const struct leg l = {
		.f = f,
		.streams = next_streams,
		.work = read_and_inherit,
		.outside = outside,
	};
	const json_t *j;
	size_t i;

	list = run_leg(&l);
	assert_true(json_is_array(list));
	json_array_foreach(list, i, j)
	{
		/* criu closes what it gets: never this process's own. */
		assert_true(json_is_false(json_object_get(j, "stream")));
		assert_true(json_is_true(json_object_get(j, "survives")));
	}
	j = with_key(list, text_of(first_std(outside, 0), "key"));
	assert_true(ends_with(text_of(j, "target"), "/in"));
	/* The same file: what was read of it stays read. */
	assert_int_equal(json_integer_value(json_object_get(j, "pos")), 4);
	j = with_key(list, text_of(first_std(outside, 1), "key"));
	assert_true(ends_with(text_of(j, "target"), "/out.2"));
	assert_int_equal(json_integer_value(json_object_get(j, "flags")) &
				 (O_ACCMODE | O_APPEND),
		O_WRONLY | O_APPEND);
	j = with_key(list, text_of(first_std(outside, 2), "key"));
	assert_int_equal(strncmp(text_of(j, "target"), "pipe:[", 6), 0);
	assert_string_not_equal(
		text_of(j, "target"), text_of(first_std(outside, 2), "key"));
	json_decref(list);
	json_decref(outside);
}

static void other_input(const struct fixture *f)
{
	next_streams(f);
	open_at(f, "other", O_RDONLY | O_CREAT, 0);
}

/* The command goes on reading what it began to read. */
static void test_input_is_opened_again(void **state)
{
	const struct fixture *f = *state;
	json_t *outside = survey_streams(f), *list;
	const struct leg l = {
		.f = f,
		.streams = other_input,
		.work = inherit,
		.outside = outside,
	};
	const json_t *j;

	list = run_leg(&l);
	j = with_key(list, text_of(first_std(outside, 0), "key"));
	assert_true(ends_with(text_of(j, "target"), "/in"));
	json_decref(list);
	json_decref(outside);
}

static void test_input_is_gone(void **state)
{
	const struct fixture *f = *state;
	auto_free char *in = xasprintf("%s/in", f->dir);
	json_t *outside = survey_streams(f), *j;
	const struct leg l = {
		.f = f,
		.streams = quiet,
		.work = inherit,
		.outside = outside,
	};

	assert_int_equal(unlink(in), 0);
	j = run_leg(&l);
	has_error(j, in);
	json_decref(j);
	json_decref(outside);
}

static void test_pipe_is_none_now(void **state)
{
	const struct fixture *f = *state;
	json_t *outside = survey_streams(f), *j;
	const struct leg l = {
		.f = f,
		.streams = no_pipe,
		.work = inherit,
		.outside = outside,
	};

	j = run_leg(&l);
	has_error(j, "standard error was a pipe");
	json_decref(j);
	json_decref(outside);
}

static void test_failing_add(void **state)
{
	const struct fixture *f = *state;
	json_t *outside = survey_streams(f), *j;
	const struct leg l = {
		.f = f,
		.streams = next_streams,
		.work = inherit_refused,
		.outside = outside,
	};

	j = run_leg(&l);
	has_error(j, "inherit");
	json_decref(j);
	json_decref(outside);
}

/* File names are bytes; JSON is UTF-8. */
static void latin1_streams(const struct fixture *f)
{
	quiet(f);
	open_at(f, "\xe9t\xe9", O_WRONLY | O_CREAT | O_APPEND, 1);
}

static void test_names_of_any_bytes(void **state)
{
	const struct fixture *f = *state;
	const struct leg first = {
		.f = f, .streams = latin1_streams, .work = survey};
	json_t *outside = run_leg(&first), *list;
	const struct leg next = {
		.f = f,
		.streams = next_streams,
		.work = inherit,
		.outside = outside,
	};
	const json_t *j;

	put_file(f, "in", "");
	list = run_leg(&next);
	if (!json_is_array(list))
		fail_msg("%s", text_of(list, "error"));
	j = with_key(list, text_of(first_std(outside, 1), "key"));
	assert_true(ends_with(text_of(j, "target"), "/out.2"));
	json_decref(list);
	json_decref(outside);
}

/* On a terminal all three streams are one. */
static void on_terminal(const struct fixture *f)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

	(void)f;
	must(master >= 0 && !grantpt(master) && !unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	for (int i = 0; i < 3; i++)
		must(slave >= 0 && dup2(slave, i) == i);
}

static void test_terminal(void **state)
{
	const struct fixture *f = *state;
	const struct leg first = {
		.f = f, .streams = on_terminal, .work = survey};
	json_t *outside, *j;
	struct leg next = {.f = f, .streams = on_terminal, .work = inherit};
	const char *key;

	if (access("/dev/ptmx", R_OK | W_OK))
		skip();
	next.outside = outside = run_leg(&first);
	assert_int_equal(json_array_size(outside), 1);
	key = text_of(json_array_get(outside, 0), "key");
	assert_int_equal(strncmp(key, "tty[", 4), 0);
	j = run_leg(&next);
	assert_int_equal(
		strncmp(text_of(with_key(j, key), "target"), "/dev/pts/", 9),
		0);
	json_decref(j);
	next.streams = quiet;
	j = run_leg(&next);
	has_error(j, "was a terminal");
	json_decref(j);
	json_decref(outside);
}

static void test_damaged_manifest(void **state)
{
	static const char *const bad[] = {
		"[{}]",
		"[7]",
		"[\"file[1:2]\"]",
		"[{\"key\":7,\"std\":1}]",
		"[{\"std\":1,\"path\":\"/dev/null\"}]",
		"[{\"key\":\"file[1:2]\"}]",
		"[{\"key\":\"file[1:2]\",\"path\":7}]",
		"[{\"key\":\"pipe:[1]\",\"std\":3}]",
		"[{\"key\":\"pipe:[1]\",\"std\":-2}]",
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < LEN(bad); i++) {
		json_t *outside = json_loads(bad[i], 0, NULL), *j;
		const struct leg l = {
			.f = f,
			.streams = quiet,
			.work = inherit,
			.outside = outside,
		};

		print_message("%s\n", bad[i]);
		assert_non_null(outside);
		j = run_leg(&l);
		has_error(j, "damaged");
		json_decref(j);
		json_decref(outside);
	}
}

static void test_nothing_to_inherit(void **state)
{
	const struct fixture *f = *state;
	json_t *outside = json_array(), *j;
	struct leg l = {
		.f = f, .streams = quiet, .work = inherit, .outside = outside};

	j = run_leg(&l);
	assert_int_equal(json_array_size(j), 0);
	assert_true(json_is_array(j));
	json_decref(j);
	l.outside = NULL; /* a manifest without the list */
	j = run_leg(&l);
	assert_true(json_is_array(j));
	json_decref(j);
	json_decref(outside);
}

static void test_is_external(void **state)
{
	(void)state;
	assert_true(files_is_external("file[2a:1234]"));
	assert_true(files_is_external("tty[8801:17]"));
	assert_false(files_is_external("pipe:[1234]"));
	assert_false(files_is_external(""));
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(test_survey),
		WITH_DIR(test_only_what_is_outside),
		WITH_DIR(test_memory_is_not_outside),
		WITH_DIR(test_null_is_not_outside),
		WITH_DIR(test_own_redirections),
		WITH_DIR(test_no_process),
		WITH_DIR(test_round_trip),
		WITH_DIR(test_input_is_opened_again),
		WITH_DIR(test_input_is_gone),
		WITH_DIR(test_pipe_is_none_now),
		WITH_DIR(test_failing_add),
		WITH_DIR(test_names_of_any_bytes),
		WITH_DIR(test_terminal),
		WITH_DIR(test_damaged_manifest),
		WITH_DIR(test_nothing_to_inherit),
		WITH_DIR(test_is_external),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
