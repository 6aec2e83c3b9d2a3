/* SPDX-License-Identifier: GPL-2.0-or-later */
/* criu.h - a criu that has only images, for tests of what streams them */
#ifndef CRIU_H
#define CRIU_H

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "pack.h"
#include "util.h"

#define MIB (1UL << 20)

/* --- images --- */

struct image {
	char name[24];
	unsigned char *data;
	size_t size, at; /* so much was written, or read */
	int fd;          /* criu's end of its pipe, or -1 */
};

static inline uint32_t random32(uint64_t *x)
{
	*x = *x * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*x >> 32);
}

static inline void noise(unsigned char *p, size_t n, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15ULL;

	for (size_t i = 0; i < n; i += 4) {
		uint32_t r = random32(&x);

		memcpy(p + i, &r, n - i < 4 ? n - i : 4);
	}
}

/* No two pages are the same, but each can be compressed well. */
static inline void drone(unsigned char *p, size_t n, uint64_t seed)
{
	for (size_t at = 0; at < n; at += PAGE) {
		size_t len = n - at < PAGE ? n - at : PAGE;

		noise(p + at, len < 512 ? len : 512, seed * 7919 + at);
		for (size_t i = 512; i < len; i++)
			p[at + i] = p[at + i - 512];
	}
}

/* Long runs of each kind, of zeros, of one page again and again, and both. */
static inline void memory(unsigned char *p, size_t n, uint64_t seed)
{
	const size_t run = 24UL * PAGE;

	memset(p, 0, n);
	for (size_t k = 0; k * run < n; k++) {
		unsigned char *q = p + k * run;
		size_t len = n - k * run < run ? n - k * run : run;

		if (k % 5 < 2)
			noise(q, len, seed + k);
		else if (k % 5 == 2)
			drone(q, len, seed + k);
		for (size_t at = 0; k % 5 == 3 && at + PAGE <= len; at += PAGE)
			if (at / PAGE % 3)
				noise(q + at, PAGE, seed);
	}
}

typedef void fill_function(unsigned char *p, size_t n, uint64_t seed);

static inline struct image make(
	const char *name, size_t size, fill_function *fill, uint64_t seed)
{
	struct image i = {.size = size, .fd = -1, .data = malloc(size + 1)};

	assert_non_null(i.data);
	snprintf(i.name, sizeof(i.name), "%s", name);
	fill(i.data, size, seed);
	return i;
}

static inline void free_images(struct image *i, size_t n)
{
	for (; n > 0; free(i[--n].data))
		release_fd(&i[n - 1].fd);
}

/* --- what criu says --- */

/* work is where the sockets are. */
static inline int criu(int work, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", work,
		name);
	assert_int_equal(connect(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	return sock;
}

static inline int ask(int sock, const char *name)
{
	unsigned char msg[64];
	uint32_t n = (uint32_t)strlen(name), len = n + 2;

	memcpy(msg, &len, sizeof(len));
	msg[4] = 1 << 3 | 2;
	msg[5] = (unsigned char)n;
	memcpy(msg + 6, name, n + 1);
	return write_all(sock, msg, 6 + n);
}

/* One byte, and an end of a pipe, which is closed here. */
static inline void give(int sock, int fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &m, 0), 1);
	close(fd);
}

/* --- a dump --- */

static inline void create(int sock, struct image *i)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(ask(sock, i->name), 0);
	give(sock, fds[0]);
	i->fd = fds[1];
	i->at = 0;
}

static inline void put(struct image *i, size_t n)
{
	if (n > i->size - i->at)
		n = i->size - i->at;
	assert_int_equal(write_all(i->fd, i->data + i->at, n), 0);
	i->at += n;
	if (i->at == i->size)
		release_fd(&i->fd);
}

/*
 * In turns, a piece of each. The extra images are there already; of the others
 * in each round there is one more.
 */
static inline void put_all(int sock, struct image *i, size_t n, size_t n_extra)
{
	uint64_t seed = n;
	size_t open = n_extra, ended = 0;

	while (ended < n) {
		if (open < n)
			create(sock, &i[open++]);
		ended = 0;
		for (size_t k = 0; k < open; k++) {
			uint32_t r = random32(&seed);

			if (i[k].fd >= 0)
				put(&i[k], r % 4 ? r % 150000 : r % 7);
			ended += i[k].fd < 0;
		}
	}
}

/* Wait until nobody will read what is written into the pipe. */
static inline void await_its_end(int fd)
{
	struct pollfd p = {.fd = fd};

	while (poll(&p, 1, -1) < 0)
		assert_int_equal(errno, EINTR);
	assert_true(p.revents & POLLERR);
}

/* --- a restore --- */

/* Is there such an image? */
static inline bool inquire(int sock, const char *name)
{
	unsigned char answer[6];

	assert_int_equal(ask(sock, name), 0);
	assert_int_equal(recv(sock, answer, 6, MSG_WAITALL), 6);
	assert_memory_equal(answer, "\2\0\0\0\10", 5);
	return answer[5];
}

static inline void open_image(int sock, struct image *i)
{
	int fds[2];

	assert_true(inquire(sock, i->name));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	give(sock, fds[1]);
	i->fd = fds[0];
	i->at = 0;
}

/* Read once: false at the end, wherever that is. */
static inline bool get(struct image *i, size_t n)
{
	static unsigned char buf[MIB];
	ssize_t got = read(i->fd, buf, n);

	assert_true(got >= 0);
	assert_true((size_t)got <= i->size - i->at);
	assert_memory_equal(buf, i->data + i->at, (size_t)got);
	i->at += (size_t)got;
	if (!got)
		release_fd(&i->fd);
	return got;
}

static inline void get_rest(struct image *i, size_t piece)
{
	while (get(i, piece))
		;
	assert_int_equal(i->at, i->size);
}

static inline void open_all(int sock, struct image *i, size_t n)
{
	for (size_t k = 0; k < n; k++)
		open_image(sock, &i[k]);
}

static inline void get_in_turns(
	int sock, struct image *i, size_t n, size_t piece)
{
	size_t ended = 0;

	open_all(sock, i, n);
	while (ended < n)
		for (size_t k = 0; k < n; k++)
			if (i[k].fd >= 0 && !get(&i[k], piece)) {
				assert_int_equal(i[k].at, i[k].size);
				ended++;
			}
}

/* All are open, and only the last one of them is read, to its end. */
static inline void get_backwards(int sock, struct image *i, size_t n)
{
	open_all(sock, i, n);
	while (n > 0)
		get_rest(&i[--n], MIB);
}

#endif
