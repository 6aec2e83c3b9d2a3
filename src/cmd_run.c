/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "chain.h"
#include "cmd.h"
#include "local.h"
#include "log.h"
#include "output.h"
#include "proc.h"
#include "script.h"
#include "sched.h"
#include "sharedfs.h"
#include "supervisor.h"
#include "unrunnable.h"
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
	struct err err;

	execvp(argv[0], argv);
	unrunnable(argv[0], errno, &err);
	log_error("%s", err.text);
	return err.num == ENOENT ? 127 : 126;
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
		  "choose a longer time limit or a smaller margin, such as "
		  "--margin=%.3gs",
		show_duration(cfg->margin, margin),
		show_duration(job->limit, limit), job->limit / 3);
	return EX_CONFIG;
}

/* Once; each leg has the same. */
static void tell_margin(const struct supervision *s)
{
	char limit[32], margin[32];

	if (s->short_leg && s->chain->first && s->chain->leg == 1)
		log_info("the margin is %s, as a leg lasts only %s; "
			 "--margin=TIME sets another",
			show_duration(s->cfg->margin, margin),
			show_duration(s->job->limit, limit));
}

static int check_past(const struct config *cfg, const struct chain *chain)
{
	double used = cfg->max_time > 0 ? chain_past(chain).seconds : 0;
	char text[32], limit[32];

	if (cfg->max_legs && chain->leg > cfg->max_legs) {
		log_error("chain %s would begin leg %u, [checkpoint] max_legs "
			  "is %u: raise it to continue",
			chain->id, chain->leg, cfg->max_legs);
		return EX_TEMPFAIL;
	}
	if (cfg->max_time > 0 && used >= cfg->max_time) {
		log_error("chain %s has run for %s, [checkpoint] max_time is "
			  "%s: raise it to continue",
			chain->id, show_duration(used, text),
			show_duration(cfg->max_time, limit));
		return EX_TEMPFAIL;
	}
	return 0;
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
	if (!step.finished)
		log_set_chain(s->chain->log, s->chain->leg, step.number);
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

/*
 * This leg may not run here. The script must not go on to its next line, as if
 * the step had been done.
 */
static int keep_out(const struct supervision *s, int status)
{
	struct err err;

	if (s->guard.pid > 0 &&
		s->sched->end_script(&s->guard, status << 8, &err))
		log_warn("%s", err.text);
	return status;
}

/* A later leg has found its checkpoints, wherever they are. */
static void warn_if_unshared(const struct supervision *s)
{
	const struct config *cfg = s->cfg;
	char type[64];

	if (!s->sched->has_nodes || !s->chain->first || s->chain->leg > 1)
		return;
	sharedfs_type(s->chain->dir, type, sizeof(type));
	if (sharedfs_is_local(
		    s->chain->path, type, cfg->shared_paths, cfg->local_paths))
		log_warn("%s is on %s, which one machine sees: a next job on "
			 "another node would not find its checkpoint; name a "
			 "shared directory, as in --dir=DIR or [checkpoint] "
			 "dir, or, if all nodes see this one, name it in "
			 "[files] shared_paths",
			cfg->dir, type);
}

static int run_leg(struct supervision *s, char *const argv[], const char *cwd)
{
	auto_free char *successor = NULL;
	struct err err;
	int ret;

	if (chain_take_leg(s->chain, s->job->key, s->sched->name, &err)) {
		log_error("%s", err.text);
		return keep_out(s, EX_TEMPFAIL);
	}
	chain_open_log(s->chain);
	warn_if_unshared(s);
	tell_margin(s);
	if (s->sched->empties_output && s->chain->first &&
		output_put_back_job(s->chain->dir, s->job->output, &err))
		log_warn("%s", err.text);
	successor = chain_successor(s->chain);
	if (successor) {
		log_info("leg %u of %s has left: this step begins in the next",
			s->chain->leg, s->chain->id);
		return leave_leg(s, false);
	}
	ret = check_past(s->cfg, s->chain);
	return ret ? keep_out(s, ret) : run_step(s, argv, cwd);
}

/* Like `checkpointer | tee log': not all that the script writes goes there. */
static bool is_in_pipe(pid_t shell)
{
	struct stat own, its;

	for (int fd = 0; fd < 2; fd++) {
		auto_free char *path =
			xasprintf("/proc/%d/fd/%d", (int)shell, fd);

		if (!fstat(fd, &own) && S_ISFIFO(own.st_mode) &&
			(stat(path, &its) || its.st_dev != own.st_dev ||
				its.st_ino != own.st_ino))
			return true;
	}
	return false;
}

/*
 * The script runs again from its top: so it begins where it has begun, and
 * not where it may have gone since.
 */
static const char *script_dir(const struct supervision *s, const char *cwd)
{
	return s->job->dir && !access(s->job->dir, X_OK) ? s->job->dir : cwd;
}

/* The whole batch script as one step: what the bare form is. */
static int run_script(struct supervision *s, const char *cwd)
{
	pid_t shell = s->guard.shell;
	struct err err;
	char **argv;
	int ret;

	if (shell != getppid() || is_in_pipe(shell)) {
		log_error("checkpointer without a command must be a line of "
			  "the batch script itself, in no subshell or pipe "
			  "and not behind exec");
		return EX_USAGE;
	}
	cwd = script_dir(s, cwd);
	argv = script_command(
		shell, cwd, s->chain, s->sched->script_vanishes, &err);
	if (!argv) {
		log_error("%s", err.text);
		return EX_USAGE;
	}
	ret = run_leg(s, argv, cwd);
	proc_arguments_free(argv);
	return ret;
}

static int open_and_run(struct invocation *in, struct supervision *s,
	char *const argv[], const char *id)
{
	auto_free char *cwd = getcwd(NULL, 0);
	auto_free char *made = id || s->job->chain ? NULL : local_new_name();
	bool is_new = argv || s->whole_script;
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
	if (chain_open(&chain, in->cfg.dir, id, is_new, &err)) {
		log_error("%s", err.text);
		return is_new ? EX_CANTCREAT : EX_NOINPUT;
	}
	s->chain = &chain;
	ret = s->whole_script ? run_script(s, cwd) : run_leg(s, argv, cwd);
	s->chain = NULL;
	chain_close(&chain);
	return ret;
}

/* Where the shell cannot be guarded, the job's own timer does what it can. */
static int guard_shell(struct supervision *s)
{
	struct err err;

	s->guard.shell = s->sched->shell();
	if (!s->sched->guards_shell ||
		!guard_join(&s->guard, s->guard.shell, s->cfg, &err))
		return 0;
	if (s->whole_script) {
		log_error("%s: so the script cannot be ended when its time has "
			  "come; write checkpointer -- COMMAND instead",
			err.text);
		return EX_UNAVAILABLE;
	}
	log_warn("%s: a warning signal to the batch shell (sbatch "
		 "--signal=B:...) ends the job; leave it out, or write exec "
		 "checkpointer -- COMMAND",
		err.text);
	return 0;
}

/* Of legs of a local job it is the first one, or `batch', that says so. */
static void warn_of_missing_sched(void)
{
	char text[512];

	if (!getenv(LOCAL_JOB) && sched_is_missing(text, sizeof(text)))
		log_warn("%s", text);
}

static int run(struct invocation *in, char *const argv[], const char *id,
	bool whole_script)
{
	struct sched_job job = {0};
	struct supervision s = {
		.cfg = &in->cfg,
		.sched = sched_find(),
		.job = &job,
		.self_argv = in->self_argv,
		.mask = in->mask,
		.guard = {.pipe = -1},
		.whole_script = whole_script,
	};
	struct err err;
	double usual;
	int ret;

	open_missing_streams();
	warn_of_missing_sched();
	if (s.sched->facts(&in->cfg, &job, &err)) {
		log_error("%s: %s", s.sched->name, err.text);
		return EX_UNAVAILABLE;
	}
	log_set_job(job.id);
	usual = in->cfg.margin;
	in->cfg.margin = config_margin(&in->cfg, job.limit);
	s.short_leg = in->cfg.margin < usual;
	ret = check_margin(&in->cfg, &job);
	if (!ret)
		ret = guard_shell(&s);
	if (!ret)
		ret = open_and_run(in, &s, argv, id);
	guard_forget(&s.guard);
	sched_job_free(&job);
	return ret;
}

int cmd_run(struct invocation *in)
{
	if (getenv("CHECKPOINTER_INSIDE"))
		return run_plainly(in->args);
	return run(in, in->args, in->chain ? in->chain : getenv(LOCAL_CHAIN),
		false);
}

int cmd_script(struct invocation *in)
{
	/* The script runs again, and all that follows is inside. */
	if (getenv("CHECKPOINTER_INSIDE"))
		return 0;
	return run(in, NULL, in->chain ? in->chain : getenv(LOCAL_CHAIN), true);
}

const char cmd_restore_help[] =
	"Usage: checkpointer [OPTION]... restore CHAIN\n"
	"\n"
	"Continue the first step of CHAIN that has not finished, from its newest\n"
	"checkpoint, with the command and the directory that it had. `checkpointer list'\n"
	"shows the chains that there are.\n"
	"\n"
	"  -t, --time-limit=TIME  without Slurm: length of a leg\n"
	"  -d, --dir=DIR          where its checkpoints are, if not at the usual place\n"
	"  -h, --help             print this; checkpointer --help has the other options\n"
	"\n"
	"Redirect the output as at first, and append to it. Example:\n"
	"  checkpointer -t 1h restore fit >>fit.out 2>>fit.log\n";

int cmd_restore(struct invocation *in)
{
	if (!in->args[0] || in->args[1]) {
		log_error("restore takes the name of one chain: checkpointer "
			  "restore CHAIN");
		return EX_USAGE;
	}
	return run(in, NULL, in->args[0], false);
}
