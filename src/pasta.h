/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pasta.h - pasta(1), the way from a network namespace to the outside */
#ifndef PASTA_H
#define PASTA_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

struct capsule;

/*
 * The same in every leg, so that sockets that are bound to them can be
 * restored. The prefix is set aside for addresses that never leave a host
 * (RFC 7335), and the IPv6 one is a random local one (RFC 4193).
 */
#define PASTA_DEVICE  "net0"
#define PASTA_ADDR4   "192.0.0.2"
#define PASTA_GATE4   "192.0.0.1"
#define PASTA_PREFIX4 29
#define PASTA_ADDR6   "fd6a:93c4:5e1d::2"
#define PASTA_GATE6   "fe80::1"
#define PASTA_PREFIX6 64
/* What is asked of it in DNS goes to the node's own resolver. */
#define PASTA_DNS "192.0.0.3"

struct pasta_plan {
	pid_t holder; /* a process of the namespace, without capabilities */
	bool v6;      /* the node has IPv6 */
	const char *inward;  /* ports of the node led inside, with blanks */
	const char *outward; /* ports inside led to the node's loopback, with
				commas */
};

/* Where the program is: false if it is not installed. */
bool pasta_find(char *path, size_t size);

/*
 * Start it, beside the caller and on the caller's network, and wait until it
 * has made its interface. It ends with the PID namespace of the caller. Its
 * PID; -1 with *err.
 */
pid_t pasta_start(
	const struct capsule *c, const struct pasta_plan *p, struct err *err);

/* Does the node resolve names on its own loopback, which is not inside? */
bool pasta_needs_dns(void);

#endif
