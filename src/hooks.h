/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hooks.h - commands of the site and of the user, before and after what we do
 */
#ifndef HOOKS_H
#define HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "err.h"

/* What a hook finds in its environment; see checkpointer.ini(5). */
struct hook_facts {
	enum hook_at at;
	const char *chain, *dir; /* its name, and its directory */
	unsigned step, leg;
	unsigned gen;           /* 0: not known */
	bool leaving;           /* the last dump of a leg */
	int status;             /* of what is over: 0 if it went well */
	char reason[512];       /* why it did not */
	double seconds, frozen; /* of a dump or restore; 0: not known */
	uint64_t bytes, memory; /* of the generation */
};

/* Is there anything to be run? */
bool hooks_wanted(const struct config *cfg, enum hook_at at);

/*
 * Run the site's command, then the user's, each for so many seconds at most;
 * what takes longer is killed. The first that fails before a dump or a restore
 * is the last one. -1 with *err if one has failed.
 *
 * Blocks, and changes the environment: for a process of its own.
 */
int hooks_run(const struct config *cfg, const struct hook_facts *f,
	double seconds, struct err *err);

#endif
