/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper.h - PID 1 of the capsule: starts, reaps, runs the worker */
#ifndef KEEPER_H
#define KEEPER_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "capsule.h"
#include "config.h"
#include "engine.h"
#include "progress.h"
#include "worker.h"

/*
 * The supervisor forks one keeper for the command, and a fresh one for each
 * attempt to restore. It reads requests and writes reports on one socket. It
 * lives no longer than its supervisor, and nothing of the tree lives longer
 * than it: in a capsule because it is PID 1, else because it kills the tree
 * and the supervisor kills what is left.
 */

/* The command's PIDs begin above this, criu's own at a restore below. */
#define KEEPER_FIRST_PID 1000

enum request_type {
	K_START,   /* start the command */
	K_RESTORE, /* restore from the plan's generation */
	K_DUMP,    /* gen, leave, room */
	K_SIGNAL,  /* sig; to the root's process group if group is set */
	K_THAW,    /* let a tree that was left stopped run on */
	K_KILL,    /* kill the whole tree */
	K_ABORT,   /* kill the worker */
};

struct request {
	enum request_type type;
	unsigned gen;
	bool leave;
	uint64_t room; /* bytes that the generation may take, 0: any */
	int sig;
	bool group;
};

enum report_type {
	R_READY,  /* the capsule stands; note may be filled */
	R_UNABLE, /* it does not; result.err; the keeper ends */
	R_STARTED,
	R_START_FAILED, /* result.err.num is the errno of execve(2) */
	R_EXITED,       /* status as of waitpid(2) */
	R_DUMPED,       /* result */
	R_DUMP_FAILED,
	R_RESTORED,
	R_RESTORE_FAILED,
	R_RESTORE_REFUSED, /* another generation must not be tried either */
	R_PROGRESS,        /* progress, of a dump or restore that takes long */
};

struct report {
	enum report_type type;
	int status;
	pid_t root; /* in the PID namespace of the capsule */
	struct worker_result result;
	struct progress progress;
	char note[520];
};

/* All that the keeper needs; it gets a copy by fork(2). */
struct keeper_plan {
	const struct config *cfg;
	struct capsule_plan capsule;
	struct engine engine;
	char *const *argv;
	const char *cwd;
	sigset_t mask; /* signal mask that the command gets */
	int std[3];    /* what the tree has as 0, 1 and 2 */
	int step;      /* directory of the step */
	unsigned gen;  /* to restore */
	bool moves;    /* a successor may come to another node */
	struct store_options store;
	json_t *facts; /* for the manifest of a dump */
	/* What else must be safe before a generation is; NULL: nothing. */
	int (*before_commit)(void *arg, struct err *err);
	void *arg;
	const json_t *manifest; /* of the generation to restore, or NULL */
};

/*
 * What the configuration says about it; the rest is for the caller to fill in.
 * -1 with *err if there is no criu: the plan does but for dumps and restores,
 * and engine.criu is "".
 */
int keeper_plan(
	struct keeper_plan *p, const struct config *cfg, struct err *err);

struct keeper {
	pid_t pid; /* 0: none */
	int sock;
	enum isolation isolation;
};

/*
 * Fork the keeper. Its first report is R_READY or R_UNABLE. -1 with *err if
 * the namespaces cannot be made.
 */
int keeper_start(
	struct keeper *k, const struct keeper_plan *plan, struct err *err);

/* Send a request. If the keeper is gone, keeper_read() tells. */
void keeper_ask(const struct keeper *k, const struct request *r);

/* The next report: 1, or 0 if there is none now, or -1: the keeper is gone. */
int keeper_read(const struct keeper *k, struct report *r);

/* Kill the keeper and its tree and wait for their end. May be called twice. */
void keeper_end(struct keeper *k);

#endif
