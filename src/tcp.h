/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tcp.h - the TCP connections of a tree, and what a dump leaves of them */
#ifndef TCP_H
#define TCP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct tcp_end {
	struct in6_addr addr; /* an IPv4 one is ::ffff:a.b.c.d */
	uint16_t port;
};

/* One line of /proc/PID/net/tcp or tcp6. */
struct tcp_socket {
	bool v6; /* a socket of AF_INET6, whatever its addresses */
	struct tcp_end local, remote;
	unsigned state; /* TCP_ESTABLISHED, ... of netinet/tcp.h */
	uid_t uid;
	unsigned long inode; /* 0: no process has it */
	/* Who of the tree has it, and as which descriptor; pid 0: nobody. */
	pid_t pid;
	int fd;
};

/* Release with free(list.v). */
struct tcp_list {
	struct tcp_socket *v;
	size_t n;
};

/*
 * All TCP sockets of the network namespace of root, with those marked that
 * root or a descendant of it has open. Nothing is disturbed.
 */
struct tcp_list tcp_survey(pid_t root);

/* Neither listening, nor closed. */
bool tcp_is_connected(const struct tcp_socket *s);

/*
 * A connection of the tree whose other end is not in the tree: on another
 * machine, or with another process of this one.
 */
bool tcp_is_outside(const struct tcp_list *l, const struct tcp_socket *s);

/*
 * A socket that the tree has closed, but that still has something to send to
 * the tree. CRIU sees only what a process has open.
 */
bool tcp_is_orphan(const struct tcp_list *l, const struct tcp_socket *s);

/* "127.0.0.1:80" or "[::1]:80". */
#define TCP_TEXT 64
void tcp_show(const struct tcp_end *end, char text[TCP_TEXT]);

/*
 * Close a connection of the caller's network namespace: who has it gets
 * ECONNABORTED. Needs CAP_NET_ADMIN of the namespace.
 */
int tcp_destroy(const struct tcp_socket *s, struct err *err);

/*
 * End the repair mode in which a criu that was killed has left connections of
 * the tree of root: in it nothing is sent. Needs CAP_NET_ADMIN and the right
 * to trace the tree. Returns how many there were.
 */
unsigned tcp_end_repair(pid_t root);

/* For tests: a line of /proc/net/tcp, or tcp6. False if it is none. */
bool tcp_parse(const char *line, bool v6, struct tcp_socket *s);

#endif
