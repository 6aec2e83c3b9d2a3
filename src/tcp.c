/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcp.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "proc.h"
#include "util.h"

#ifndef SOCK_DESTROY
#define SOCK_DESTROY 21
#endif

/* --- the tables in /proc --- */

/* As the kernel prints it: the words of the address, each in hex. */
static bool parse_end(const char *text, bool v6, struct tcp_end *end)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	size_t n = v6 ? 4 : 1;
	uint8_t *at = end->addr.s6_addr;
	unsigned word, port;

	if (strlen(text) < 8 * n + 2 || text[8 * n] != ':')
		return false;
	if (!v6) {
		memcpy(at, mapped, sizeof(mapped));
		at += sizeof(mapped);
	}
	for (size_t i = 0; i < n; i++) {
		if (sscanf(text + 8 * i, "%8x", &word) != 1)
			return false;
		memcpy(at + 4 * i, &word, 4);
	}
	if (sscanf(text + 8 * n + 1, "%x", &port) != 1 || port > UINT16_MAX)
		return false;
	end->port = (uint16_t)port;
	return true;
}

bool tcp_parse(const char *line, bool v6, struct tcp_socket *s)
{
	char local[48], remote[48];

	memset(s, 0, sizeof(*s));
	s->v6 = v6;
	/* The columns of proc_pid_net(5): sl local remote st ... inode */
	return sscanf(line, " %*[0-9]: %47s %47s %x %*s %*s %*s %u %*s %lu",
		       local, remote, &s->state, &s->uid, &s->inode) == 5 &&
	       parse_end(local, v6, &s->local) &&
	       parse_end(remote, v6, &s->remote);
}

static void add_table(struct tcp_list *l, pid_t pid, bool v6)
{
	char path[48];
	auto_file FILE *f = NULL;
	auto_free char *line = NULL;
	struct tcp_socket s, *more;
	size_t room = 0;

	snprintf(path, sizeof(path), "/proc/%d/net/tcp%s", (int)pid,
		v6 ? "6" : "");
	f = fopen(path, "re");
	while (f && getline(&line, &room, f) > 0) {
		if (!tcp_parse(line, v6, &s))
			continue;
		more = realloc(l->v, (l->n + 1) * sizeof(*more));
		if (!more)
			return;
		l->v = more;
		l->v[l->n++] = s;
	}
}

static bool mark_owner(const struct proc_fd *f, void *arg)
{
	struct tcp_list *l = arg;
	unsigned long inode;

	if (sscanf(f->target, "socket:[%lu]", &inode) != 1)
		return true;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].inode == inode && !l->v[i].pid) {
			l->v[i].pid = f->pid;
			l->v[i].fd = f->fd;
		}
	return true;
}

struct tcp_list tcp_survey(pid_t root)
{
	struct tcp_list l = {0};
	struct int_list tree;

	add_table(&l, root, false);
	add_table(&l, root, true);
	if (!l.n)
		return l;
	tree = proc_tree(root);
	for (size_t i = 0; i < tree.n; i++)
		proc_fds(tree.v[i], mark_owner, &l);
	free(tree.v);
	return l;
}

/* --- who talks to whom --- */

static bool same_end(const struct tcp_end *a, const struct tcp_end *b)
{
	return a->port == b->port && IN6_ARE_ADDR_EQUAL(&a->addr, &b->addr);
}

/* The other end of s in the same namespace, or NULL. */
static const struct tcp_socket *other_end(
	const struct tcp_list *l, const struct tcp_socket *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (same_end(&l->v[i].local, &s->remote) &&
			same_end(&l->v[i].remote, &s->local))
			return &l->v[i];
	return NULL;
}

bool tcp_is_connected(const struct tcp_socket *s)
{
	return s->state != TCP_LISTEN && s->state != TCP_CLOSE &&
	       s->state != TCP_TIME_WAIT && s->remote.port;
}

bool tcp_is_outside(const struct tcp_list *l, const struct tcp_socket *s)
{
	const struct tcp_socket *other;

	if (!s->pid || !tcp_is_connected(s))
		return false;
	other = other_end(l, s);
	/* One that nobody has is closed, or was never accepted. */
	return !other || (other->inode && !other->pid);
}

bool tcp_is_orphan(const struct tcp_list *l, const struct tcp_socket *s)
{
	const struct tcp_socket *other;

	if (s->inode || (s->state != TCP_FIN_WAIT1 && s->state != TCP_CLOSING &&
				s->state != TCP_LAST_ACK))
		return false;
	other = other_end(l, s);
	return other && other->pid;
}

void tcp_show(const struct tcp_end *end, char text[TCP_TEXT])
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(&end->addr);
	char addr[INET6_ADDRSTRLEN] = "?";

	inet_ntop(v4 ? AF_INET : AF_INET6, end->addr.s6_addr + (v4 ? 12 : 0),
		addr, sizeof(addr));
	snprintf(text, TCP_TEXT, v4 ? "%s:%u" : "[%s]:%u", addr, end->port);
}

/* --- changing them --- */

static void put_addr(
	const struct tcp_socket *s, const struct tcp_end *end, __be32 to[4])
{
	memset(to, 0, 16);
	if (s->v6)
		memcpy(to, end->addr.s6_addr, 16);
	else
		memcpy(to, end->addr.s6_addr + 12, 4);
}

/* The kernel's answer to one request. */
static int netlink_answer(int sock)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];
	} answer;
	ssize_t n = recv(sock, &answer, sizeof(answer), 0);

	if (n < (ssize_t)offsetof(__typeof__(answer), rest) ||
		answer.head.nlmsg_type != NLMSG_ERROR) {
		errno = EPROTO;
		return -1;
	}
	errno = -answer.error.error;
	return answer.error.error ? -1 : 0;
}

int tcp_destroy(const struct tcp_socket *s, struct err *err)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} m = {
		.head = {.nlmsg_len = sizeof(m),
			.nlmsg_type = SOCK_DESTROY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.req = {.sdiag_family = s->v6 ? AF_INET6 : AF_INET,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~0U},
	};
	auto_close int sock =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	m.req.id.idiag_sport = htons(s->local.port);
	m.req.id.idiag_dport = htons(s->remote.port);
	put_addr(s, &s->local, m.req.id.idiag_src);
	put_addr(s, &s->remote, m.req.id.idiag_dst);
	m.req.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	m.req.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (sock < 0 || send(sock, &m, sizeof(m), 0) < 0 ||
		netlink_answer(sock))
		return err_set(err, errno, "close a connection");
	return 0;
}

/* What is TCP_REPAIR in the kernel; not in all of libc's headers. */
#ifndef TCP_REPAIR
#define TCP_REPAIR 19
#endif

static bool end_repair(const struct tcp_socket *s)
{
	auto_close int process = (int)syscall(SYS_pidfd_open, s->pid, 0);
	auto_close int fd = -1;
	int on = 0, off = 0, one = 1;
	socklen_t size = sizeof(on);

	if (process < 0)
		return false;
	fd = (int)syscall(SYS_pidfd_getfd, process, s->fd, 0);
	if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, &size) ||
		!on ||
		setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)))
		return false;
	/* The mode has taken it; without it nobody could bind the port. */
	return !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
}

unsigned tcp_end_repair(pid_t root)
{
	struct tcp_list l = tcp_survey(root);
	unsigned n = 0;

	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].pid && tcp_is_connected(&l.v[i]) &&
			end_repair(&l.v[i]))
			n++;
	free(l.v);
	return n;
}
