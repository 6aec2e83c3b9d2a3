/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sched.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "helper.h"
#include "util.h"

static const struct sched *const all[] = {
#ifdef HAVE_SLURM
	&sched_slurm,
#endif
	&sched_local,
};

const struct sched *sched_find(void)
{
	for (size_t i = 0; i + 1 < LEN(all); i++)
		if (all[i]->here())
			return all[i];
	return &sched_local;
}

bool sched_is_missing(char *text, size_t size)
{
#ifdef HAVE_SLURM
	(void)text;
	(void)size;
	return false;
#else
	const char *id = getenv("SLURM_JOB_ID");

	if (!id || !*id)
		return false;
	snprintf(text, size,
		"this is job %.20s of Slurm, and this checkpointer, built "
		"without Slurm, neither knows when it ends nor submits the "
		"next one: install one that is built with './configure "
		"--with-slurm'; until then, give an --interval, and continue "
		"in a new job with 'checkpointer restore CHAIN'",
		id);
	return true;
#endif
}

const struct sched *sched_check(const struct config *cfg, struct findings *f)
{
	for (size_t i = 0; i < LEN(all); i++)
		if (all[i]->check && all[i]->check(cfg, f))
			return all[i];
	return &sched_local;
}

const struct sched *sched_named(const char *name)
{
	for (size_t i = 0; i < LEN(all); i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	return NULL;
}

/* --- from anywhere --- */

/* Seconds that an answer may take. */
#define ANSWER_WAIT 15

struct errand {
	const struct sched *s;
	const char *id;
	int sig;                  /* 0: look */
	struct sched_seen answer; /* the reason why this is shared */
};

static int run_errand(void *arg, struct err *err)
{
	struct errand *e = arg;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	/* What the library says beside its error is none of our sentences. */
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	return e->sig ? e->s->signal(e->id, e->sig, err)
		      : e->s->look(e->id, &e->answer, err);
}

/* Has it ended by itself? Its wait status goes to *status. */
static bool has_ended(struct helper *h, int *status)
{
	struct pollfd p = {.events = POLLIN};
	pid_t pid = h->pid;
	bool ended;

	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	ended = p.fd < 0 || poll(&p, 1, ANSWER_WAIT * 1000) > 0;
	release_fd(&p.fd);
	if (!ended)
		helper_stop(h);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return ended;
}

static int send_errand(struct errand *e, struct err *err)
{
	struct helper h = {0};
	int status = -1, ret;

	if (helper_start(&h, run_errand, e, err))
		return -1;
	if (has_ended(&h, &status))
		ret = helper_done(&h, status, err);
	else
		ret = err_set(err, 0, "%s does not answer", e->s->name);
	munmap(h.shared, sizeof(*h.shared));
	return ret;
}

static int errand(const struct sched *s, const char *id, int sig,
	struct sched_seen *seen, struct err *err)
{
	struct errand *e;
	int ret;

	if (!s || !s->look || !s->signal)
		return err_set(err, 0,
			"this checkpointer cannot ask the scheduler of the "
			"job");
	e = mmap(NULL, sizeof(*e), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (e == MAP_FAILED)
		return err_set(err, errno, "mmap");
	*e = (struct errand){.s = s, .id = id, .sig = sig};
	ret = send_errand(e, err);
	if (!ret && seen)
		*seen = e->answer;
	munmap(e, sizeof(*e));
	return ret;
}

int sched_look(const struct sched *s, const char *id, struct sched_seen *seen,
	struct err *err)
{
	return errand(s, id, 0, seen, err);
}

int sched_signal(
	const struct sched *s, const char *id, int sig, struct err *err)
{
	return errand(s, id, sig, NULL, err);
}

void sched_job_free(struct sched_job *job)
{
	free(job->output[0]);
	free(job->output[1]);
	job->output[0] = job->output[1] = NULL;
	free(job->key);
	free(job->id);
	free(job->chain);
	free(job->dir);
	job->key = job->id = job->chain = job->dir = NULL;
}
