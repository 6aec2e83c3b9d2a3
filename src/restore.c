/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "archives.h"
#include "connections.h"
#include "criu_log.h"
#include "log.h"
#include "proc.h"
#include "remap.h"
#include "rollback.h"
#include "stream.h"
#include "util.h"

struct job {
	const struct keeper_plan *plan;
	struct capsule *capsule;
	struct err *failure; /* of what gives criu the images; shared */
	const struct progress_listener *listener;
};

static bool in_capsule(const struct job *k)
{
	return k->capsule->isolation == ISOLATION_USER;
}

/* The command's next PIDs follow those that it had. */
static void go_on_numbering(const struct job *k, struct report *r)
{
	pid_t last = (pid_t)json_integer_value(
		json_object_get(k->plan->manifest, "last_pid"));
	struct err err;

	if (in_capsule(k) &&
		capsule_set_last_pid(
			last > KEEPER_FIRST_PID ? last : KEEPER_FIRST_PID,
			&err))
		snprintf(r->note, sizeof(r->note), "%.200s", err.text);
}

/* Beside a generation that has been restored. */
static void mark_name(const struct job *k, char name[32])
{
	snprintf(name, 32, "%04u.restored", k->plan->gen);
}

static void mark_restored(const struct job *k)
{
	auto_close int fd = -1;
	struct err err;
	char name[32];

	mark_name(k, name);
	fd = open_own_file(k->plan->step, name, O_WRONLY | O_CREAT, &err);
	if (fd < 0)
		log_debug("cannot mark the generation: %s", err.text);
}

/* As of a good dump, see worker.c. */
static void keep_log(const struct keeper_plan *p)
{
	char name[32];

	if (!p->engine.verbose)
		return;
	snprintf(name, sizeof(name), "%04u." ENGINE_RESTORE_LOG, p->gen);
	criu_log_keep(p->engine.work, ENGINE_RESTORE_LOG, p->step, name);
}

/*
 * Behind a last dump only the supervisor itself has written to the streams,
 * until the generation is restored: then a leg that died has gone on.
 */
static bool roll_back(const struct job *k, struct report *report)
{
	const struct keeper_plan *p = k->plan;
	struct rollback_job r = {
		.list = json_object_get(p->manifest, "written"),
		.generation = p->capsule.generation,
		.gen = p->gen,
		.keep = p->step,
		.policy = p->cfg->rollback,
	};
	enum rollback_result result;
	char mark[32];

	mark_name(k, mark);
	r.went_on = !json_is_true(json_object_get(p->manifest, "leave")) ||
		    !faccessat(p->step, mark, F_OK, 0);
	result = rollback_apply(&r, &report->result.err);
	if (result == ROLLBACK_FATAL)
		report->type = R_RESTORE_REFUSED;
	return result == ROLLBACK_DONE;
}

/* In a capsule they are: it is as empty as this one. */
static int numbers_are_free(const struct job *k, struct err *err)
{
	const json_t *threads = json_object_get(k->plan->manifest, "threads"),
		     *j;
	size_t i;

	json_array_foreach(threads, i, j)
	{
		pid_t pid = (pid_t)json_integer_value(j);
		char name[256];

		if (in_capsule(k) || pid <= 0 ||
			(kill(pid, 0) && errno == ESRCH))
			continue;
		proc_cmdline(pid, name, sizeof(name));
		return err_set(err, 0,
			"process number %d, which the checkpoint needs, is in "
			"use here (%.100s)",
			(int)pid, name);
	}
	return 0;
}

/* What criu will ask for: streams with other names are not its own. */
static uint64_t bytes_of_images(const struct store_reader *r)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < store_streams(r); i++) {
		const char *end = strrchr(store_name(r, i), '.');

		if (end && !strcmp(end, ".img"))
			bytes += store_size(r, i);
	}
	return bytes;
}

/* What the images do not give is the reason for whatever criu says of it. */
static pid_t run_criu(void *arg, bool stop, struct err *err)
{
	struct job *k = arg;
	const struct keeper_plan *p = k->plan;
	struct err *failure = k->failure;
	struct progress_meter meter;
	pid_t server, root = -1;

	failure->text[0] = '\0';
	progress_begin(&meter, p->step, true,
		bytes_of_images(p->capsule.generation), k->listener);
	server = stream_serve(k->capsule->work, p->capsule.generation,
		json_object_get(p->manifest, "pending"), &meter, failure);
	if (server > 0)
		root = engine_restore(&p->engine, stop,
			json_object_get(p->manifest, "outside"),
			connections_restore, &k->capsule->network, err);
	stream_served(server);
	if (root <= 0 && failure->text[0])
		*err = *failure;
	return root;
}

pid_t restore_tree(const struct keeper_plan *plan, struct capsule *c,
	const struct progress_listener *listener, struct err *failure,
	struct report *r)
{
	struct job k = {plan, c, failure, listener};
	double start = now_mono();
	pid_t root = -1;

	*r = (struct report){.type = R_RESTORE_FAILED};
	if (!numbers_are_free(&k, &r->result.err) &&
		!archives_put_back(plan->capsule.generation, c->has_user_ns,
			&r->result.err) &&
		roll_back(&k, r) && !capsule_lend_caps(c, true, &r->result.err))
		root = remap_restore(
			plan->capsule.generation, run_criu, &k, &r->result.err);
	if (capsule_lend_caps(c, false, &r->result.err))
		root = -1;
	if (root > 0) {
		mark_restored(&k);
		keep_log(plan);
		r->type = R_RESTORED;
		r->result.ok = true;
		r->root = root;
		go_on_numbering(&k, r);
	}
	r->result.seconds = now_mono() - start;
	return r->root;
}
