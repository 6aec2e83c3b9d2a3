/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker.h - one dump, in a process of its own */
#ifndef WORKER_H
#define WORKER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capsule.h"
#include "carry.h"
#include "engine.h"
#include "err.h"
#include "proc.h"
#include "progress.h"
#include "store.h"

/* What a worker has to tell; lies in memory that it shares with the keeper. */
struct worker_result {
	bool ok;
	/* A signal has ended the worker, or criu. */
	bool killed, criu_killed;
	struct store_cost cost; /* dump: size of the generation */
	double seconds;         /* how long it took, commit included */
	double frozen;  /* dump: seconds that the tree did not run; for a
			   last dump, until the worker ended */
	uint64_t rss;   /* most memory that the worker ever had, in bytes */
	struct err err; /* if not ok */
};

struct worker_dump {
	int step;     /* directory of the step */
	unsigned gen; /* number of the new generation */
	bool leave;   /* leave the tree stopped */
	pid_t root;
	const struct int_list *stopped; /* of the tree, by a signal */
	bool deny_io_uring;
	json_t *facts; /* what the supervisor knows, copied to the manifest */
	struct store_options store;
	struct progress_listener listener;
	struct carry carry;
	enum outside outside;
	uint64_t snapshot_limit; /* see rollback.h */
	/* Called before the commit; if it fails, so does the dump. Or NULL. */
	int (*before_commit)(void *arg, struct err *err);
	void *arg;
};

/* Dump, carry the private directories, commit. Fills *r. Ends the process. */
_Noreturn void worker_dump(const struct engine *e, const struct capsule *c,
	const struct worker_dump *d, struct worker_result *r);

#endif
