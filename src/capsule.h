/* SPDX-License-Identifier: GPL-2.0-or-later */
/* capsule.h - the namespaces, mounts, id maps and capabilities of a step */
#ifndef CAPSULE_H
#define CAPSULE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config.h"
#include "err.h"
#include "network.h"
#include "private.h"
#include "store.h"

/*
 * fork(2) into the new namespaces of the isolation. In the child, which is
 * PID 1 there, capsule_enter() must follow. Root makes no user namespace: it
 * needs none, and would lose its power over other users' files.
 * Returns as fork does.
 */
pid_t capsule_fork(enum isolation isolation);

struct capsule {
	enum isolation isolation;
	bool has_user_ns;
	struct private private;
	int work;        /* in memory: criu's kernel cache, logs and sockets */
	char *work_path; /* to be removed at the end, or NULL */
	struct network network;
	char note[256]; /* a limit of the network, or empty */
};

/* What a capsule is to be; made before capsule_fork(). */
struct capsule_plan {
	enum isolation isolation;
	/* Who the caller is; unknown inside until the ids are mapped. */
	uid_t uid;
	gid_t gid;
	/* A directory of the host for the private layers, or NULL: memory. */
	const char *scratch;
	/* What to fill the private directories from, or NULL; its manifest. */
	struct store_reader *generation;
	const json_t *manifest;
	int checkpoints; /* a directory of the checkpoints */
	/* The network's record in its manifest, or NULL; see network.h. */
	const json_t *network;
	const char *criu; /* the program that will dump, or empty */
};

/*
 * Set up the capsule from inside: id maps, /proc, private directories, the
 * current directory (cwd, which may lie in a private one). With
 * ISOLATION_NONE only the last is done.
 */
int capsule_enter(struct capsule *c, const struct config *cfg,
	const struct capsule_plan *plan, const char *cwd, struct err *err);

/* Remove what capsule_enter() made that does not vanish by itself. */
void capsule_leave(struct capsule *c);

/* PIDs that are given next are above pid. */
int capsule_set_last_pid(pid_t pid, struct err *err);
pid_t capsule_last_pid(void);

/*
 * In a child that will become criu: keep CAP_CHECKPOINT_RESTORE, CAP_SETPCAP,
 * CAP_NET_ADMIN and CAP_SYS_PTRACE of the capsule, also across execve(2), and
 * no other; see capabilities(7). With CAP_SETUID criu would try setuid(0).
 */
int capsule_keep_criu_caps(const struct capsule *c, struct err *err);

/* In a child that will become tar: read and make what its owner may not. */
int capsule_keep_tar_caps(bool user_ns, struct err *err);
/* In a child that will become pasta: hold all of the capsule's. */
int capsule_keep_all_caps(const struct capsule *c, struct err *err);

/*
 * The keeper restores itself, so that the restored root is its child from the
 * first moment: it lends criu's capabilities to what it executes, and takes
 * them back.
 */
int capsule_lend_caps(const struct capsule *c, bool lend, struct err *err);

/*
 * In the child that becomes the command: no capability, now or ever. The
 * command of root in its own right keeps its own.
 */
int capsule_drop_caps(const struct capsule *c, struct err *err);

#endif
