/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper_plan.c - what of the configuration is the keeper's business */
#include "keeper.h"

#include <unistd.h>

int keeper_plan(
	struct keeper_plan *p, const struct config *cfg, struct err *err)
{
	*p = (struct keeper_plan){
		.cfg = cfg,
		.capsule = {.uid = geteuid(),
			.gid = getegid(),
			.generation = NULL},
		.engine = {.unprivileged = geteuid() != 0,
			.ghost_limit = cfg->ghost_limit,
			.extra = cfg->criu_extra,
			.work = -1,
			.verbose = cfg->level == LOG_DEBUG},
		.std = {0, 1, 2},
		.step = -1,
		.store = {.compression = cfg->compression,
			.level = cfg->compression_level,
			.threads = cfg->threads,
			.full_every = cfg->full_every},
	};
	if (!engine_find(
		    cfg->criu, p->engine.criu, sizeof(p->engine.criu), err))
		return 0;
	p->engine.criu[0] = '\0';
	return -1;
}
