/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sup_hooks.c - the commands of [hooks], beside the loop */
#include "sup.h"

#include <stdio.h>

#include "log.h"
#include "store.h"
#include "util.h"

/* The most that one may take of the margin; the dump needs the rest. */
#define SHARE_OF_MARGIN 0.25

static struct hook_facts facts_of(
	const struct sup *u, enum hook_at at, int status)
{
	const struct supervision *s = u->s;
	struct hook_facts f = {
		.at = at,
		.chain = s->chain->id,
		.dir = s->chain->path,
		.step = s->step->number,
		.leg = s->chain->leg,
		.gen = u->gen == ~0U ? 0 : u->gen,
		.leaving = u->leaving,
		.status = status,
	};

	if (at == HOOK_BEFORE_RESTORE)
		f.gen = store_newest(s->step->dir, ~0U);
	if (status && at != HOOK_ON_FINISH)
		snprintf(f.reason, sizeof(f.reason), "%s", u->reason);
	if (!status && (at == HOOK_AFTER_DUMP || at == HOOK_AFTER_RESTORE)) {
		f.seconds = u->last.seconds;
		f.frozen = u->last.frozen;
		f.bytes = u->last.cost.bytes;
		f.memory = u->last.cost.memory;
	}
	return f;
}

static double limit(const struct sup *u)
{
	const struct config *cfg = u->s->cfg;
	double left = u->s->job->end - now_wall(), most = cfg->hook_timeout;

	if (u->s->job->end <= 0)
		return most;
	/* As much as leaves the dump its time, or if that is late, a part. */
	if (left > cfg->margin)
		left -= (1 - SHARE_OF_MARGIN) * cfg->margin;
	else
		left *= SHARE_OF_MARGIN;
	if (left < most)
		most = left;
	return most > 0.1 ? most : 0.1;
}

/* --- before a dump or a restore --- */

static int before_work(void *arg, struct err *err)
{
	const struct sup *u = arg;

	return hooks_run(u->s->cfg, &u->hook.before_facts, limit(u), err);
}

static void refuse(struct sup *u, const char *why)
{
	sup_reason(u, "%s", why);
	if (u->hook.before_facts.at == HOOK_BEFORE_DUMP) {
		sup_post(u, E_DUMP_FAILED);
		return;
	}
	/* An older checkpoint would be refused as well. */
	u->result = EXIT_CANNOT_RESTORE;
	sup_post(u, E_START_FAILED);
}

bool sup_prepare(struct sup *u, enum hook_at at)
{
	struct err err;

	if (!hooks_wanted(u->s->cfg, at))
		return false;
	u->hook.before_facts = facts_of(u, at, 0);
	if (helper_start(&u->hook.before, before_work, u, &err))
		refuse(u, err.text);
	return true;
}

void sup_end_preparing(struct sup *u)
{
	bool restore = u->hook.before.pid &&
		       u->hook.before_facts.at == HOOK_BEFORE_RESTORE;

	helper_stop(&u->hook.before);
	if (!restore)
		return;
	/* Nothing is there yet whose end could be waited for. */
	sup_reason(u, "asked to end before anything was restored");
	u->result = EXIT_STOPPED;
	sup_post(u, E_START_FAILED);
}

static void on_prepared(struct sup *u, int status)
{
	struct err err;

	if (helper_done(&u->hook.before, status, &err))
		refuse(u, err.text);
	else
		sup_post(u, E_PREPARED);
}

/* --- afterwards --- */

static int after_work(void *arg, struct err *err)
{
	const struct sup *u = arg;

	return hooks_run(u->s->cfg, &u->hook.after_facts, limit(u), err);
}

static void run_after(struct sup *u, const struct hook_facts *f)
{
	struct err err;

	u->hook.after_facts = *f;
	if (helper_start(&u->hook.after, after_work, u, &err))
		log_warn("[hooks] %s: %s", config_hook_name[f->at], err.text);
}

void sup_after(struct sup *u, enum hook_at at, int status)
{
	struct hook_facts f = facts_of(u, at, status);

	if (!hooks_wanted(u->s->cfg, at))
		return;
	if (!u->hook.after.pid) {
		run_after(u, &f);
		return;
	}
	if (u->hook.is_due[at])
		log_warn("[hooks] %s is not run for checkpoint %u: the ones "
			 "before still run",
			config_hook_name[at], u->hook.due[at].gen);
	u->hook.due[at] = f;
	u->hook.is_due[at] = true;
}

/* The next one that waits; on_finish is the last of them. */
static void run_due(struct sup *u)
{
	for (size_t at = 0; at < N_HOOKS && !u->hook.after.pid; at++) {
		if (!u->hook.is_due[at])
			continue;
		u->hook.is_due[at] = false;
		run_after(u, &u->hook.due[at]);
	}
}

static void on_after(struct sup *u, int status)
{
	struct err err;

	if (helper_done(&u->hook.after, status, &err))
		log_warn("%s", err.text);
	run_due(u);
	sup_leave(u);
}

bool sup_hooks_run(const struct sup *u)
{
	return u->hook.after.pid != 0;
}

bool sup_hook_ended(struct sup *u, pid_t pid, int status)
{
	if (pid == u->hook.before.pid)
		on_prepared(u, status);
	else if (pid == u->hook.after.pid)
		on_after(u, status);
	else
		return false;
	return true;
}
