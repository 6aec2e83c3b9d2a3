/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trial.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "interrupt.h"
#include "log.h"
#include "store.h"
#include "trees.h"
#include "util.h"

/* --- the temporary chain --- */

static int take_chain(struct trial *t, struct err *err)
{
	const char *base = t->plan.cfg->dir;
	char host[64] = "host";
	auto_free char *id = NULL;

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	id = xasprintf("check-%s-%d", host, (int)getpid());
	t->made_base = access(base, F_OK) != 0;
	if (chain_open(&t->chain, base, id, true, err))
		return -1;
	t->has_chain = true;
	if (chain_take_leg(&t->chain, id, "check", err) ||
		chain_take_step(
			&t->chain, t->plan.argv, t->plan.cwd, &t->step, err))
		return -1;
	t->plan.step = t->step.dir;
	return 0;
}

static void remove_chain(struct trial *t)
{
	const char *base = t->plan.cfg->dir;
	auto_close int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *id = xstrdup(t->chain.id);
	struct err err = {0};

	step_free(&t->step);
	chain_close(&t->chain);
	if (dir < 0 || tree_remove(dir, id, &err))
		log_warn("cannot remove %s/%s: %s", base, id,
			dir < 0 ? strerror(errno) : err.text);
	if (t->made_base)
		rmdir(base);
	t->has_chain = false;
}

/* --- the keeper --- */

static int choose_streams(struct trial *t, struct err *err)
{
	if (t->silent) {
		t->plan.std[1] = t->plan.std[2] = t->null;
		return 0;
	}
	if (relay_make(&t->relay, json_object_get(t->plan.manifest, "outside"),
		    err))
		return -1;
	memcpy(t->plan.std, t->relay.fd, sizeof(t->plan.std));
	return 0;
}

/* The next report. -1 too when there is none in time. */
static int next_report(
	struct trial *t, double until, struct report *r, struct err *err)
{
	int got = 0;

	while (!got) {
		got = interrupt_wait(t->keeper.sock, until, err);
		if (got < 0)
			return -1;
		if (!got) {
			err_set(err, 0, "it takes too long");
			err->num = ETIMEDOUT;
			return -1;
		}
		got = keeper_read(&t->keeper, r);
	}
	if (got < 0)
		return err_set(err, 0,
			"the keeper was killed, and with it the command");
	if (r->type == R_EXITED) {
		t->running = false;
		t->status = r->status;
	}
	return 0;
}

/* Seconds for a capsule to be made, a command to be started. */
#define START_WAIT 60

static int make_keeper(
	struct trial *t, enum isolation isolation, struct err *err)
{
	struct report r;

	t->plan.capsule.isolation = isolation;
	t->plan.capsule.scratch = NULL;
	if (isolation == ISOLATION_USER)
		t->plan.capsule.scratch =
			scratch_make(&t->scratch, t->plan.cfg->scratch);
	if (choose_streams(t, err) || keeper_start(&t->keeper, &t->plan, err) ||
		next_report(t, now_mono() + START_WAIT, &r, err))
		goto failed;
	if (r.type == R_READY) {
		snprintf(t->note, sizeof(t->note), "%s", r.note);
		return 0;
	}
	*err = r.result.err;
failed:
	keeper_end(&t->keeper);
	scratch_remove(&t->scratch);
	return -1;
}

static int make_any_keeper(struct trial *t, struct err *err)
{
	enum isolation wanted = t->plan.cfg->isolation;
	struct err why;

	if (wanted != ISOLATION_AUTO)
		return make_keeper(t, wanted, err);
	if (!make_keeper(t, ISOLATION_USER, &why))
		return 0;
	if (why.num == EINTR) {
		*err = why;
		return -1;
	}
	if (make_keeper(t, ISOLATION_NONE, err))
		return -1;
	snprintf(t->note, sizeof(t->note), "%s; without a capsule", why.text);
	return 0;
}

int trial_begin(struct trial *t, const struct config *cfg, char *const *argv,
	const char *cwd, bool prove, struct err *err)
{
	int ret;

	*t = (struct trial){
		.keeper = {.sock = -1}, .step = {.dir = -1}, .null = -1};
	relay_init(&t->relay);
	ret = keeper_plan(&t->plan, cfg, err);
	t->plan.argv = argv;
	t->plan.cwd = cwd;
	t->plan.facts = json_object();
	t->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (t->null < 0)
		return err_set(err, errno, "open /dev/null");
	if (!prove)
		return 0;
	return ret ? -1 : take_chain(t, err);
}

static void ask(struct trial *t, const struct request *r)
{
	keeper_ask(&t->keeper, r);
}

int trial_start(struct trial *t, struct err *err)
{
	struct report r;

	if (make_any_keeper(t, err))
		return -1;
	t->ready = true;
	ask(t, &(struct request){.type = K_START});
	if (next_report(t, now_mono() + START_WAIT, &r, err))
		return -1;
	if (r.type != R_STARTED) {
		*err = r.result.err;
		return -1;
	}
	t->running = true;
	return 0;
}

int trial_watch(struct trial *t, double seconds, struct err *err)
{
	double until = now_mono() + seconds;
	struct report r;

	while (t->running)
		if (next_report(t, until, &r, err))
			return err->num == ETIMEDOUT ? 0 : -1;
	return 0;
}

/* Until a report of one of these two types; the second one is a failure. */
static int await_report(struct trial *t, double seconds, enum report_type good,
	enum report_type bad, struct worker_result *result, struct err *err)
{
	double until = seconds > 0 ? now_mono() + seconds : 0;
	struct report r;

	do
		if (next_report(t, until, &r, err))
			return -1;
	while (r.type != good && r.type != bad);
	*result = r.result;
	if (r.type == good)
		return 0;
	*err = r.result.err;
	return -1;
}

int trial_dump(struct trial *t, double seconds, struct worker_result *r,
	struct err *err)
{
	ask(t, &(struct request){.type = K_DUMP, .gen = 1, .leave = true});
	return await_report(t, seconds, R_DUMPED, R_DUMP_FAILED, r, err);
}

static int open_generation(struct trial *t, struct err *err)
{
	t->plan.gen = 1;
	t->plan.capsule.generation = store_open(t->step.dir, 1, err);
	if (!t->plan.capsule.generation)
		return -1;
	t->plan.manifest = store_manifest(t->step.dir, 1, err);
	return t->plan.manifest ? 0 : -1;
}

int trial_restore(struct trial *t, double seconds, struct worker_result *r,
	struct err *err)
{
	enum isolation isolation = t->keeper.isolation;

	keeper_end(&t->keeper);
	scratch_remove(&t->scratch);
	t->running = false;
	if (open_generation(t, err) || make_keeper(t, isolation, err))
		return -1;
	ask(t, &(struct request){.type = K_RESTORE});
	if (await_report(t, seconds, R_RESTORED, R_RESTORE_FAILED, r, err))
		return -1;
	t->running = true;
	return 0;
}

int trial_terminate(struct trial *t, double seconds, struct err *err)
{
	ask(t, &(struct request){.type = K_SIGNAL, .sig = SIGTERM});
	ask(t, &(struct request){.type = K_SIGNAL, .sig = SIGCONT});
	return trial_watch(t, seconds, err);
}

void trial_end(struct trial *t)
{
	keeper_end(&t->keeper);
	relay_end(&t->relay);
	scratch_remove(&t->scratch);
	if (t->plan.capsule.generation)
		store_close(t->plan.capsule.generation);
	json_decref((json_t *)(uintptr_t)t->plan.manifest);
	json_decref(t->plan.facts);
	if (t->has_chain)
		remove_chain(t);
	release_fd(&t->null);
}
