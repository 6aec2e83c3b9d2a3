/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sched_slurm.c - Slurm: what it knows of this job, and how the job goes on */
#include "sched.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sysexits.h>

#include "log.h"
#include "slurm_check.h"
#include "slurm_job.h"
#include "slurm_look.h"
#include "slurm_text.h"
#include "util.h"

/* Seconds before its end in which a job is said to end because of its limit. */
#define NEAR_THE_END 60

static uint32_t number_from(const char *name)
{
	const char *text = getenv(name);

	return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static uint32_t own_id(void)
{
	return number_from("SLURM_JOB_ID");
}

static bool slurm_here(void)
{
	return own_id() && getenv("SLURM_JOB_NAME") && getenv("SLURM_JOBID") &&
	       !getenv("CHECKPOINTER_LOCAL_JOB");
}

/* --- what the controller knows --- */

/* Slurm's errors are none that strerror(3) knows. */
static int slurm_failed(struct err *err, int num, const char *what)
{
	err_set(err, 0, "%s job %u: %s", what, own_id(), slurm_strerror(num));
	if (err)
		err->num = num;
	return -1;
}

typedef int use_fn(const slurm_job_info_t *, void *arg, struct err *err);

/* Call use() with what the controller knows of this job. */
static int ask_controller(use_fn *use, void *arg, struct err *err)
{
	job_info_msg_t *msg = NULL;
	const slurm_job_info_t *job = NULL;
	int ret;

	slurm_init(NULL);
	if (slurm_load_job(&msg, job_name(own_id()), SHOW_DETAIL))
		return slurm_failed(err, errno, "ask slurmctld for");
	/* For an array there is one record for every task. */
	for (uint32_t i = 0; i < msg->record_count && !job; i++)
		if (msg->job_array[i].job_id == own_id())
			job = &msg->job_array[i];
	ret = job ? use(job, arg, err)
		  : err_set(err, 0, "slurmctld does not know job %u", own_id());
	slurm_free_job_info_msg(msg);
	return ret;
}

/* --- facts --- */

/* What cannot be continued as the same job. */
static int refuse(const slurm_job_info_t *info, struct err *err)
{
	if (info->het_job_id || getenv("SLURM_HET_SIZE"))
		return err_set(err, 0,
			"a heterogeneous job cannot be continued: submit its "
			"components as jobs of their own");
	if (info->bitflags & CRON_JOB)
		return err_set(err, 0,
			"a job of scrontab cannot be continued: let it submit "
			"a job with sbatch");
	if (!info->batch_flag)
		return err_set(err, 0,
			"an interactive allocation has no batch script that "
			"could run again: use sbatch");
	if (getenv("SLURM_STEP_ID"))
		return err_set(err, 0,
			"a step of srun cannot be continued: write "
			"checkpointer -- COMMAND in the batch script, without "
			"srun");
	return 0;
}

/* A site may rewrite comments: then the chain itself knows its successor. */
static char *chain_in_journal(const struct config *cfg)
{
	const char *id = getenv(SUCCESSOR_OF);
	auto_free char *own = xasprintf("%u", own_id());
	auto_free char *name = NULL;
	struct chain c;

	if (!id || chain_open(&c, cfg->dir, id, false, NULL))
		return NULL;
	name = chain_last_successor(&c);
	chain_close(&c);
	return name && !strcmp(name, own) ? xstrdup(id) : NULL;
}

/* Of the job's partition; found by facts(), used in helpers, which inherit. */
static bool preempted_comes_back;

static bool is_first_of(const char *name, const char *list)
{
	size_t n = strcspn(list, ",");

	return strlen(name) == n && !strncmp(name, list, n);
}

/*
 * In a partition with GraceTime, a preempted job's batch script is not told
 * until that time is over (slurm.conf(5), GraceTime: signals go to steps).
 */
static bool wants_watch(const slurm_job_info_t *info)
{
	partition_info_msg_t *msg = NULL;
	bool watch = false;

	if (slurm_load_partitions(0, &msg, SHOW_ALL)) {
		log_debug("ask slurmctld for partitions: %s",
			slurm_strerror(errno));
		return false;
	}
	for (uint32_t i = 0; i < msg->record_count; i++) {
		const partition_info_t *p = &msg->partition_array[i];

		if (!p->name || !info->partition ||
			!is_first_of(p->name, info->partition))
			continue;
		watch = p->grace_time > 0 && p->grace_time != NO_VAL &&
			p->preempt_mode != PREEMPT_MODE_OFF;
		preempted_comes_back =
			(p->preempt_mode & PREEMPT_MODE_REQUEUE) &&
			info->requeue;
	}
	slurm_free_partition_info_msg(msg);
	return watch;
}

struct facts {
	const struct config *cfg;
	struct sched_job *job;
};

/* With patterns such as %j filled in. */
static char *file_of(const slurm_job_info_t *info,
	void (*get)(char *buf, int size, job_info_t *job))
{
	char buf[4096] = "";

	get(buf, sizeof(buf), (job_info_t *)(uintptr_t)info);
	return *buf == '/' ? xstrdup(buf) : NULL;
}

static int use_facts(const slurm_job_info_t *info, void *arg, struct err *err)
{
	struct facts *f = arg;
	const char *cluster = getenv("SLURM_CLUSTER_NAME");
	unsigned leg;

	if (refuse(info, err))
		return -1;
	if (info->end_time > 0)
		f->job->end = (double)info->end_time;
	if (info->end_time > info->start_time && info->start_time > 0)
		f->job->limit = (double)(info->end_time - info->start_time);
	if (info->work_dir && *info->work_dir)
		f->job->dir = xstrdup(info->work_dir);
	f->job->output[0] = file_of(info, slurm_get_job_stdout);
	f->job->output[1] = file_of(info, slurm_get_job_stderr);
	f->job->watch = wants_watch(info) && f->cfg->preemption_watch > 0;
	f->job->id = xasprintf("%u", own_id());
	f->job->key = xasprintf("slurm-%u.%u", own_id(), info->restart_cnt);
	/* What the script submits has its environment, but not its comment. */
	f->job->chain = slurm_chain_in(info->comment, &leg);
	if (!f->job->chain)
		f->job->chain = chain_in_journal(f->cfg);
	if (!f->job->chain)
		f->job->chain = xasprintf("%s-%u",
			cluster && *cluster ? cluster : "slurm", own_id());
	return 0;
}

static int slurm_facts(
	const struct config *cfg, struct sched_job *job, struct err *err)
{
	struct facts f = {.cfg = cfg, .job = job};

	return ask_controller(use_facts, &f, err);
}

static int use_end(const slurm_job_info_t *info, void *arg, struct err *err)
{
	(void)err;
	*(double *)arg = (double)info->end_time;
	return 0;
}

static double slurm_end(const struct config *cfg, struct err *err)
{
	double end = -1;

	(void)cfg;
	return ask_controller(use_end, &end, err) ? -1 : end;
}

/* The batch shell; after `exec checkpointer` this process itself. */
static pid_t slurm_shell(void)
{
	return (pid_t)number_from("SLURM_TASK_PID");
}

/* --- why it ends --- */

static int use_why(const slurm_job_info_t *info, void *arg, struct err *err)
{
	enum ending *why = arg;
	uint32_t state = info->job_state & JOB_STATE_BASE;
	bool limit = state == JOB_TIMEOUT || state == JOB_DEADLINE ||
		     info->end_time <= time(NULL) + NEAR_THE_END;

	(void)err;
	if (info->job_state & (JOB_REQUEUE | JOB_REQUEUE_HOLD) ||
		state == JOB_PENDING)
		*why = ENDING_REQUEUED;
	else if (state == JOB_CANCELLED)
		*why = ENDING_CANCELLED;
	else if (state == JOB_PREEMPTED || info->preempt_time > 0)
		*why = preempted_comes_back ? ENDING_REQUEUED
					    : ENDING_PREEMPTED;
	else
		*why = limit ? ENDING_LIMIT : ENDING_CANCELLED;
	return 0;
}

static int slurm_why(
	const struct config *cfg, enum ending *why, struct err *err)
{
	(void)cfg;
	return ask_controller(use_why, why, err);
}

/* --- the successor --- */

struct submission {
	const struct config *cfg;
	const struct sched_next *next;
	char *name;
};

static void show_on(const slurm_job_info_t *info, const char *chain,
	unsigned leg, const char *state)
{
	auto_free char *tag = slurm_tag(chain, leg, state);
	auto_free char *comment = slurm_comment_with(info->comment, tag);
	struct err err;

	if (slurm_job_set_comment(info->job_id, comment, &err))
		log_debug("%s", err.text);
}

/* Slurm itself keeps every parameter, the id, dependents and array. */
static int requeue(const slurm_job_info_t *info, void *arg, struct err *err)
{
	const struct submission *s = arg;

	if (!info->requeue)
		return err_set(err, 0,
			"job %u may not be requeued (submit it with sbatch "
			"--requeue)",
			own_id());
	if (s->cfg->comment)
		show_on(info, s->next->chain, s->next->leg - 1, "requeued");
	snprintf(s->name, SCHED_NAME, "%u", own_id());
	if (!slurm_requeue(job_name(own_id()), 0))
		return 0;
	return slurm_failed(err, errno, "requeue");
}

/*
 * A job whose grace time has begun, in a partition that requeues. Only with a
 * successor of its own would it go on twice.
 */
static bool is_brought_back(const slurm_job_info_t *info)
{
	return preempted_comes_back && info->preempt_time > 0;
}

/*
 * Since 24.05 such a job is requeued when it ends; one that waits for the end
 * of its grace time, or is requeued in it, is requeued once more when the next
 * leg has ended (GRACE_PREEMPT stays set in slurmctld).
 */
static int let_come_back(
	const slurm_job_info_t *info, void *arg, struct err *err)
{
#if SLURM_SINCE(24, 5)
	const struct submission *s = arg;

	(void)info;
	(void)err;
	log_info("the job is being preempted: Slurm requeues it");
	snprintf(s->name, SCHED_NAME, "%u", own_id());
	return 0;
#else
	return requeue(info, arg, err);
#endif
}

static int submit_again(
	const slurm_job_info_t *info, void *arg, struct err *err)
{
	const struct submission *s = arg;
	const struct successor next = {
		.chain = s->next->chain,
		.leg = s->next->leg,
		.exclude =
			s->next->elsewhere ? getenv("SLURMD_NODENAME") : NULL,
		.comment = s->cfg->comment,
		.look_first = s->next->unanswered,
	};
	auto_free char *state = NULL;
	uint32_t id;

	if (is_brought_back(info))
		return let_come_back(info, arg, err);
	if (slurm_job_submit(info, &next, &id, err)) {
		if (slurm_error_is_transient(err->num))
			err->num = EAGAIN;
		return -1;
	}
	snprintf(s->name, SCHED_NAME, "%u", id);
	if (s->cfg->dependents == DEPENDENTS_MOVE)
		slurm_job_move_dependents(info, id);
	state = xasprintf("resubmitted as job %u", id);
	if (s->cfg->comment)
		show_on(info, s->next->chain, s->next->leg - 1, state);
	return 0;
}

static bool slurm_submit_ends_leg(const struct config *cfg)
{
	return cfg->method == METHOD_REQUEUE;
}

/* Where the site forbids one way, the other is tried. */
static int slurm_submit(const struct config *cfg, const struct sched_next *next,
	char name[SCHED_NAME], struct err *err)
{
	struct submission s = {.cfg = cfg, .next = next, .name = name};
	/* A job that is requeued may come back to the same node. */
	use_fn *first = cfg->method == METHOD_REQUEUE && !next->elsewhere
				? requeue
				: submit_again;
	use_fn *second = first == requeue ? submit_again : requeue;
	struct err other;

	name[0] = '\0';
	if (!ask_controller(first, &s, err))
		return 0;
	if (err->num == EAGAIN || slurm_error_is_transient(err->num)) {
		err->num = EAGAIN;
		return -1;
	}
	if (!ask_controller(second, &s, &other)) {
		log_warn("%s; it is %s instead", err->text,
			second == requeue ? "requeued" : "submitted again");
		return 0;
	}
	return err_wrap(err, "%s; and", other.text);
}

static bool slurm_reruns_script(void)
{
	return true;
}

static void block_all(sigset_t *all)
{
	sigfillset(all);
	sigprocmask(SIG_SETMASK, all, NULL);
}

/*
 * Before 24.05, a script that ends before Slurm has taken its job back has just
 * ended. See let_come_back().
 */
static void wait_until_told(void)
{
#if !SLURM_SINCE(24, 5)
	sigset_t set;

	block_all(&set);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	while (sigwaitinfo(&set, NULL) < 0)
		;
#endif
}

/*
 * slurmd ends the whole job; the script must not go on meanwhile. Without its
 * shell there is none that could, and where Slurm tracks processes by their
 * parents (proctrack/linuxproc) it has lost this one.
 */
_Noreturn static void wait_for_end(pid_t shell)
{
	struct pollfd p = {.events = POLLIN};
	sigset_t all;

	block_all(&all);
	p.fd = (int)syscall(SYS_pidfd_open, shell, 0);
	if (p.fd < 0 && errno != ESRCH)
		pause();
	while (p.fd >= 0 && poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* Where the shell can be ended neither by the guard nor by our own end. */
static void cancel_own_job(void)
{
	log_warn("the batch shell cannot be ended: job %u is cancelled, its "
		 "successor continues",
		own_id());
	if (slurm_kill_job(job_name(own_id()), SIGKILL, 0))
		log_error("cancel job %u: %s", own_id(), slurm_strerror(errno));
}

static int slurm_left(const struct sched_leaving *l)
{
	struct err err;

	if (l->still_wanted)
		wait_until_told();
	if (chain_wait_alone(l->chain, 0))
		log_debug("cannot wait for other steps: %s", strerror(errno));
	if (!l->guard->shell)
		return 0;
	if (l->guard->pid) {
		if (!guard_end_shell(l->guard, 0, &err))
			return 0;
		log_warn("%s", err.text);
	}
	/* A requeued job is being ended already. */
	if (*l->successor && strtoul(l->successor, NULL, 10) != own_id())
		cancel_own_job();
	wait_for_end(l->guard->shell);
}

static int slurm_end_script(
	const struct guard *guard, int status, struct err *err)
{
	if (!guard->shell)
		return 0;
	if (!guard->pid)
		return err_set(err, 0, "the batch shell has no guard");
	return guard_end_shell(guard, status, err);
}

static void slurm_ended(void)
{
}

/* --- what users see --- */

struct shown {
	const char *chain, *state;
	unsigned leg;
};

static int use_show(const slurm_job_info_t *info, void *arg, struct err *err)
{
	const struct shown *s = arg;

	(void)err;
	show_on(info, s->chain, s->leg, s->state);
	return 0;
}

static int slurm_show(const struct config *cfg, const char *chain, unsigned leg,
	const char *state, struct err *err)
{
	struct shown s = {.chain = chain, .leg = leg, .state = state};

	return cfg->comment ? ask_controller(use_show, &s, err) : 0;
}

const struct sched sched_slurm = {
	.name = "slurm",
	.here = slurm_here,
	.facts = slurm_facts,
	.end = slurm_end,
	.shell = slurm_shell,
	.guards_shell = true,
	.script_vanishes = true,
	.why = slurm_why,
	.submit_ends_leg = slurm_submit_ends_leg,
	.submit = slurm_submit,
	.kills_all = true,
	.has_nodes = true,
	.empties_output = true,
	.reruns_script = slurm_reruns_script,
	.left = slurm_left,
	.end_script = slurm_end_script,
	.ended = slurm_ended,
	.show = slurm_show,
	.look = slurm_look,
	.signal = slurm_signal,
	.check = slurm_check,
};
