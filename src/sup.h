/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sup.h - what the parts of the supervisor share; nobody else includes it */
#ifndef SUP_H
#define SUP_H

#include <ev.h>
#include <signal.h>

#include "helper.h"
#include "hooks.h"
#include "keeper.h"
#include "machine.h"
#include "relay.h"
#include "scratch.h"
#include "supervisor.h"

struct sup {
	const struct supervision *s;
	struct ev_loop *loop;
	enum state state, shown;
	struct keeper keeper;
	struct keeper_plan plan;
	struct helper helper;  /* submits the successor */
	struct helper checker; /* looks at criu */
	struct helper asker;   /* asks the scheduler, for the answer below */
	struct helper shower;  /* shows the state to users of the scheduler */
	void (*answer)(struct sup *u, bool answered);
	struct {
		struct helper before, after; /* each runs one at a time */
		struct hook_facts before_facts, after_facts;
		struct hook_facts due[N_HOOKS]; /* when the last has ended */
		bool is_due[N_HOOKS];
	} hook;
	struct scratch scratch;
	struct relay relay;

	unsigned gen;          /* being dumped or restored, or the last one */
	unsigned tries;        /* restores tried */
	bool elsewhere;        /* no restore is possible on this node */
	bool tried_here;       /* one of them was more than reading it */
	bool leaving;          /* the last dump was to leave */
	bool look_later;       /* it was due in the middle of a dump */
	bool leave_soon;       /* remembered until it can be done */
	bool stay_down;        /* leave without a successor */
	bool brought_back;     /* the scheduler itself does that */
	bool unanswered;       /* the last submission may have been accepted */
	unsigned end_requests; /* to end: a second one is not discussed */
	bool died;           /* the command has, of what seems to end the job */
	bool of_dump;        /* it died of a dump that was killed */
	bool why_later;      /* ask why when the asker is back */
	const char *to_show; /* a state; NULL: none, when the shower is back */
	bool gone;           /* the command ended while submitting */
	int status;          /* how the command ended, as of waitpid(2) */
	int result;          /* exit status of the supervisor, or -1: status */
	bool quits;          /* as soon as no hook runs any more */
	double dump_seconds; /* of the slowest dump so far */
	double dump_killed;  /* when one was (now_mono()); 0: never */
	struct {
		double cost, whole; /* of the last dump that went on; 0: none */
		double told;        /* interval that the user knows; 0: none */
	} periodic;
	double since;              /* when the present state began */
	struct worker_result last; /* of the worker's last report */
	char reason[512];          /* of a failure, for the journal */

	ev_io reports;
	ev_child children;
	ev_periodic deadline;
	ev_timer interval, retry, look, too_long, no_answer, watch;
	ev_signal signals[NSIG];
};

/* --- supervisor.c: the one place where the state changes --- */

void sup_post(struct sup *u, enum event ev);

/* Warn of it, and what it means for the command. */
void sup_warn_unfit(const char *why);

/* Out of the loop, if it is time for that. */
void sup_leave(struct sup *u);

/* Remember why something failed, for the journal and the user. */
void sup_reason(struct sup *u, const char *fmt, ...) PRINTF(2, 3);

/* --- sup_journal.c: what is written down --- */

/* Append a line to the journal; takes over the object. */
void sup_write(const struct sup *u, json_t *line, bool sync);

/* Seconds from one checkpoint to the next; 0: there is none but the last. */
double sup_interval(const struct sup *u);

/* When the next dump is due in the present state, 0: never; the last apart. */
double sup_next_dump(const struct sup *u, enum event on);

/* What `status' and `dump' want to know of this process. */
void sup_add_self(const struct sup *u, json_t *line);

/* The end of the leg has been moved: for those who look on. */
void sup_note_end(const struct sup *u);

/* --- sup_tree.c: keepers, generations, the command --- */

/* Start the command, or restore it from the newest good generation. */
void sup_start_fresh(struct sup *u);
void sup_restore(struct sup *u);

/* The last attempt failed: the next older generation, or E_START_FAILED. */
void sup_restore_older(struct sup *u);

/* The callback of the reports watcher. */
void sup_on_report(EV_P_ ev_io *w, int revents);

/* What is known now about this command's chances of a checkpoint. */
void sup_look(struct sup *u);

void sup_ask(struct sup *u, enum request_type type);
void sup_signal(struct sup *u, int sig, bool group);
void sup_forget_generation(struct sup *u);

/* --- sup_hooks.c: commands of the site and the user --- */

/*
 * Run what is to be run before a dump or a restore: then E_PREPARED comes, or
 * the event of its failure. False: there is nothing to be run.
 */
bool sup_prepare(struct sup *u, enum hook_at at);

/* It is not wanted any more. */
void sup_end_preparing(struct sup *u);

/*
 * Run what is to be run after something; one at a time, and the last of those
 * that wait. A failure is a warning. The loop does not end before them.
 */
void sup_after(struct sup *u, enum hook_at at, int status);
bool sup_hooks_run(const struct sup *u);

/* A child has ended. Was it one of these? */
bool sup_hook_ended(struct sup *u, pid_t pid, int status);

/* --- sup_events.c: signals, time, helpers --- */

/*
 * Ask the scheduler something in a helper; then answer(u, answered) is called
 * with what work has put into u->asker.shared, or with false and a warning if
 * there is none within moments. Dropped if another question is being asked.
 */
void sup_question(struct sup *u, int (*work)(void *arg, struct err *err),
	void (*answer)(struct sup *u, bool answered));

/* Show the state where users look for the job. */
void sup_show(struct sup *u, const char *state);

/*
 * The command has ended. Where it was killed by a signal that the scheduler
 * sends to a whole job, that is no end: it goes on from its last generation.
 */
void sup_exited(struct sup *u);

/* Start all watchers but those that sup_timer() arms. */
void sup_watch(struct sup *u);

/* Arm a one-shot timer, or stop it if seconds is 0. */
void sup_timer(struct sup *u, ev_timer *t, double seconds);

#endif
