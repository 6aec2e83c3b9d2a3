/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "criu.h"
#include "store.h"
#include "stream.h"
#include "tree.h"
#include "util.h"

/* Of each test, in seconds. */
#define DEADLINE 60

struct fixture {
	char path[64];
	int step, work; /* the store; where the sockets are */
	struct store_options options;
	struct err *failure; /* shared with the process that serves */
	unsigned open;       /* descriptors before the test */
};

static unsigned count_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int make_dir(const char *path, const char *name)
{
	char full[96];

	snprintf(full, sizeof(full), "%s/%s", path, name);
	mkdir(full, 0700);
	return open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	alarm(DEADLINE);
	*state = f;
	f->open = count_open();
	f->options = (struct store_options){
		.compression = COMPRESSION_NONE, .level = 1, .threads = 2};
	f->failure = mmap(NULL, sizeof(*f->failure), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(f->path, sizeof(f->path), "/tmp/test_stream.XXXXXX");
	if (f->failure == MAP_FAILED || !mkdtemp(f->path))
		return -1;
	f->step = make_dir(f->path, "step");
	f->work = make_dir(f->path, "work");
	return f->step < 0 || f->work < 0 ? -1 : 0;
}

static int set_up_zstd(void **state)
{
	int rc = set_up(state);
	struct fixture *f = *state;

	f->options.compression = COMPRESSION_ZSTD;
	return rc;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc = remove_tree(f->path);

	close(f->step);
	close(f->work);
	munmap(f->failure, sizeof(*f->failure));
	if (count_open() != f->open)
		rc = -1;
	free(f);
	alarm(0);
	return rc;
}

/* --- dumps --- */

static int criu_dumps(const struct fixture *f)
{
	return criu(f->work, "streamer-capture.sock");
}

struct dump {
	struct store_writer *writer;
	struct capture *capture;
};

static struct dump begin(
	const struct fixture *f, unsigned gen, struct image *extra, size_t n)
{
	struct capture_extra e[8];
	struct err err = {0};
	struct dump d = {store_begin(f->step, gen, &f->options, &err), NULL};
	int fds[2];

	assert_true(n <= LEN(e));
	for (size_t k = 0; k < n; k++) {
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		e[k] = (struct capture_extra){extra[k].name, fds[0]};
		extra[k].fd = fds[1];
		extra[k].at = 0;
	}
	if (d.writer)
		d.capture = stream_capture(d.writer, f->work, e, n, NULL, &err);
	if (!d.capture)
		fail_msg("generation %u: %s", gen, err.text);
	return d;
}

/* All goes well. */
static struct store_cost end(const struct dump *d)
{
	json_t *m = json_pack("{s:s}", "host", "here");
	struct store_cost cost = {0};
	struct err err = {0};

	if (stream_captured(d->capture, &err) ||
		store_commit(d->writer, m, &cost, &err))
		fail_msg("the dump failed: %s", err.text);
	json_decref(m);
	return cost;
}

static void want_failure(
	const struct fixture *f, const struct dump *d, const char *text)
{
	struct err err = {0};

	assert_int_equal(stream_captured(d->capture, &err), -1);
	if (!strstr(err.text, text))
		fail_msg("'%s' is not '%s'", err.text, text);
	store_abandon(d->writer);
	assert_int_equal(store_next(f->step), 1);
	assert_int_equal(store_usage(f->step), 0);
}

static struct store_cost save(const struct fixture *f, unsigned gen,
	struct image *i, size_t n, size_t n_extra)
{
	struct dump d = begin(f, gen, i, n_extra);
	int sock = criu_dumps(f);

	put_all(sock, i, n, n_extra);
	close(sock);
	return end(&d);
}

/* --- what the store gives --- */

static void want_copies(
	const struct fixture *f, unsigned gen, const struct image *i, size_t n)
{
	static unsigned char copy[8 * MIB];
	struct err err = {0};
	struct store_reader *r = store_open(f->step, gen, &err);

	assert_non_null(r);
	assert_int_equal(store_streams(r), n);
	for (size_t k = 0; k < n; k++) {
		auto_close int fd = memfd_create("copy", MFD_CLOEXEC);
		int stream = store_find(r, i[k].name);

		assert_true(stream >= 0);
		if (store_copy(r, (size_t)stream, fd, &err))
			fail_msg("%s: %s", i[k].name, err.text);
		assert_int_equal(lseek(fd, 0, SEEK_END), i[k].size);
		assert_int_equal(pread(fd, copy, sizeof(copy), 0), i[k].size);
		assert_memory_equal(copy, i[k].data, i[k].size);
	}
	store_close(r);
}

struct serving {
	struct store_reader *reader;
	pid_t pid;
	int sock;
};

static struct serving serve(const struct fixture *f, unsigned gen)
{
	struct err err = {0};
	struct serving s = {.reader = store_open(f->step, gen, &err)};

	assert_non_null(s.reader);
	f->failure->text[0] = '\0';
	s.pid = stream_serve(f->work, s.reader, NULL, NULL, f->failure);
	assert_true(s.pid > 0);
	s.sock = criu(f->work, "streamer-serve.sock");
	return s;
}

/* The process ends by itself; failed says how. */
static void end_serving(const struct fixture *f, struct serving *s, bool failed)
{
	siginfo_t info = {0};

	release_fd(&s->sock);
	assert_int_equal(
		waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOWAIT), 0);
	stream_served(s->pid);
	store_close(s->reader);
	if (info.si_code != CLD_EXITED || info.si_status != failed)
		fail_msg("it ended with %d: %s", info.si_status,
			f->failure->text);
	assert_int_equal(f->failure->text[0] != '\0', failed);
}

static void want_served(
	const struct fixture *f, unsigned gen, struct image *i, size_t n)
{
	struct serving s = serve(f, gen);

	assert_false(inquire(s.sock, "pages-9.img"));
	for (size_t k = 0; k < n; k++) {
		open_image(s.sock, &i[k]);
		get_rest(&i[k], MIB);
	}
	get_in_turns(s.sock, i, n, 3 * PAGE);
	get_in_turns(s.sock, i, n, 1237);
	assert_false(inquire(s.sock, "page"));
	get_backwards(s.sock, i, n);
	end_serving(f, &s, false);
}

/* --- there and back --- */

static void change(struct image *i)
{
	for (size_t at = 0; at + PAGE <= i->size / 2; at += 3UL * PAGE)
		noise(i->data + at, PAGE, at + 99);
	memmove(i->data + i->size / 2, i->data + i->size / 2 + PAGE,
		i->size / 4);
}

static void test_there_and_back(void **state)
{
	struct fixture *f = *state;
	struct image i[] = {
		make("archive-0", 300000, drone, 5),
		make("archive-1", 0, noise, 0),
		make("pages-1.img", 5 * MIB + 77, memory, 1),
		make("core-1.img", 700, noise, 2),
		make("pages-2.img", 5UL * PAGE, noise, 3),
		make("empty.img", 0, noise, 0),
		make("pages-3.img", MIB, memory, 4),
		make("inventory.img", 1, noise, 6),
		make("tty.img", PAGE - 1, drone, 7),
		make("again.img", 65536, drone, 5),
	};
	struct store_cost cost = save(f, 1, i, LEN(i), 2);
	uint64_t size = 0;

	for (size_t k = 0; k < LEN(i); k++)
		size += i[k].size;
	assert_int_equal(cost.memory, size);
	want_copies(f, 1, i, LEN(i));
	want_served(f, 1, i, LEN(i));
	change(&i[2]);
	cost = save(f, 2, i, LEN(i), 2);
	/* The rest is with the first one. */
	assert_true(cost.fresh > MIB / 2);
	assert_true(cost.fresh < 2 * MIB);
	want_copies(f, 2, i, LEN(i));
	want_served(f, 2, i, LEN(i));
	free_images(i, LEN(i));
}

/* More of them than frames are held. */
static void test_many_at_once(void **state)
{
	static struct image i[100];
	struct fixture *f = *state;
	struct serving s;

	for (unsigned k = 0; k < LEN(i); k++) {
		char name[24];

		snprintf(name, sizeof(name), "pages-%u.img", k);
		i[k] = make(name, 90UL * PAGE, drone, k + 1);
	}
	save(f, 1, i, LEN(i), 0);
	s = serve(f, 1);
	get_in_turns(s.sock, i, LEN(i), 65536);
	get_backwards(s.sock, i, LEN(i));
	end_serving(f, &s, false);
	free_images(i, LEN(i));
}

static void test_the_same_image_twice(void **state)
{
	struct fixture *f = *state;
	struct image i[2] = {make("pages-1.img", 3 * MIB, memory, 1)};
	struct serving s;

	save(f, 1, i, 1, 0);
	i[1] = i[0];
	s = serve(f, 1);
	get_in_turns(s.sock, i, 2, 70001);
	get_backwards(s.sock, i, 2);
	end_serving(f, &s, false);
	free_images(i, 1);
}

/* Before anything was read, and in several places. */
static void test_closed_before_the_end(void **state)
{
	struct fixture *f = *state;
	struct image i[2] = {make("pages-1.img", 6 * MIB, memory, 1),
		make("core-1.img", 2000, noise, 2)};
	struct serving s;

	save(f, 1, i, 2, 0);
	s = serve(f, 1);
	for (size_t k = 0; k < 5; k++) {
		open_all(s.sock, i, 2);
		while (i[0].at < k * 1000000)
			get(&i[0], 10007);
		release_fd(&i[0].fd);
		if (k == 1)
			get(&i[1], 1000);
		release_fd(&i[1].fd);
	}
	get_in_turns(s.sock, i, 2, PAGE);
	end_serving(f, &s, false);
	free_images(i, 2);
}

/* It is gone before anybody has looked: nothing is lost. */
static void test_come_and_gone(void **state)
{
	struct fixture *f = *state;
	struct image i = make("pages-1.img", 30000, noise, 1);

	for (unsigned gen = 1; gen <= 20; gen++) {
		struct dump d = begin(f, gen, NULL, 0);
		int sock = criu_dumps(f);

		create(sock, &i);
		put(&i, SIZE_MAX);
		close(sock);
		end(&d);
		want_copies(f, gen, &i, 1);
	}
	free(i.data);
}

/* --- nobody comes --- */

static void test_nobody_dumps(void **state)
{
	struct fixture *f = *state;
	struct image i = make("archive-0", 200000, noise, 1);
	struct dump d = begin(f, 1, NULL, 0);
	struct err err = {0};

	assert_int_equal(stream_drain(d.capture, &err), 0);
	assert_int_equal(stream_captured(d.capture, &err), 0);
	store_abandon(d.writer);
	d = begin(f, 1, &i, 1);
	while (i.fd >= 0)
		put(&i, 1000);
	assert_int_equal(stream_drain(d.capture, &err), 0);
	end(&d);
	want_copies(f, 1, &i, 1);
	free(i.data);
}

static void test_nobody_restores(void **state)
{
	struct fixture *f = *state;
	struct image i = make("ids.img", 200, noise, 1);
	struct store_reader *r;

	save(f, 1, &i, 1, 0);
	r = store_open(f->step, 1, NULL);
	assert_non_null(r);
	stream_served(stream_serve(f->work, r, NULL, NULL, f->failure));
	assert_int_equal(f->failure->text[0], '\0');
	store_close(r);
	free(i.data);
}

/* --- drain --- */

#define LENT 24

/* An image whose memory goes to its pipe without a copy. */
struct lent {
	struct image image;
	unsigned char *memory; /* where it is */
};

static void lend(struct lent *l, size_t n)
{
	struct iovec iov = {l->memory, n};
	ssize_t got;

	memcpy(l->memory, l->image.data + l->image.at, n);
	got = vmsplice(l->image.fd, &iov, 1, SPLICE_F_NONBLOCK);
	assert_true(got > 0);
	l->image.at += (size_t)got;
}

static void lend_all(struct lent *l, size_t n)
{
	for (size_t k = 0; k < LENT; k++)
		lend(&l[k], n);
}

/* As the tree does it when it runs again. */
static void want_drained(const struct dump *d, struct lent *l)
{
	struct err err = {0};
	int left;

	assert_int_equal(stream_drain(d->capture, &err), 0);
	for (size_t k = 0; k < LENT; k++)
		memset(l[k].memory, 'x', MIB / 2);
	for (size_t k = 0; k < LENT; k++) {
		assert_int_equal(ioctl(l[k].image.fd, FIONREAD, &left), 0);
		assert_int_equal(left, 0);
	}
}

/* Its pipe; the other end is not with the capture yet. */
static int make_lent(struct lent *l, unsigned number)
{
	char name[24];
	int fds[2];

	snprintf(name, sizeof(name), "pages-%u.img", number);
	l->image = make(name, MIB, noise, number + 1);
	l->memory = aligned_alloc(PAGE, MIB / 2);
	assert_non_null(l->memory);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fcntl(fds[1], F_SETPIPE_SZ, MIB / 2);
	l->image.fd = fds[1];
	return fds[0];
}

static void test_drain(void **state)
{
	struct fixture *f = *state;
	struct lent l[LENT];
	struct image i[LENT];
	struct dump d = begin(f, 1, NULL, 0);
	int fd[LENT], sock;

	for (unsigned k = 0; k < LENT; k++)
		fd[k] = make_lent(&l[k], k);
	lend_all(l, MIB / 2);
	/* First criu's requests are waiting as well, */
	sock = criu_dumps(f);
	for (size_t k = 0; k < LENT; k++) {
		assert_int_equal(ask(sock, l[k].image.name), 0);
		give(sock, fd[k]);
	}
	want_drained(&d, l);
	/* then there is nothing, then only memory. */
	want_drained(&d, l);
	lend_all(l, 15UL * PAGE);
	want_drained(&d, l);
	for (size_t k = 0; k < LENT; k++) {
		while (l[k].image.fd >= 0)
			put(&l[k].image, MIB);
		i[k] = l[k].image;
	}
	close(sock);
	end(&d);
	want_copies(f, 1, i, LENT);
	free_images(i, LENT);
	for (size_t k = 0; k < LENT; k++)
		free(l[k].memory);
}

/* --- errors of a dump --- */

static void test_no_room(void **state)
{
	struct fixture *f = *state;
	struct image i[2] = {make("pages-1.img", 65536, noise, 1),
		make("core-1.img", 10, noise, 2)};
	struct err err = {0};
	struct dump d;
	int sock;

	f->options.room = 3 * MIB;
	d = begin(f, 1, NULL, 0);
	sock = criu_dumps(f);
	create(sock, &i[0]);
	create(sock, &i[1]);
	/* Buffers take some. */
	for (unsigned k = 0; k < 1000; k++) {
		noise(i[0].data, i[0].size, k + 3);
		if (write_all(i[0].fd, i[0].data, i[0].size))
			break;
	}
	assert_int_equal(errno, EPIPE);
	await_its_end(i[0].fd);
	await_its_end(i[1].fd);
	assert_int_equal(ask(sock, "late.img"), -1);
	assert_int_equal(stream_drain(d.capture, &err), -1);
	assert_non_null(strstr(err.text, "max_size"));
	close(sock);
	want_failure(f, &d, "max_size");
	free_images(i, 2);
}

/* What criu might say, and what is said of it. */
static const struct rubbish {
	const char *bytes;
	size_t n;
	bool ends; /* criu, then */
	const char *text;
} rubbish[] = {
	{"\xff\xff\xff\xff", 4, false, "nonsense"},
	{"\0\0\0\0", 4, true, "nonsense"},
	{"\3\0\0\0\x08\1a", 7, false, "nonsense"},
	{"\2\0", 2, true, "in the middle"},
	{"\5\0\0\0\x0a\3i", 7, true, "in the middle"},
	{"\7\0\0\0\x0a\5a.img", 11, true, "no pipe"},
	{"\7\0\0\0\x0a\5a.img\0", 12, false, "no pipe"},
};

static void test_rubbish_in_a_dump(void **state)
{
	struct fixture *f = *state;
	struct image i = make("ids.img", 100, noise, 1);

	for (size_t k = 0; k < LEN(rubbish); k++) {
		const struct rubbish *r = &rubbish[k];
		struct dump d = begin(f, 1, NULL, 0);
		int sock = criu_dumps(f);

		create(sock, &i);
		assert_int_equal(write_all(sock, r->bytes, r->n), 0);
		if (r->ends)
			release_fd(&sock);
		await_its_end(i.fd);
		release_fd(&sock);
		release_fd(&i.fd);
		want_failure(f, &d, r->text);
	}
	free(i.data);
}

static void test_bad_names(void **state)
{
	static const char *const names[][2] = {
		{"ids.img", "twice"}, {"../ids.img", "the name of an image"}};
	struct fixture *f = *state;
	struct image i[2] = {make("ids.img", 100, noise, 1)};

	for (size_t k = 0; k < LEN(names); k++) {
		struct dump d = begin(f, 1, NULL, 0);
		int sock = criu_dumps(f);

		create(sock, &i[0]);
		snprintf(i[1].name, sizeof(i[1].name), "%s", names[k][0]);
		create(sock, &i[1]);
		await_its_end(i[1].fd);
		await_its_end(i[0].fd);
		close(sock);
		release_fd(&i[0].fd);
		release_fd(&i[1].fd);
		want_failure(f, &d, names[k][1]);
	}
	free(i[0].data);
}

/* It cannot begin: all that was given to it is closed. */
static void test_a_bad_extra(void **state)
{
	static const char *const names[] = {"a", "a/b", "c"};
	struct fixture *f = *state;
	struct capture_extra e[LEN(names)];
	struct err err = {0};
	struct store_writer *w = store_begin(f->step, 1, &f->options, &err);
	int fds[LEN(names)][2];

	assert_non_null(w);
	for (size_t k = 0; k < LEN(names); k++) {
		assert_int_equal(pipe2(fds[k], O_CLOEXEC), 0);
		e[k] = (struct capture_extra){names[k], fds[k][0]};
	}
	assert_null(stream_capture(w, f->work, e, LEN(e), NULL, &err));
	assert_non_null(strstr(err.text, "a/b"));
	for (size_t k = 0; k < LEN(names); k++) {
		await_its_end(fds[k][1]);
		close(fds[k][1]);
	}
	store_abandon(w);
}

/* --- errors of a restore --- */

static void test_rubbish_in_a_restore(void **state)
{
	struct fixture *f = *state;
	struct image i[2] = {make("pages-1.img", 8 * MIB, noise, 1),
		make("a.img", 100, noise, 2)};

	save(f, 1, i, 2, 0);
	for (size_t k = 0; k < LEN(rubbish); k++) {
		const struct rubbish *r = &rubbish[k];
		struct serving s = serve(f, 1);

		open_image(s.sock, &i[0]);
		assert_int_equal(write_all(s.sock, r->bytes, r->n), 0);
		if (r->ends)
			shutdown(s.sock, SHUT_WR);
		while (get(&i[0], MIB))
			;
		assert_true(i[0].at < i[0].size);
		assert_non_null(strstr(f->failure->text, r->text));
		end_serving(f, &s, true);
	}
	free_images(i, 2);
}

/* Flip a bit in the middle of a frame of a pack. */
static void damage(const struct fixture *f, unsigned gen, uint32_t frame)
{
	auto_close int fd = -1;
	struct pack_frame e;
	struct pack_tail t;
	unsigned char byte;
	char name[24];
	off_t at;

	pack_name(gen, name);
	fd = openat(f->step, name, O_RDWR | O_CLOEXEC);
	at = lseek(fd, 0, SEEK_END) - (off_t)sizeof(t);
	assert_int_equal(pread(fd, &t, sizeof(t), at), sizeof(t));
	assert_true(frame < t.frames);
	at = (off_t)(t.table + frame * sizeof(e));
	assert_int_equal(pread(fd, &e, sizeof(e), at), sizeof(e));
	at = (off_t)(e.offset + e.stored / 2);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* All that comes is right, and then it says why no more does. */
static void want_damage(
	const struct fixture *f, struct image *i, const char *text)
{
	struct serving s = serve(f, 2);
	size_t stream = (size_t)store_find(s.reader, i[0].name);
	auto_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct err err = {0};

	open_image(s.sock, &i[1]);
	open_image(s.sock, &i[0]);
	while (get(&i[0], 9999))
		;
	assert_string_equal(f->failure->text, text);
	assert_true(i[0].at < i[0].size);
	/* In our hand already, or not to be had. */
	while (get(&i[1], 9999))
		;
	end_serving(f, &s, true);
	s.reader = store_open(f->step, 2, &err);
	assert_non_null(s.reader);
	assert_int_equal(store_copy(s.reader, stream, null, &err), -1);
	assert_string_equal(err.text, text);
	store_close(s.reader);
}

/* One after the other: the first frames are those of the first image alone. */
static void save_in_order(
	const struct fixture *f, unsigned gen, struct image *i, size_t n)
{
	struct dump d = begin(f, gen, NULL, 0);
	int sock = criu_dumps(f);

	for (size_t k = 0; k < n; k++) {
		create(sock, &i[k]);
		put(&i[k], SIZE_MAX);
	}
	close(sock);
	end(&d);
}

static void test_damage(void **state)
{
	struct fixture *f = *state;
	struct image i[2] = {make("pages-1.img", 6 * MIB, drone, 1),
		make("pages-2.img", 3 * MIB, noise, 2)};

	save_in_order(f, 1, i, 2);
	drone(i[0].data + 5 * MIB, MIB, 3);
	save_in_order(f, 2, i, 2);
	damage(f, 2, 3);
	want_damage(f, i,
		"generation 2 is damaged: pack 2, frame 3: "
		"its checksum does not fit");
	damage(f, 1, 0);
	want_damage(f, i,
		"generation 2 is damaged: pack 1, frame 0: "
		"its checksum does not fit");
	free_images(i, 2);
}

#define RAW(t)  cmocka_unit_test_setup_teardown(t, set_up, tear_down)
#define ZSTD(t) cmocka_unit_test_setup_teardown(t, set_up_zstd, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW(test_there_and_back),
		ZSTD(test_there_and_back),
		RAW(test_many_at_once),
		ZSTD(test_many_at_once),
		RAW(test_the_same_image_twice),
		ZSTD(test_the_same_image_twice),
		RAW(test_closed_before_the_end),
		ZSTD(test_closed_before_the_end),
		RAW(test_come_and_gone),
		RAW(test_nobody_dumps),
		RAW(test_nobody_restores),
		RAW(test_drain),
		ZSTD(test_drain),
		RAW(test_no_room),
		RAW(test_rubbish_in_a_dump),
		RAW(test_bad_names),
		RAW(test_a_bad_extra),
		RAW(test_rubbish_in_a_restore),
		RAW(test_damage),
		ZSTD(test_damage),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
