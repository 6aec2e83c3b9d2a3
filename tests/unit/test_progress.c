/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "progress.h"
#include "tree.h"
#include "util.h"

#define MB ((uint64_t)1 << 20)

static void test_text(void **state)
{
	static const struct {
		struct progress p;
		unsigned percent;
		const char *text;
	} known[] = {
		{{.began = 100, .now = 102, .done = 40 * MB, .total = 100 * MB},
			40, "40 %, 40 MB of about 100 MB, 20 MB/s, 3 s left"},
		{{.restore = true,
			 .began = 100,
			 .now = 101,
			 .done = 50 * MB,
			 .total = 100 * MB},
			50, "50 %, 50 MB of 100 MB, 50 MB/s, 1 s left"},
		/* It has only just begun. */
		{{.began = 100, .now = 101, .done = 69, .total = 100 * MB}, 0,
			"0 %, 69 B of about 100 MB"},
		/* It is more than was thought. */
		{{.began = 100, .now = 102, .done = 140 * MB, .total = 99 * MB},
			99, "140 MB, 70 MB/s"},
		{{.began = 100, .now = 102, .done = 10 * MB}, 0,
			"10 MB, 5.0 MB/s"},
		{{.to_disk = true,
			 .began = 100,
			 .now = 102,
			 .done = 100 * MB,
			 .total = 120 * MB},
			99, "100 MB read, waiting for the disk"},
		/* No time has passed, or the clock was set back. */
		{{.began = 100, .now = 100, .done = 1 * MB, .total = 2 * MB},
			50, "50 %, 1.0 MB of about 2.0 MB"},
		{{.began = 100, .now = 90, .done = 1 * MB, .total = 2 * MB}, 50,
			"50 %, 1.0 MB of about 2.0 MB"},
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < LEN(known); i++) {
		assert_int_equal(
			progress_percent(&known[i].p), known[i].percent);
		assert_string_equal(
			progress_text(&known[i].p, text), known[i].text);
	}
}

/* --- with a directory --- */

struct fixture {
	char path[64];
	int dir;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	snprintf(f->path, sizeof(f->path), "/tmp/test_progress.XXXXXX");
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

/* As if it had begun so long ago. */
static void age(struct progress_meter *m, double seconds)
{
	m->start -= seconds;
	m->written -= seconds;
	m->p.began -= seconds;
}

static void test_file(void **state)
{
	struct fixture *f = *state;
	struct progress_meter m;
	struct progress p = {0};

	/* What is over at once leaves no trace. */
	progress_begin(&m, f->dir, true, 100 * MB, NULL);
	progress_add(&m, MB);
	progress_add(NULL, MB);
	assert_false(progress_read(f->dir, &p));
	age(&m, 1);
	progress_add(&m, MB);
	assert_true(progress_read(f->dir, &p));
	assert_true(p.restore);
	assert_false(p.to_disk);
	assert_true(p.done == 2 * MB && p.total == 100 * MB);
	assert_true(p.now >= p.began + 1 && p.now < p.began + 60);
	/* Not at every byte. */
	progress_add(&m, MB);
	assert_true(progress_read(f->dir, &p));
	assert_true(p.done == 2 * MB);
	progress_to_disk(&m);
	assert_true(progress_read(f->dir, &p));
	assert_true(p.to_disk && p.done == 3 * MB);
	progress_forget(f->dir);
	progress_forget(f->dir);
	assert_false(progress_read(f->dir, &p));
}

static void test_damaged_file(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "{}", "{\"kind\":3}"};
	struct fixture *f = *state;
	struct progress p;

	for (size_t i = 0; i < LEN(bad); i++) {
		int fd = openat(f->dir, "progress",
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(write_all(fd, bad[i], strlen(bad[i])), 0);
		close(fd);
		assert_false(progress_read(f->dir, &p));
	}
}

struct heard {
	unsigned n;
	unsigned percent[32];
};

static void hear(void *arg, const struct progress *p)
{
	struct heard *h = arg;

	assert_true(h->n < LEN(h->percent));
	h->percent[h->n++] = progress_percent(p);
}

/* A hundred times a percent, with so many seconds between. */
static struct heard listen(const struct fixture *f, double pause)
{
	struct heard h = {0};
	struct progress_listener l = {hear, &h};
	struct progress_meter m;

	progress_begin(&m, f->dir, false, 100 * MB, &l);
	for (unsigned i = 0; i < 100; i++) {
		age(&m, pause);
		progress_add(&m, MB);
	}
	progress_to_disk(&m);
	return h;
}

static void test_listener(void **state)
{
	struct fixture *f = *state;
	struct heard h = listen(f, 0.05);

	assert_int_equal(h.n, 0);
	/* After 10 s at once, then at each tenth, and at the end. */
	h = listen(f, 0.6);
	assert_int_equal(h.n, 10);
	assert_in_range(h.percent[0], 16, 17);
	for (unsigned i = 1; i < 9; i++)
		assert_int_equal(h.percent[i], 10 * (i + 1));
	assert_int_equal(h.percent[9], 99);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		TEST(test_file),
		TEST(test_damaged_file),
		TEST(test_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
