/* SPDX-License-Identifier: GPL-2.0-or-later */
/* machine.h - the life of a step, as a table; pure, no I/O */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>

enum state {
	S_STARTING,    /* the command is being started */
	S_RUNNING,     /* it runs */
	S_RESTORING,   /* it is being restored from a generation */
	S_RESTORED,    /* it runs, from a generation */
	S_SAVING,      /* a dump is under way, or what comes before it; the
			  command goes on after it */
	S_LEAVING,     /* the leg's last dump is under way */
	S_SUBMITTING,  /* the generation is committed, the tree is stopped, the
			  successor is being submitted */
	S_RESUBMITTED, /* the successor is accepted, the tree is killed */
	S_MOVING,      /* nothing runs, and it goes on elsewhere or later: the
			  successor is being submitted */
	S_STOPPED,     /* as before, but nobody wanted a successor */
	S_ENDING,      /* the command was asked to end */
	S_FINISHED,    /* the command ended by itself */
	S_FAILED, /* nothing could be started or restored, or all was lost */
	N_STATES
};

enum event {
	E_STARTED,
	E_START_FAILED,
	E_RESTORED,
	E_RESTORE_FAILED,
	E_MOVE,     /* nothing can be restored here, but perhaps elsewhere */
	E_PREPARED, /* what was to come before a dump or a restore is done */
	E_LEAVE, /* checkpoint and leave: warning signal, deadline, request */
	E_SAVE,  /* checkpoint and continue: signal, interval, request */
	E_TERMINATE, /* end the command, there is no time for a checkpoint */
	E_DUMPED,    /* a generation is committed */
	E_DUMP_FAILED,
	E_SUBMITTED,
	E_SUBMIT_FAILED,
	E_STAY_DOWN, /* no successor is wanted */
	E_EXITED,    /* the command's root process is gone */
	E_KILLED,    /* it was killed as the job ends, an older generation is
			there */
	E_LOST,      /* the keeper is gone, and with it the whole tree */
	N_EVENTS
};

enum action {
	A_NONE,
	A_IGNORE,   /* the event means nothing here (told at level debug) */
	A_WATCH,    /* arm the timers; do what was remembered */
	A_OLDER,    /* restore an older generation, or give up */
	A_RESTORE,  /* restore the newest generation */
	A_SAVE,     /* prepare a dump after which the command goes on */
	A_LEAVE,    /* prepare one that leaves it stopped */
	A_DUMP,     /* make it; A_SAVE and A_LEAVE do if nothing comes before */
	A_REMEMBER, /* leave as soon as it can be done */
	A_AGAIN,    /* the dump failed: go on, try again later */
	A_SUBMIT,   /* submit the successor */
	A_THAW,     /* no successor: let the tree run on, try again later */
	A_KILL,     /* kill the tree; its end ends this leg */
	A_END,      /* ask the command to end */
	A_NOTE,     /* remember how the command ended */
	A_FINISH,   /* record the status, end with it */
	A_FAIL,     /* record the failure, end */
	A_QUIT,     /* end this leg */
	N_ACTIONS
};

struct transition {
	enum state to;
	enum action action;
};

/*
 * What event ev means in state s. Every pair has an answer; an event without
 * meaning answers { s, A_IGNORE }.
 */
struct transition machine_next(enum state s, enum event ev);

/* Is the command alive and running (not stopped) in this state? */
bool machine_is_running(enum state s);

/* The name a user sees; "dumping" for both kinds of dump. */
const char *machine_state_name(enum state s);
const char *machine_event_name(enum event ev);

#endif
