/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check_rules.h - from facts about a machine to findings; pure, no I/O */
#ifndef CHECK_RULES_H
#define CHECK_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "findings.h"

/* --- criu --- */

struct criu_facts {
	const char *path;
	bool by_root;     /* who runs it is root */
	bool setuid_root; /* and the file runs as root anyway */
	bool in_capsule;  /* else it works in the host's namespaces */
	bool effective;   /* the flag of the file capabilities */
	uint64_t caps;    /* which they are, a bit each; 0: none */
};

/* What the attribute security.capability of a file holds. */
void caps_of_file(
	const void *attribute, size_t size, uint64_t *caps, bool *effective);

/* Too many of them, or too few. */
void rule_criu_caps(struct findings *f, const struct criu_facts *c);

/* --- isolation --- */

struct isolation_facts {
	enum isolation wanted;
	bool by_root;
	const char *failure; /* why a capsule could not be made; NULL: it was */
	int num;             /* errno of that */
	const char *note;    /* what is amiss in it, or "" */
	bool kernel_has;     /* /proc/self/ns/user is there */
	long max;            /* user.max_user_namespaces; -1: not there */
	long clone;          /* kernel.unprivileged_userns_clone; -1 */
	long apparmor; /* kernel.apparmor_restrict_unprivileged_userns; -1 */
};

void rule_isolation(struct findings *f, const struct isolation_facts *i);

/* What opens user namespaces. */
const char *advice_to_open(const struct isolation_facts *i);

/* --- the rest of the kernel --- */

/*
 * num: the errno of a child that seized its parent, 0 if it could;
 * scope: kernel.yama.ptrace_scope, -1 if there is none.
 */
void rule_ptrace(struct findings *f, int num, long scope);

void rule_pid_max(struct findings *f, long max, bool in_capsule);

/* --- the checkpoint directory --- */

enum sharing {
	SHARED_NO,
	SHARED_YES,
	SHARED_UNKNOWN
};

/* Do other nodes see a file system of this type, as /proc/mounts has it? */
enum sharing sharing_of(const char *type);

/* many_nodes: legs may come to different ones. */
void rule_sharing(
	struct findings *f, const char *dir, const char *type, bool many_nodes);

/* Bytes and files that an ordinary user may still make. */
void rule_room(
	struct findings *f, const char *dir, uint64_t bytes, uint64_t files);

/* Bytes that were written, and how long that took; margin in seconds. */
void rule_speed(struct findings *f, const char *dir, double bytes,
	double seconds, double margin);

/* Owner, mode: who could put another chain in the place of one's own? */
void rule_owner(struct findings *f, const char *dir, unsigned owner,
	unsigned mode, unsigned self);

#endif
