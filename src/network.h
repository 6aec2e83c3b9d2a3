/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network.h - the network of a step: the node's, or one of its own */
#ifndef NETWORK_H
#define NETWORK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "err.h"

/*
 * In a network namespace of its own CRIU may take TCP connections out of one
 * tree and put them into another, for which it needs CAP_NET_ADMIN. The way
 * out is pasta(1), a process in the capsule but on the node's network, to
 * which all connections go that leave the namespace.
 */
struct capsule;

struct network {
	bool is_private;
	pid_t pasta;    /* 0: there is no way out */
	int knock;      /* readable when it is wanted, -1: it is at work */
	json_t *record; /* for the manifest; owned */
};

/*
 * Enter the network that the configuration wants or, for a restore, the kind
 * that was recorded (NULL: the node's). criu is the program that will dump, or
 * empty; `auto` asks for its version. Fills c->network. Must be called with all
 * capabilities of the capsule's user namespace, before its private directories
 * are made, and its /proc mounted. A limit that the user should know of goes
 * to note. -1 with *err if it cannot be had.
 */
int network_enter(struct capsule *c, const struct config *cfg, const char *criu,
	bool restore, const json_t *recorded, char note[256], struct err *err);

/* The record of a step on the node's network. */
json_t *network_of_host(void);

/* knock is readable: if it is the command that wants pasta, wake it. */
void network_knocked(struct network *n);

#endif
