/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "chain.h"
#include "tree.h"
#include "util.h"

/* Literals are const, as -Wwrite-strings has it; an argv is not. */
#define ARGV(...)                                                              \
	((char *const *)(uintptr_t)(const char *const[]){__VA_ARGS__, NULL})

struct fixture {
	char base[64];
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	snprintf(f->base, sizeof(f->base), "/tmp/test_chain.XXXXXX");
	return mkdtemp(f->base) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc = remove_tree(f->base);

	free(f);
	return rc;
}

static char *path_of(const struct fixture *f, const char *name)
{
	return xasprintf("%s/%s", f->base, name);
}

static mode_t mode_of(const struct fixture *f, const char *name)
{
	auto_free char *path = path_of(f, name);
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static struct chain open_chain(const struct fixture *f, const char *id)
{
	struct chain c;
	struct err err = {0};

	if (chain_open(&c, f->base, id, true, &err))
		fail_msg("%s", err.text);
	return c;
}

static void refused(const struct fixture *f, const char *id, const char *text)
{
	struct chain c;
	struct err err = {0};

	assert_int_equal(chain_open(&c, f->base, id, true, &err), -1);
	if (!strstr(err.text, text))
		fail_msg("no '%s' in: %s", text, err.text);
	assert_int_equal(chain_open(&c, f->base, id, false, NULL), -1);
}

static void take_leg(struct chain *c, const char *key, unsigned leg)
{
	struct err err = {0};

	if (chain_take_leg(c, key, "test", &err))
		fail_msg("leg %s: %s", key, err.text);
	assert_int_equal(c->leg, leg);
}

/* As the next job of the chain: everything of the former one is closed. */
static struct chain next_leg(const struct fixture *f, unsigned leg)
{
	struct chain c = open_chain(f, "c");
	auto_free char *key = xasprintf("job.%u", leg);

	take_leg(&c, key, leg);
	return c;
}

static unsigned take_step(struct chain *c, char *const argv[])
{
	struct step s;
	struct err err = {0};
	unsigned number;

	if (chain_take_step(c, argv, "/home/me", &s, &err))
		fail_msg("%s", err.text);
	assert_true(s.dir >= 0);
	number = s.number;
	step_free(&s);
	return number;
}

static void finish(const struct chain *c, unsigned step, int status)
{
	json_t *line = json_pack("{s:f, s:s, s:i, s:i, s:s, s:i}", "t", 1.0,
		"event", "state", "leg", (int)c->leg, "step", (int)step,
		"state", "finished", "status", status);

	assert_int_equal(chain_write(c, line, true, NULL), 0);
}

/* Append raw bytes to the journal, as a crash leaves them. */
static void append(const struct fixture *f, const char *text, size_t n)
{
	auto_free char *path = path_of(f, "c/journal");
	auto_close int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, n), 0);
}

static void append_text(const struct fixture *f, const char *text)
{
	append(f, text, strlen(text));
}

static size_t count_lines(const struct chain *c, unsigned *damaged)
{
	struct err err = {0};
	json_t *lines = chain_read(c, damaged, &err);
	size_t n;

	if (!lines)
		fail_msg("%s", err.text);
	n = json_array_size(lines);
	json_decref(lines);
	return n;
}

/* --- names and files --- */

static void test_names(void **state)
{
	static const char *const good[] = {
		"a", "A-1", "job.4711", "x_y", "0", "a..b", "17-array.3"};
	static const char *const bad[] = {"", ".", "..", ".a", "-a", "a/b", "/",
		"a b", "a\n", "\xc3\xa4", "a:b", "../x", "a*"};
	const struct fixture *f = *state;
	char name[103];

	for (size_t i = 0; i < LEN(good); i++)
		assert_true(chain_id_is_valid(good[i]));
	for (size_t i = 0; i < LEN(bad); i++) {
		assert_false(chain_id_is_valid(bad[i]));
		refused(f, bad[i], "cannot be the name of a chain");
	}
	memset(name, 'a', sizeof(name));
	name[100] = '\0';
	assert_true(chain_id_is_valid(name));
	name[100] = 'a';
	name[101] = '\0';
	assert_false(chain_id_is_valid(name));
}

static void test_modes(void **state)
{
	const struct fixture *f = *state;
	auto_free char *base = path_of(f, "a/b");
	mode_t mask = umask(0);
	struct err err = {0};
	struct chain c;
	struct step s;

	if (chain_open(&c, base, "c", true, &err) ||
		chain_take_leg(&c, "k", "test", &err) ||
		chain_take_step(&c, ARGV("a"), "/", &s, &err))
		fail_msg("%s", err.text);
	umask(mask);
	assert_int_equal(mode_of(f, "a"), 0700);
	assert_int_equal(mode_of(f, "a/b"), 0700);
	assert_int_equal(mode_of(f, "a/b/c"), 0700);
	assert_int_equal(mode_of(f, "a/b/c/step-1"), 0700);
	assert_int_equal(mode_of(f, "a/b/c/journal"), 0600);
	assert_int_equal(mode_of(f, "a/b/c/lease"), 0600);
	step_free(&s);
	chain_close(&c);
}

static void test_open_directory_is_closed(void **state)
{
	const struct fixture *f = *state;
	auto_free char *path = path_of(f, "c");
	struct chain c;

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0755), 0);
	c = open_chain(f, "c");
	assert_int_equal(mode_of(f, "c"), 0700);
	chain_close(&c);
}

static void test_missing_chain(void **state)
{
	const struct fixture *f = *state;
	auto_free char *nowhere = path_of(f, "nowhere");
	struct err err = {0};
	struct chain c;

	assert_int_equal(chain_open(&c, f->base, "c", false, &err), -1);
	assert_int_equal(err.num, ENOENT);
	assert_non_null(strstr(err.text, "chain c"));
	assert_int_equal(chain_open(&c, nowhere, "c", false, &err), -1);
	assert_int_equal(access(nowhere, F_OK), -1);
	/* Closing what did not open does no harm. */
	chain_close(&c);
}

static void test_symlinks_are_refused(void **state)
{
	const struct fixture *f = *state;
	auto_free char *dir = path_of(f, "dir");
	auto_free char *linked = path_of(f, "linked");
	auto_free char *journal = path_of(f, "c/journal");
	auto_free char *lease = path_of(f, "c/lease");
	auto_free char *other = path_of(f, "other");
	struct chain c = open_chain(f, "c");

	chain_close(&c);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(symlink("dir", linked), 0);
	refused(f, "linked", "linked");
	assert_int_equal(rename(lease, other), 0);
	assert_int_equal(symlink(other, lease), 0);
	refused(f, "c", "lease");
	assert_int_equal(unlink(lease), 0);
	assert_int_equal(rename(journal, other), 0);
	assert_int_equal(symlink(other, journal), 0);
	refused(f, "c", "journal");
}

static void test_symlinked_step_is_refused(void **state)
{
	const struct fixture *f = *state;
	auto_free char *dir = path_of(f, "dir");
	auto_free char *step = path_of(f, "c/step-1");
	struct chain c = next_leg(f, 1);
	struct err err = {0};
	struct step s;

	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(symlink(dir, step), 0);
	assert_int_equal(chain_take_step(&c, ARGV("a"), "/", &s, &err), -1);
	assert_non_null(strstr(err.text, "step-1"));
	step_free(&s);
	chain_close(&c);
}

static void test_fifos_are_refused(void **state)
{
	const struct fixture *f = *state;
	auto_free char *journal = path_of(f, "c/journal");
	auto_free char *lease = path_of(f, "c/lease");
	struct chain c = open_chain(f, "c");

	chain_close(&c);
	assert_int_equal(unlink(lease), 0);
	assert_int_equal(mkfifo(lease, 0600), 0);
	refused(f, "c", "lease");
	assert_int_equal(unlink(lease), 0);
	assert_int_equal(unlink(journal), 0);
	assert_int_equal(mkfifo(journal, 0600), 0);
	refused(f, "c", "journal");
}

/* The program under test asks this one: files then seem somebody else's. */
static uid_t pretended;

uid_t geteuid(void)
{
	return pretended ? pretended : (uid_t)syscall(SYS_geteuid);
}

static void test_foreign_files_are_refused(void **state)
{
	const struct fixture *f = *state;
	auto_free char *journal = path_of(f, "c/journal");
	auto_free char *lease = path_of(f, "c/lease");
	struct chain c = open_chain(f, "c");

	chain_close(&c);
	pretended = geteuid() + 1;
	refused(f, "c", "not to you");
	pretended = 0;
	/* Files of others in a directory of one's own: only root makes such. */
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(journal, 1, 1), 0);
	refused(f, "c", "journal");
	assert_int_equal(chown(journal, 0, 0), 0);
	assert_int_equal(chown(lease, 1, 1), 0);
	refused(f, "c", "lease");
}

/* --- the journal --- */

static void test_first_line(void **state)
{
	const struct fixture *f = *state;
	struct chain c = open_chain(f, "c");
	json_t *lines = chain_read(&c, NULL, NULL), *first;

	assert_int_equal(json_array_size(lines), 1);
	first = json_array_get(lines, 0);
	assert_string_equal(
		json_string_value(json_object_get(first, "event")), "chain");
	assert_string_equal(
		json_string_value(json_object_get(first, "chain")), "c");
	assert_true(json_real_value(json_object_get(first, "t")) > 1e9);
	json_decref(lines);
	chain_close(&c);
	/* Once only. */
	c = open_chain(f, "c");
	assert_int_equal(count_lines(&c, NULL), 1);
	chain_close(&c);
}

static void test_write_and_read(void **state)
{
	const struct fixture *f = *state;
	struct chain c = open_chain(f, "c");
	unsigned damaged = 7;
	json_t *lines;

	assert_int_equal(
		chain_write(&c, json_pack("{s:s}", "reason", "two\nlines"),
			true, NULL),
		0);
	lines = chain_read(&c, &damaged, NULL);
	assert_int_equal(json_array_size(lines), 2);
	assert_int_equal(damaged, 0);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(lines, 1), "reason")),
		"two\nlines");
	json_decref(lines);
	chain_close(&c);
}

static void test_torn_last_line(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);
	unsigned damaged = 0;

	take_step(&c, ARGV("a"));
	chain_close(&c);
	append_text(f, "{\"t\":1.5,\"event\":\"state\",\"leg\":1,\"st");
	c = next_leg(f, 2);
	/* The torn line is one, and what came after it is whole. */
	assert_int_equal(take_step(&c, ARGV("a")), 1);
	assert_int_equal(count_lines(&c, &damaged), 5);
	assert_int_equal(damaged, 1);
	chain_close(&c);
}

/* Whatever byte a crash cuts the journal at, the chain goes on. */
static void test_torn_anywhere(void **state)
{
	const struct fixture *f = *state;
	auto_free char *path = path_of(f, "c/journal");
	auto_free char *text = NULL;
	struct chain c = next_leg(f, 1);
	size_t len = 0;

	take_step(&c, ARGV("a"));
	finish(&c, 1, 0);
	chain_close(&c);
	text = read_file_at(AT_FDCWD, path, 1 << 20, &len, NULL);
	assert_non_null(text);
	for (size_t n = 0; n <= len; n++) {
		struct err err = {0};
		struct step s;

		assert_int_equal(truncate(path, 0), 0);
		append(f, text, n);
		c = open_chain(f, "c");
		if (chain_take_leg(&c, "again", "test", &err) ||
			chain_take_step(&c, ARGV("a"), "/", &s, &err))
			fail_msg("cut to %zu bytes: %s", n, err.text);
		assert_int_equal(s.number, 1);
		/* Without its newline the last line may count as whole. */
		if (n < len - 1)
			assert_false(s.finished);
		if (n == len)
			assert_true(s.finished);
		step_free(&s);
		chain_close(&c);
	}
}

static void test_damaged_lines(void **state)
{
	static const char *const bad[] = {"garbage", "[1,2]", "7", "{}}", "{",
		"{\"a\":1,\"a\":2}", "\xff\xfe"};
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);
	unsigned damaged = 0;

	take_step(&c, ARGV("a", "1"));
	for (size_t i = 0; i < LEN(bad); i++) {
		append_text(f, bad[i]);
		append_text(f, "\n");
	}
	finish(&c, 1, 256);
	chain_close(&c);
	c = next_leg(f, 2);
	assert_int_equal(count_lines(&c, &damaged), 5);
	assert_int_equal(damaged, LEN(bad));
	chain_close(&c);
}

/* A power failure may leave a hole of zeros where a line was to be. */
static void test_zeros_in_the_journal(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);
	unsigned damaged = 0;
	struct err err = {0};
	struct step s;

	take_step(&c, ARGV("a"));
	append(f, "\0\0\0\0\0\0\0\0", 8);
	chain_close(&c);
	c = next_leg(f, 2);
	assert_int_equal(take_step(&c, ARGV("a")), 1);
	finish(&c, 1, 512);
	assert_int_equal(count_lines(&c, &damaged), 6);
	assert_int_equal(damaged, 1);
	chain_close(&c);
	c = next_leg(f, 3);
	if (chain_take_step(&c, ARGV("a"), "/", &s, &err))
		fail_msg("%s", err.text);
	assert_true(s.finished);
	assert_int_equal(s.status, 512);
	step_free(&s);
	chain_close(&c);
}

/* Lines that are JSON but make no sense count for nothing. */
static void append_lines(
	const struct fixture *f, const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		append_text(f, lines[i]);
		append_text(f, "\n");
	}
}

static void test_legs_of_wrong_types(void **state)
{
	static const char *const odd[] = {
		"{\"event\":7}",
		"{\"event\":\"leg\"}",
		"{\"event\":\"leg\",\"leg\":-3,\"key\":null}",
		"{\"event\":\"leg\",\"leg\":\"9\",\"key\":\"x\"}",
	};
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);

	chain_close(&c);
	append_lines(f, odd, LEN(odd));
	c = next_leg(f, 2);
	chain_close(&c);
}

static void test_steps_of_wrong_types(void **state)
{
	static const char *const odd[] = {
		"{\"event\":\"step\",\"leg\":\"x\",\"step\":[]}",
		"{\"event\":\"step\",\"leg\":1,\"step\":99999999999}",
		"{\"event\":\"step\",\"step\":2,\"argv\":[1],\"cwd\":{}}",
		"{\"event\":\"state\",\"leg\":1,\"step\":2,\"state\":5}",
	};
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);
	int status = -1;
	pid_t pid;

	take_step(&c, ARGV("b"));
	finish(&c, 1, 0);
	append_lines(f, odd, LEN(odd));
	chain_close(&c);
	c = next_leg(f, 2);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct step s;

		signal(SIGSEGV, SIG_DFL);
		/* Found or not: it must not bring anything down. */
		if (!chain_take_step(&c, NULL, NULL, &s, NULL))
			step_free(&s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("died of signal %d", WTERMSIG(status));
	assert_int_equal(status, 0);
	chain_close(&c);
}

/* --- legs --- */

static void test_legs_are_counted(void **state)
{
	const struct fixture *f = *state;
	struct chain c = open_chain(f, "c");

	assert_int_equal(c.leg, 0);
	take_leg(&c, "job.1", 1);
	chain_close(&c);
	c = next_leg(f, 2);
	chain_close(&c);
	/* A second step of the same job is the same leg. */
	c = open_chain(f, "c");
	take_leg(&c, "job.2", 2);
	chain_close(&c);
	c = next_leg(f, 3);
	chain_close(&c);
}

static void test_a_leg_that_is_over(void **state)
{
	const struct fixture *f = *state;
	struct err err = {0};
	struct chain c = next_leg(f, 1);

	chain_close(&c);
	c = next_leg(f, 2);
	chain_close(&c);
	c = open_chain(f, "c");
	assert_int_equal(chain_take_leg(&c, "job.1", "test", &err), -1);
	assert_int_equal(err.num, EBUSY);
	assert_non_null(strstr(err.text, "leg 2"));
	chain_close(&c);
}

/* A child that holds the lease until it is killed; *leg is what it got. */
static pid_t other_process(
	const struct fixture *f, const char *key, unsigned *leg)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct chain c;
		unsigned got = 0;

		close(fds[0]);
		if (!chain_open(&c, f->base, "c", true, NULL) &&
			!chain_take_leg(&c, key, "test", NULL))
			got = c.leg;
		if (write(fds[1], &got, sizeof(got)) != sizeof(got))
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], leg, sizeof(*leg)), sizeof(*leg));
	close(fds[0]);
	return pid;
}

static void end_process(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_a_chain_runs_once(void **state)
{
	const struct fixture *f = *state;
	struct err err = {0};
	struct chain c;
	unsigned leg = 0;
	pid_t pid = other_process(f, "job.1", &leg);

	assert_int_equal(leg, 1);
	c = open_chain(f, "c");
	assert_int_equal(chain_take_leg(&c, "job.2", "test", &err), -1);
	assert_int_equal(err.num, EBUSY);
	assert_int_equal(c.leg, 0);
	/* It says who has it. */
	assert_non_null(strstr(err.text, "leg 1"));
	/* The attempt has left no trace, and may be repeated. */
	assert_int_equal(count_lines(&c, NULL), 2);
	assert_int_equal(chain_take_leg(&c, "job.2", "test", NULL), -1);
	end_process(pid);
	take_leg(&c, "job.2", 2);
	chain_close(&c);
}

static void test_steps_of_a_leg_share_it(void **state)
{
	const struct fixture *f = *state;
	struct err err = {0};
	struct chain c;
	unsigned one = 0, two = 0;
	pid_t first = other_process(f, "job.1", &one);
	pid_t second = other_process(f, "job.1", &two);

	assert_int_equal(one, 1);
	assert_int_equal(two, 1);
	/* The last one turns off the light. */
	end_process(first);
	c = open_chain(f, "c");
	assert_int_equal(chain_take_leg(&c, "job.2", "test", &err), -1);
	assert_int_equal(err.num, EBUSY);
	end_process(second);
	take_leg(&c, "job.2", 2);
	chain_close(&c);
}

static void test_close_gives_the_lease_back(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);
	unsigned leg = 0;
	pid_t pid;

	pid = other_process(f, "job.2", &leg);
	assert_int_equal(leg, 0);
	end_process(pid);
	chain_close(&c);
	pid = other_process(f, "job.2", &leg);
	assert_int_equal(leg, 2);
	end_process(pid);
}

/* Looking at a chain takes nothing from whoever runs it. */
static void test_opening_takes_no_lease(void **state)
{
	const struct fixture *f = *state;
	struct chain c = open_chain(f, "c");
	unsigned leg = 0;
	pid_t pid = other_process(f, "job.1", &leg);

	assert_int_equal(leg, 1);
	assert_int_equal(count_lines(&c, NULL), 2);
	end_process(pid);
	chain_close(&c);
}

/* --- steps --- */

static void test_steps_are_counted(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);
	struct err err = {0};
	struct step s;

	if (chain_take_step(&c, ARGV("prog", "", "b c"), "/w", &s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(s.number, 1);
	assert_false(s.finished);
	assert_null(s.argv);
	step_free(&s);
	assert_int_equal(s.dir, -1);
	step_free(&s);
	assert_int_equal(take_step(&c, ARGV("other")), 2);
	/* The same command once more in a leg is another step: a loop. */
	assert_int_equal(take_step(&c, ARGV("prog", "", "b c")), 3);
	chain_close(&c);
	c = next_leg(f, 2);
	if (chain_take_step(&c, ARGV("prog", "", "b c"), "/x", &s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(s.number, 1);
	assert_string_equal(s.argv[0], "prog");
	assert_string_equal(s.argv[1], "");
	assert_string_equal(s.argv[2], "b c");
	assert_null(s.argv[3]);
	assert_string_equal(s.cwd, "/w");
	step_free(&s);
	assert_int_equal(take_step(&c, ARGV("other")), 2);
	assert_int_equal(take_step(&c, ARGV("prog", "", "b c")), 3);
	assert_int_equal(take_step(&c, ARGV("prog", "", "b c")), 4);
	chain_close(&c);
}

/* In the background the steps of a script come in any order. */
static void test_order_does_not_matter(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);

	assert_int_equal(take_step(&c, ARGV("prog", "1")), 1);
	assert_int_equal(take_step(&c, ARGV("prog", "2")), 2);
	assert_int_equal(take_step(&c, ARGV("prog", "3")), 3);
	chain_close(&c);
	c = next_leg(f, 2);
	assert_int_equal(take_step(&c, ARGV("prog", "3")), 3);
	assert_int_equal(take_step(&c, ARGV("prog", "1")), 1);
	assert_int_equal(take_step(&c, ARGV("prog", "2")), 2);
	chain_close(&c);
}

static void test_changed_arguments(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);

	assert_int_equal(take_step(&c, ARGV("prep")), 1);
	assert_int_equal(take_step(&c, ARGV("prog", "/tmp/x.1")), 2);
	assert_int_equal(take_step(&c, ARGV("prog", "/tmp/x.2")), 3);
	chain_close(&c);
	c = next_leg(f, 2);
	/* The same arguments go first, then the same program in order. */
	assert_int_equal(take_step(&c, ARGV("prog", "/tmp/x.2")), 3);
	assert_int_equal(take_step(&c, ARGV("prog", "/tmp/y")), 2);
	/* More or fewer arguments are changed arguments. */
	assert_int_equal(take_step(&c, ARGV("prep", "more")), 1);
	assert_int_equal(take_step(&c, ARGV("prog", "/tmp/z")), 4);
	assert_int_equal(take_step(&c, ARGV("new")), 5);
	chain_close(&c);
	/* What counts is the command as it was first recorded. */
	c = next_leg(f, 3);
	assert_int_equal(take_step(&c, ARGV("prog", "/tmp/x.1")), 2);
	chain_close(&c);
}

/* JSON is UTF-8, command lines are not. */
static void test_arguments_of_any_bytes(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);

	assert_int_equal(take_step(&c, ARGV("prog", "\xe9t\xe9")), 1);
	assert_int_equal(take_step(&c, ARGV("prog", "a")), 2);
	chain_close(&c);
	c = next_leg(f, 2);
	assert_int_equal(take_step(&c, ARGV("prog", "a")), 2);
	assert_int_equal(take_step(&c, ARGV("prog", "\xe9t\xe9")), 1);
	chain_close(&c);
}

static void test_finished_step(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);
	struct err err = {0};
	struct step s;

	assert_int_equal(take_step(&c, ARGV("a")), 1);
	assert_int_equal(take_step(&c, ARGV("b")), 2);
	finish(&c, 1, 3 << 8);
	chain_close(&c);
	c = next_leg(f, 2);
	if (chain_take_step(&c, ARGV("a"), "/", &s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(s.number, 1);
	assert_true(s.finished);
	assert_true(WIFEXITED(s.status));
	assert_int_equal(WEXITSTATUS(s.status), 3);
	step_free(&s);
	if (chain_take_step(&c, ARGV("b"), "/", &s, &err))
		fail_msg("%s", err.text);
	assert_false(s.finished);
	step_free(&s);
	finish(&c, 2, SIGKILL);
	chain_close(&c);
	c = next_leg(f, 3);
	if (chain_take_step(&c, ARGV("b"), "/", &s, &err))
		fail_msg("%s", err.text);
	assert_true(s.finished);
	assert_true(WIFSIGNALED(s.status));
	assert_int_equal(WTERMSIG(s.status), SIGKILL);
	step_free(&s);
	chain_close(&c);
}

/* `checkpointer restore` knows no command. */
static void test_any_step(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1);
	struct err err = {0};
	struct step s;

	assert_int_equal(chain_take_step(&c, NULL, NULL, &s, &err), -1);
	assert_non_null(strstr(err.text, "no step"));
	assert_int_equal(take_step(&c, ARGV("a")), 1);
	assert_int_equal(take_step(&c, ARGV("b", "x")), 2);
	finish(&c, 1, 0);
	chain_close(&c);
	c = next_leg(f, 2);
	if (chain_take_step(&c, NULL, NULL, &s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(s.number, 2);
	assert_string_equal(s.argv[0], "b");
	assert_string_equal(s.argv[1], "x");
	assert_string_equal(s.cwd, "/home/me");
	step_free(&s);
	/* There is no other. */
	assert_int_equal(chain_take_step(&c, NULL, NULL, &s, &err), -1);
	chain_close(&c);
	/* The line of leg 2 says as much as that of leg 1. */
	c = next_leg(f, 3);
	assert_int_equal(take_step(&c, ARGV("b", "x")), 2);
	chain_close(&c);
}

/* --- the successor --- */

static int accept(void *arg, char name[64], struct err *err)
{
	(void)err;
	snprintf(name, 64, "job-%d", ++*(int *)arg);
	return 0;
}

static int refuse(void *arg, char name[64], struct err *err)
{
	++*(int *)arg;
	snprintf(name, 64, "wrong");
	return err_set(err, EAGAIN, "not now");
}

static void test_one_successor(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1), other = open_chain(f, "c");
	auto_free char *name = NULL, *last = NULL;
	struct err err = {0};
	int asked = 0;

	take_leg(&other, "job.1", 1);
	assert_null(chain_successor(&c));
	assert_int_equal(chain_submit(&c, refuse, &asked, &err), -1);
	assert_int_equal(err.num, EAGAIN);
	assert_null(chain_successor(&c));
	asked = 0;
	assert_int_equal(chain_submit(&c, accept, &asked, &err), 0);
	/* Whichever step leaves next finds it there. */
	assert_int_equal(chain_submit(&other, accept, &asked, &err), 0);
	assert_int_equal(asked, 1);
	name = chain_successor(&other);
	assert_string_equal(name, "job-1");
	chain_close(&other);
	chain_close(&c);
	c = next_leg(f, 2);
	assert_null(chain_successor(&c));
	last = chain_last_successor(&c);
	assert_string_equal(last, "job-1");
	chain_close(&c);
}

static void test_waiting_for_other_steps(void **state)
{
	const struct fixture *f = *state;
	struct chain c = next_leg(f, 1), other = open_chain(f, "c");

	take_leg(&other, "job.1", 1);
	assert_int_equal(chain_wait_alone(&c, 0.01), -1);
	assert_int_equal(errno, ETIMEDOUT);
	chain_be_present(&c);
	chain_close(&other);
	assert_int_equal(chain_wait_alone(&c, 0.01), 0);
	/* Both that wait may go on, one after the other. */
	assert_int_equal(chain_wait_alone(&c, 0), 0);
	chain_close(&c);
}

static void write_line(
	struct chain *c, double t, const char *state_name, const char *on)
{
	json_t *line = json_pack("{s:f, s:s, s:i, s:i, s:s, s:s}", "t", t,
		"event", "state", "leg", (int)c->leg, "step", 1, "state",
		state_name, "on", on);

	assert_int_equal(chain_write(c, line, true, NULL), 0);
}

static void test_past(void **state)
{
	const struct fixture *f = *state;
	double now = now_wall();
	struct chain_past p;
	struct chain c;

	for (unsigned leg = 1; leg <= 3; leg++) {
		c = next_leg(f, leg);
		if (leg == 1)
			write_line(&c, now + 10, "running", "started");
		else
			write_line(
				&c, now + 20, "moving", "cannot restore here");
		chain_close(&c);
	}
	c = next_leg(f, 4);
	p = chain_past(&c);
	assert_int_equal(p.moves, 2);
	assert_true(p.seconds > 49 && p.seconds < 51);
	/* A restore that succeeds makes them past. */
	write_line(&c, now, "restored", "restored");
	chain_close(&c);
	c = next_leg(f, 5);
	write_line(&c, now, "moving", "command killed");
	chain_close(&c);
	c = next_leg(f, 6);
	assert_int_equal(chain_past(&c).moves, 0);
	chain_close(&c);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(test_names),
		WITH_DIR(test_modes),
		WITH_DIR(test_open_directory_is_closed),
		WITH_DIR(test_missing_chain),
		WITH_DIR(test_symlinks_are_refused),
		WITH_DIR(test_symlinked_step_is_refused),
		WITH_DIR(test_fifos_are_refused),
		WITH_DIR(test_foreign_files_are_refused),
		WITH_DIR(test_first_line),
		WITH_DIR(test_write_and_read),
		WITH_DIR(test_torn_last_line),
		WITH_DIR(test_torn_anywhere),
		WITH_DIR(test_damaged_lines),
		WITH_DIR(test_zeros_in_the_journal),
		WITH_DIR(test_legs_of_wrong_types),
		WITH_DIR(test_steps_of_wrong_types),
		WITH_DIR(test_legs_are_counted),
		WITH_DIR(test_a_leg_that_is_over),
		WITH_DIR(test_a_chain_runs_once),
		WITH_DIR(test_steps_of_a_leg_share_it),
		WITH_DIR(test_close_gives_the_lease_back),
		WITH_DIR(test_opening_takes_no_lease),
		WITH_DIR(test_steps_are_counted),
		WITH_DIR(test_order_does_not_matter),
		WITH_DIR(test_changed_arguments),
		WITH_DIR(test_arguments_of_any_bytes),
		WITH_DIR(test_finished_step),
		WITH_DIR(test_any_step),
		WITH_DIR(test_one_successor),
		WITH_DIR(test_waiting_for_other_steps),
		WITH_DIR(test_past),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
