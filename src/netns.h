/* SPDX-License-Identifier: GPL-2.0-or-later */
/* netns.h - interfaces, addresses, routes and filters of a network namespace */
#ifndef NETNS_H
#define NETNS_H

#include <stdbool.h>

#include "err.h"

/*
 * These work on the network namespace of the caller and need CAP_NET_ADMIN of
 * it. Addresses are texts, of IPv4 or IPv6. -1 with *err.
 */

/* Set an interface going. */
int netns_up(const char *dev, struct err *err);

/*
 * One more address for an interface, usable at once; one that is there already
 * is no error. number tells the IPv4 addresses of an interface apart; the
 * first one of lo, 127.0.0.1, has 0.
 */
int netns_add_address(const char *dev, unsigned number, const char *address,
	unsigned prefix, struct err *err);

/* All that has no other route goes there; gateway may be NULL. */
int netns_add_default(
	const char *dev, bool v6, const char *gateway, struct err *err);

/*
 * Let no TCP packet out, whose connection criu restores but for the other end:
 * who is not there yet would refuse it. And end that, and criu's own locks.
 */
int netns_lock(struct err *err);
int netns_unlock(struct err *err);

#endif
