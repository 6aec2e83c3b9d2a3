/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "request.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"

#define REQUEST_MAX 4096

/* A base-128 varint, https://protobuf.dev/programming-guides/encoding */
static int get_varint(
	const unsigned char **p, const unsigned char *end, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
		*v |= (uint64_t)(**p & 0x7f) << shift;
		if (!(*(*p)++ & 0x80))
			return 0;
	}
	return -1;
}

/* Past the value of a field that is not of interest. */
static int skip_field(
	const unsigned char **p, const unsigned char *end, uint64_t type)
{
	uint64_t n = 0;

	if (type == 0)
		return get_varint(p, end, &n);
	if (type == 1)
		n = 8;
	else if (type == 5)
		n = 4;
	else if (type != 2 || get_varint(p, end, &n))
		return -1;
	if (n > (uint64_t)(end - *p))
		return -1;
	*p += n;
	return 0;
}

int request_parse(const unsigned char *msg, size_t n, char *name, size_t size)
{
	const unsigned char *p = msg, *end = msg + n;
	uint64_t tag, len;
	int ret = -1;

	while (p < end) {
		if (get_varint(&p, end, &tag))
			return -1;
		if (tag != (1 << 3 | 2)) {
			if (skip_field(&p, end, tag & 7))
				return -1;
			continue;
		}
		if (get_varint(&p, end, &len) || len > (uint64_t)(end - p) ||
			len >= size || !len || memchr(p, 0, len))
			return -1;
		memcpy(name, p, len);
		name[len] = '\0';
		p += len;
		ret = 0;
	}
	return ret;
}

/*
 * 1: all n bytes; 0: the other side has ended before the first; -1. errno is 0
 * if it has ended.
 */
static int read_all(int fd, void *buf, size_t n)
{
	unsigned char *p = buf;
	size_t done = 0;

	if (fd < 0)
		return 0;
	while (done < n) {
		ssize_t got = read(fd, p + done, n - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = 0;
		if (got <= 0)
			return got || done ? -1 : 0;
		done += (size_t)got;
	}
	return 1;
}

static int cut_off(struct err *err)
{
	if (errno)
		return err_set(err, errno, "read from criu");
	return err_set(err, 0, "criu has ended in the middle of a request");
}

/* As read_all(); the name that is asked for. */
int request_read(int sock, char name[REQUEST_NAME], struct err *err)
{
	unsigned char msg[REQUEST_MAX];
	uint32_t len;
	int got = read_all(sock, &len, sizeof(len));

	if (got <= 0)
		return got ? cut_off(err) : 0;
	if (len > sizeof(msg))
		return err_set(err, 0, "criu has asked for nonsense");
	if (read_all(sock, msg, len) <= 0)
		return cut_off(err);
	if (request_parse(msg, len, name, REQUEST_NAME))
		return err_set(err, 0, "criu has asked for nonsense");
	return 1;
}

/* ImgStreamerReplyEntry: field 1 is a bool. */
int request_answer(int sock, bool exists, struct err *err)
{
	struct {
		uint32_t len;
		unsigned char msg[2];
	} __attribute__((packed)) r = {2, {1 << 3, exists}};

	if (write_all(sock, &r, sizeof(r)))
		return err_set(err, errno, "answer criu");
	return 0;
}

/* The only descriptor in a control message, or -1: then there is none left. */
static int only_fd(struct cmsghdr *c)
{
	size_t n;
	int fd = -1;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return -1;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		if (n > 1)
			close(fd);
	}
	return n == 1 ? fd : -1;
}

int request_pipe(int sock, struct err *err)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int) * 4)];
	} control;
	char byte[16];
	struct iovec iov = {byte, sizeof(byte)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;
	int fd;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	fd = n > 0 ? only_fd(CMSG_FIRSTHDR(&m)) : -1;
	return fd < 0 ? err_set(err, 0, "criu has sent no pipe") : fd;
}

int request_listen(int dir, const char *name, struct err *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	auto_close int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlinkat(dir, name, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir,
		name);
	if (sock < 0 || bind(sock, (struct sockaddr *)&a, sizeof(a)) ||
		listen(sock, 1))
		return err_set(err, errno, "make a socket for criu");
	return steal_fd(&sock);
}
