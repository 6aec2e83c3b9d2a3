/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sup_tree.c - keepers, generations, the command */
#include "sup.h"

#include <stdio.h>
#include <string.h>

#include "archives.h"
#include "log.h"
#include "look.h"
#include "output.h"
#include "store.h"
#include "util.h"

void sup_ask(struct sup *u, enum request_type type)
{
	struct request r = {.type = type};

	keeper_ask(&u->keeper, &r);
}

void sup_signal(struct sup *u, int sig, bool group)
{
	struct request r = {.type = K_SIGNAL, .sig = sig, .group = group};

	keeper_ask(&u->keeper, &r);
}

static void start_keeper(struct sup *u, enum isolation isolation);

/* Where user namespaces are closed, `auto` goes on without a capsule. */
static void without_capsule(struct sup *u, const char *why)
{
	sup_reason(u, "%s", why);
	if (u->state == S_RESTORING) {
		/* A tree goes back where it came from, or not at all. */
		sup_post(u, E_RESTORE_FAILED);
		return;
	}
	if (u->s->cfg->isolation != ISOLATION_AUTO ||
		u->keeper.isolation != ISOLATION_USER) {
		sup_post(u, E_START_FAILED);
		return;
	}
	log_warn("%s; going on without a capsule (isolation = none)", why);
	keeper_end(&u->keeper);
	start_keeper(u, ISOLATION_NONE);
}

static void start_keeper(struct sup *u, enum isolation isolation)
{
	struct err err;

	ev_io_stop(u->loop, &u->reports);
	u->plan.capsule.isolation = isolation;
	u->plan.capsule.scratch = NULL;
	u->plan.capsule.manifest = u->plan.manifest;
	if (isolation == ISOLATION_USER)
		u->plan.capsule.scratch =
			scratch_make(&u->scratch, u->s->cfg->scratch);
	if (relay_make(&u->relay, json_object_get(u->plan.manifest, "outside"),
		    &err))
		log_warn("standard streams: %s", err.text);
	memcpy(u->plan.std, u->relay.fd, sizeof(u->plan.std));
	u->keeper.isolation = isolation;
	if (u->plan.manifest && archives_check(u->s->step->dir, u->gen, &err)) {
		without_capsule(u, err.text);
		return;
	}
	if (keeper_start(&u->keeper, &u->plan, &err)) {
		without_capsule(u, err.text);
		return;
	}
	ev_io_set(&u->reports, u->keeper.sock, EV_READ);
	ev_io_start(u->loop, &u->reports);
}

static enum isolation first_choice(const struct sup *u)
{
	return u->s->cfg->isolation == ISOLATION_NONE ? ISOLATION_NONE
						      : ISOLATION_USER;
}

void sup_start_fresh(struct sup *u)
{
	start_keeper(u, first_choice(u));
}

/* A tree goes back into the kind of isolation that it was dumped in. */
static enum isolation recorded_isolation(const json_t *manifest)
{
	const char *s =
		json_string_value(json_object_get(manifest, "isolation"));

	return s && !strcmp(s, "none") ? ISOLATION_NONE : ISOLATION_USER;
}

void sup_forget_generation(struct sup *u)
{
	json_decref((json_t *)(uintptr_t)u->plan.manifest);
	u->plan.manifest = NULL;
	u->plan.capsule.network = NULL;
	store_close(u->plan.capsule.generation);
	u->plan.capsule.generation = NULL;
}

/* Files of another chain or step may have been put in its place. */
static int is_ours(const struct sup *u, const json_t *manifest, struct err *err)
{
	const char *id = json_string_value(json_object_get(manifest, "chain"));
	unsigned step =
		(unsigned)json_integer_value(json_object_get(manifest, "step"));

	if (id && !strcmp(id, u->s->chain->id) && step == u->s->step->number)
		return 0;
	return err_set(
		err, 0, "it is of chain %.100s, step %u", id ? id : "?", step);
}

static void take_manifest(struct sup *u, struct err *err)
{
	json_t *m = store_manifest(u->s->step->dir, u->gen, err);

	if (m && is_ours(u, m, err)) {
		json_decref(m);
		m = NULL;
	}
	u->plan.manifest = m;
}

/* Open the newest good generation below the present one: 0, or -1. */
static int open_generation(struct sup *u)
{
	struct err err;

	for (;;) {
		sup_forget_generation(u);
		u->gen = store_newest(u->s->step->dir, u->gen);
		if (!u->gen || u->tries++ >= u->s->cfg->restore_tries)
			return -1;
		u->plan.gen = u->gen;
		u->plan.capsule.generation =
			store_open(u->s->step->dir, u->gen, &err);
		if (u->plan.capsule.generation)
			take_manifest(u, &err);
		u->plan.capsule.network =
			json_object_get(u->plan.manifest, "network");
		if (u->plan.manifest)
			return 0;
		log_warn("checkpoint %u cannot be used: %s", u->gen, err.text);
		sup_reason(u, "%s", err.text);
	}
}

/* Only where a restore was tried: what is damaged, is so everywhere. */
static bool can_move(const struct sup *u)
{
	struct chain_past past = chain_past(u->s->chain);

	if (!u->s->sched->has_nodes || !u->tried_here)
		return false;
	if (past.moves < u->s->cfg->max_moves)
		return true;
	log_error("%u nodes in a row could not restore a checkpoint of %s "
		  "([checkpoint] max_moves)",
		past.moves + 1, u->s->chain->id);
	return false;
}

void sup_restore(struct sup *u)
{
	if (!open_generation(u)) {
		u->tried_here = true;
		start_keeper(u, recorded_isolation(u->plan.manifest));
		return;
	}
	u->result = EXIT_CANNOT_RESTORE;
	if (can_move(u)) {
		log_warn("no checkpoint of %s could be restored on this node: "
			 "moving to another one",
			u->s->chain->id);
		u->elsewhere = true;
		sup_post(u, E_MOVE);
		return;
	}
	sup_reason(u, "no checkpoint of %s could be restored; all are kept",
		u->s->chain->id);
	sup_post(u, E_START_FAILED);
}

void sup_restore_older(struct sup *u)
{
	log_warn("checkpoint %u: %s", u->gen, u->reason);
	ev_io_stop(u->loop, &u->reports);
	keeper_end(&u->keeper);
	scratch_remove(&u->scratch);
	sup_restore(u);
}

static int check_work(void *arg, struct err *err)
{
	struct sup *u = arg;

	return look_at_criu(u->plan.engine.criu, u->keeper.pid,
		u->keeper.isolation == ISOLATION_USER, err);
}

void sup_look(struct sup *u)
{
	struct err err;

	look_at_tree(u->keeper.pid, u->s->cfg->outside);
	if (u->plan.engine.criu[0] && !u->checker.pid &&
		helper_start(&u->checker, check_work, u, &err))
		log_debug("cannot look at criu: %s", err.text);
}

/* "leg 2 of fit, job 4711" */
static void name_leg(const struct sup *u, char *buf, size_t size)
{
	const struct supervision *s = u->s;

	snprintf(buf, size, "leg %u of %s%s%.20s", s->chain->leg, s->chain->id,
		s->job->id ? ", job " : "", s->job->id ? s->job->id : "");
}

static void tell_running(struct sup *u)
{
	char left[100] = "", text[32], leg[160];

	if (u->s->job->end > 0)
		snprintf(left, sizeof(left), ", %s left",
			show_duration(u->s->job->end - now_wall(), text));
	else if (u->s->cfg->interval == 0)
		snprintf(left, sizeof(left),
			", without a time limit: only signals make checkpoints "
			"(see --time-limit, --interval)");
	name_leg(u, leg, sizeof(leg));
	if (u->state == S_RESTORED)
		log_info("%s: restored from checkpoint %u in %s%s", leg, u->gen,
			show_duration(u->last.seconds, text), left);
	else
		log_info("%s: running%s", leg, left);
	sup_look(u);
	sup_timer(u, &u->look, u->s->cfg->look_after);
}

static void cut_kept_output(const struct sup *u)
{
	struct err err;

	if (output_cut_back(u->s->step->dir,
		    json_object_get(u->plan.manifest, "written"), &err))
		log_warn("%s", err.text);
}

static void start_failed(struct sup *u, const struct report *r)
{
	int e = r->result.err.num;

	/* As a shell does: 127 not found, 126 cannot be run. */
	sup_reason(u, "%s", r->result.err.text);
	u->result = e == ENOENT ? 127 : 126;
	sup_post(u, E_START_FAILED);
}

static void tell_progress(const struct progress *p)
{
	char text[128];

	log_info("%s: %s", p->restore ? "restoring" : "dumping",
		progress_text(p, text));
}

static void handle(struct sup *u, const struct report *r)
{
	enum event on_failure =
		r->type == R_RESTORE_FAILED ? E_RESTORE_FAILED : E_DUMP_FAILED;

	if (r->type == R_PROGRESS) {
		tell_progress(&r->progress);
		return;
	}
	u->last = r->result;
	if (u->state == S_RESTORING)
		ev_timer_stop(u->loop, &u->too_long);
	if (r->note[0])
		log_warn("%s", r->note);
	switch (r->type) {
	case R_READY:
		sup_ask(u, u->plan.manifest ? K_RESTORE : K_START);
		if (u->plan.manifest)
			sup_timer(u, &u->too_long, u->s->cfg->restore_timeout);
		break;
	case R_UNABLE:
		without_capsule(u, r->result.err.text);
		break;
	case R_STARTED:
	case R_RESTORED:
		if (r->type == R_RESTORED)
			cut_kept_output(u);
		sup_post(u, r->type == R_STARTED ? E_STARTED : E_RESTORED);
		if (u->state == S_RUNNING || u->state == S_RESTORED)
			tell_running(u);
		break;
	case R_START_FAILED:
		start_failed(u, r);
		break;
	case R_EXITED:
		u->status = r->status;
		sup_exited(u);
		break;
	case R_DUMPED:
		sup_post(u, E_DUMPED);
		break;
	case R_RESTORE_REFUSED:
		sup_reason(u, "%s", r->result.err.text);
		u->result = EXIT_CANNOT_RESTORE;
		sup_post(u, E_START_FAILED);
		break;
	case R_DUMP_FAILED:
		if (r->result.killed)
			u->dump_killed = now_mono();
		/* fall through */
	case R_RESTORE_FAILED:
		sup_reason(u, "%s", r->result.err.text);
		sup_post(u, on_failure);
		break;
	case R_PROGRESS:
		break;
	}
}

void sup_on_report(EV_P_ ev_io *w, int revents)
{
	struct sup *u = w->data;
	struct report r;
	int got;

	(void)loop;
	(void)revents;
	got = keeper_read(&u->keeper, &r);
	if (got > 0) {
		handle(u, &r);
	} else if (got < 0) {
		ev_io_stop(u->loop, &u->reports);
		keeper_end(&u->keeper);
		sup_reason(u, "the keeper was killed, and with it the command");
		sup_post(u, E_LOST);
	}
}
