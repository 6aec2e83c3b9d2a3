/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "chain.h"
#include "cmd.h"
#include "local.h"
#include "log.h"
#include "output.h"
#include "sched.h"
#include "supervisor.h"
#include "util.h"

/* Descriptors 0 to 2 must exist: the next open would take their place. */
static void open_missing_streams(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			log_warn("cannot open /dev/null: %s", strerror(errno));
}

/* Inside the tree of another checkpointer everything is covered already. */
static int run_plainly(char *const argv[])
{
	execvp(argv[0], argv);
	log_error("cannot run %s: %s", argv[0], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}

/*
 * Of the whole leg, that is: a step that begins when less than the margin is
 * left goes on in the next leg.
 */
static int check_margin(const struct config *cfg, const struct sched_job *job)
{
	char limit[32], margin[32];

	if (job->limit <= 0 || cfg->margin < job->limit)
		return 0;
	log_error("the margin of %s leaves nothing of the %s that a leg has: "
		  "choose a smaller --margin or a longer time limit",
		show_duration(cfg->margin, margin),
		show_duration(job->limit, limit));
	return EX_CONFIG;
}

static int check_legs(const struct config *cfg, const struct chain *chain)
{
	if (!cfg->max_legs || chain->leg <= cfg->max_legs)
		return 0;
	log_error("chain %s would begin leg %u, [checkpoint] max_legs is %u: "
		  "raise it to continue",
		chain->id, chain->leg, cfg->max_legs);
	return EX_TEMPFAIL;
}

static int already_finished(const struct supervision *s)
{
	log_info("step %u of %s has finished before: not run again",
		s->step->number, s->chain->id);
	s->sched->ended();
	return WIFEXITED(s->step->status) ? WEXITSTATUS(s->step->status)
					  : 128 + WTERMSIG(s->step->status);
}

/* The command line and directory of a new step, or those recorded. */
static int run_step(struct supervision *s, char *const argv[], const char *cwd)
{
	struct step step;
	struct err err;
	int ret;

	if (chain_take_step(s->chain, argv, cwd, &step, &err)) {
		log_error("%s", err.text);
		step_free(&step);
		return argv ? EX_CANTCREAT : EX_NOINPUT;
	}
	s->step = &step;
	if (s->sched->reruns_script() && output_put_back(step.dir, &err))
		log_warn("%s", err.text);
	s->argv = argv ? argv : step.argv;
	s->cwd = argv ? cwd : step.cwd;
	ret = step.finished ? already_finished(s) : supervise(s);
	s->step = NULL;
	s->argv = NULL;
	s->cwd = NULL;
	step_free(&step);
	return ret;
}

static int run_leg(struct supervision *s, char *const argv[], const char *cwd)
{
	struct err err;
	int ret;

	if (chain_take_leg(s->chain, s->job->key, s->sched->name, &err)) {
		log_error("%s", err.text);
		return EX_TEMPFAIL;
	}
	ret = check_legs(s->cfg, s->chain);
	return ret ? ret : run_step(s, argv, cwd);
}

static int open_and_run(struct invocation *in, struct supervision *s,
	char *const argv[], const char *id)
{
	auto_free char *cwd = getcwd(NULL, 0);
	auto_free char *made = id || s->job->chain ? NULL : local_new_name();
	struct chain chain;
	struct err err;
	int ret;

	if (!cwd) {
		log_error("cannot find the current directory: %s",
			strerror(errno));
		return EX_NOINPUT;
	}
	if (!id)
		id = s->job->chain;
	if (!id)
		id = made;
	if (chain_open(&chain, in->cfg.dir, id, argv != NULL, &err)) {
		log_error("%s", err.text);
		return argv ? EX_CANTCREAT : EX_NOINPUT;
	}
	s->chain = &chain;
	ret = run_leg(s, argv, cwd);
	s->chain = NULL;
	chain_close(&chain);
	return ret;
}

static int run(struct invocation *in, char *const argv[], const char *id)
{
	struct sched_job job = {0};
	struct supervision s = {
		.cfg = &in->cfg,
		.sched = sched_find(),
		.job = &job,
		.self_argv = in->self_argv,
		.mask = in->mask,
	};
	struct err err;
	int ret;

	open_missing_streams();
	if (s.sched->facts(&in->cfg, &job, &err)) {
		log_error("%s: %s", s.sched->name, err.text);
		return EX_UNAVAILABLE;
	}
	ret = check_margin(&in->cfg, &job);
	if (!ret)
		ret = open_and_run(in, &s, argv, id);
	sched_job_free(&job);
	return ret;
}

int cmd_run(struct invocation *in)
{
	const char *id = in->chain ? in->chain : getenv(LOCAL_CHAIN);

	if (getenv("CHECKPOINTER_INSIDE"))
		return run_plainly(in->args);
	return run(in, in->args, id);
}

int cmd_restore(struct invocation *in)
{
	if (!in->args[0] || in->args[1]) {
		log_error("restore takes the name of one chain: checkpointer "
			  "restore CHAIN");
		return EX_USAGE;
	}
	return run(in, NULL, in->args[0]);
}
