/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sup_journal.c - lines of the journal, and what those who look on read there
 */
#include "sup.h"

#include <signal.h>

#include "interval.h"
#include "log.h"
#include "proc.h"
#include "util.h"

void sup_write(const struct sup *u, json_t *line, bool sync)
{
	struct err err;

	/* The command must not suffer from a full disk. */
	if (chain_write(u->s->chain, line, sync, &err))
		log_warn("%s", err.text);
}

double sup_interval(const struct sup *u)
{
	double seconds = u->s->cfg->interval;

	return seconds >= 0 ? seconds
			    : interval_best(u->periodic.cost, u->periodic.whole,
				      u->s->cfg->mtbf);
}

double sup_next_dump(const struct sup *u, enum event on)
{
	bool failed = on == E_DUMP_FAILED || on == E_SUBMIT_FAILED;
	double seconds = failed ? u->s->cfg->retry : sup_interval(u);

	if ((u->state != S_RUNNING && u->state != S_RESTORED) || seconds <= 0)
		return 0;
	return now_wall() + seconds;
}

/* The signal by which a person can ask for something; NULL: none is heard. */
static const char *signal_for(const struct sup *u, const sigset_t *set)
{
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(set, sig) == 1 &&
			ev_is_active(&u->signals[sig]))
			return signal_name(sig);
	return NULL;
}

void sup_add_self(const struct sup *u, json_t *line)
{
	const struct supervision *s = u->s;
	struct proc_stat st = {0};
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	proc_stat(getpid(), &st);
	/* What there is not is left out. */
	json_object_update_new(line,
		json_pack("{s:s, s:i, s:I, s:s*, s:f, s:s*, s:s*, s:b}", "host",
			host, "pid", (int)getpid(), "born",
			(json_int_t)st.start, "job", s->job->id, "margin",
			s->cfg->margin, "save", signal_for(u, &s->cfg->save),
			"leave", signal_for(u, &s->cfg->checkpoint), "by_shell",
			s->sched->guards_shell &&
				(s->guard.pid > 0 || !s->guard.shell)));
}

void sup_note_end(const struct sup *u)
{
	sup_write(u,
		json_pack("{s:f, s:s, s:i, s:i, s:f}", "t", now_wall(), "event",
			"limit", "leg", (int)u->s->chain->leg, "step",
			(int)u->s->step->number, "end", u->s->job->end),
		false);
}
