/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper_plan.c - the supervisor's side: what a keeper is to be, and talking to
 * it */
#include "keeper.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "log.h"
#include "util.h"

#include <unistd.h>

int keeper_plan(
	struct keeper_plan *p, const struct config *cfg, struct err *err)
{
	*p = (struct keeper_plan){
		.cfg = cfg,
		.capsule = {.uid = geteuid(),
			.gid = getegid(),
			.checkpoints = -1},
		.engine = {.unprivileged = geteuid() != 0,
			.ghost_limit = cfg->ghost_limit,
			.extra = cfg->criu_extra,
			.work = -1,
			.keep = -1,
			.verbose = cfg->level == LOG_DEBUG},
		.std = {0, 1, 2},
		.step = -1,
		.store = {.compression = cfg->compression,
			.level = cfg->compression_level,
			.threads = cfg->threads,
			.full_every = cfg->full_every},
	};
	p->capsule.criu = p->engine.criu;
	if (!engine_find(
		    cfg->criu, p->engine.criu, sizeof(p->engine.criu), err))
		return 0;
	p->engine.criu[0] = '\0';
	return -1;
}

void keeper_ask(const struct keeper *k, const struct request *r)
{
	if (send(k->sock, r, sizeof(*r), MSG_NOSIGNAL) < 0)
		log_debug("the keeper does not listen: %s", strerror(errno));
}

int keeper_read(const struct keeper *k, struct report *r)
{
	ssize_t n = recv(k->sock, r, sizeof(*r), MSG_DONTWAIT);

	if (n == sizeof(*r))
		return 1;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

void keeper_end(struct keeper *k)
{
	if (k->pid <= 0)
		return;
	/* Outside a capsule the keeper itself must kill the tree. */
	if (k->isolation == ISOLATION_USER)
		kill(k->pid, SIGKILL);
	release_fd(&k->sock);
	while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
		;
	k->pid = 0;
}
