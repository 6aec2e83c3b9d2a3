/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine.h"

#include "util.h"

struct row {
	enum state in;
	enum event on;
	enum state to;
	enum action action;
};

/* clang-format off */
static const struct row table[] = {
	/* in           on                to             action */
	{ S_STARTING,   E_STARTED,        S_RUNNING,     A_WATCH },
	{ S_STARTING,   E_START_FAILED,   S_FAILED,      A_FAIL },
	{ S_STARTING,   E_LEAVE,          S_STARTING,    A_REMEMBER },
	{ S_STARTING,   E_TERMINATE,      S_ENDING,      A_END },
	{ S_STARTING,   E_EXITED,         S_FINISHED,    A_FINISH },
	{ S_STARTING,   E_LOST,           S_FAILED,      A_FAIL },

	{ S_RUNNING,    E_SAVE,           S_SAVING,      A_SAVE },
	{ S_RUNNING,    E_LEAVE,          S_LEAVING,     A_LEAVE },
	{ S_RUNNING,    E_TERMINATE,      S_ENDING,      A_END },
	{ S_RUNNING,    E_EXITED,         S_FINISHED,    A_FINISH },
	{ S_RUNNING,    E_KILLED,         S_MOVING,      A_SUBMIT },
	{ S_RUNNING,    E_LOST,           S_FAILED,      A_FAIL },

	{ S_RESTORING,  E_PREPARED,       S_RESTORING,   A_RESTORE },
	{ S_RESTORING,  E_RESTORED,       S_RESTORED,    A_WATCH },
	{ S_RESTORING,  E_RESTORE_FAILED, S_RESTORING,   A_OLDER },
	{ S_RESTORING,  E_START_FAILED,   S_FAILED,      A_FAIL },
	{ S_RESTORING,  E_MOVE,           S_MOVING,      A_SUBMIT },
	{ S_RESTORING,  E_LEAVE,          S_RESTORING,   A_REMEMBER },
	{ S_RESTORING,  E_TERMINATE,      S_ENDING,      A_END },
	{ S_RESTORING,  E_LOST,           S_RESTORING,   A_OLDER },

	{ S_RESTORED,   E_SAVE,           S_SAVING,      A_SAVE },
	{ S_RESTORED,   E_LEAVE,          S_LEAVING,     A_LEAVE },
	{ S_RESTORED,   E_TERMINATE,      S_ENDING,      A_END },
	{ S_RESTORED,   E_EXITED,         S_FINISHED,    A_FINISH },
	{ S_RESTORED,   E_KILLED,         S_MOVING,      A_SUBMIT },
	{ S_RESTORED,   E_LOST,           S_FAILED,      A_FAIL },

	{ S_SAVING,     E_PREPARED,       S_SAVING,      A_DUMP },
	{ S_SAVING,     E_DUMPED,         S_RUNNING,     A_WATCH },
	{ S_SAVING,     E_DUMP_FAILED,    S_RUNNING,     A_AGAIN },
	{ S_SAVING,     E_LEAVE,          S_SAVING,      A_REMEMBER },
	{ S_SAVING,     E_TERMINATE,      S_ENDING,      A_END },
	{ S_SAVING,     E_EXITED,         S_FINISHED,    A_FINISH },
	{ S_SAVING,     E_KILLED,         S_MOVING,      A_SUBMIT },
	{ S_SAVING,     E_LOST,           S_FAILED,      A_FAIL },

	{ S_LEAVING,    E_PREPARED,       S_LEAVING,     A_DUMP },
	{ S_LEAVING,    E_DUMPED,         S_SUBMITTING,  A_SUBMIT },
	{ S_LEAVING,    E_DUMP_FAILED,    S_RUNNING,     A_AGAIN },
	{ S_LEAVING,    E_TERMINATE,      S_ENDING,      A_END },
	{ S_LEAVING,    E_EXITED,         S_FINISHED,    A_FINISH },
	{ S_LEAVING,    E_KILLED,         S_MOVING,      A_SUBMIT },
	{ S_LEAVING,    E_LOST,           S_FAILED,      A_FAIL },

	/* The generation is committed: from here on the tree may be lost. */
	{ S_SUBMITTING, E_SUBMITTED,      S_RESUBMITTED, A_KILL },
	{ S_SUBMITTING, E_STAY_DOWN,      S_STOPPED,     A_KILL },
	{ S_SUBMITTING, E_SUBMIT_FAILED,  S_RUNNING,     A_THAW },
	{ S_SUBMITTING, E_EXITED,         S_SUBMITTING,  A_NOTE },
	{ S_SUBMITTING, E_LOST,           S_SUBMITTING,  A_NOTE },

	{ S_MOVING,     E_SUBMITTED,      S_RESUBMITTED, A_QUIT },
	{ S_MOVING,     E_STAY_DOWN,      S_STOPPED,     A_QUIT },
	{ S_MOVING,     E_SUBMIT_FAILED,  S_FAILED,      A_FAIL },

	{ S_RESUBMITTED, E_EXITED,        S_RESUBMITTED, A_QUIT },
	{ S_RESUBMITTED, E_LOST,          S_RESUBMITTED, A_QUIT },

	{ S_STOPPED,    E_EXITED,         S_STOPPED,     A_QUIT },
	{ S_STOPPED,    E_LOST,           S_STOPPED,     A_QUIT },

	/* A second request to end is passed on as well. */
	{ S_ENDING,     E_TERMINATE,      S_ENDING,      A_END },
	{ S_ENDING,     E_STARTED,        S_ENDING,      A_END },
	{ S_ENDING,     E_RESTORED,       S_ENDING,      A_END },
	{ S_ENDING,     E_START_FAILED,   S_FAILED,      A_FAIL },
	{ S_ENDING,     E_RESTORE_FAILED, S_FAILED,      A_FAIL },
	{ S_ENDING,     E_EXITED,         S_FINISHED,    A_FINISH },
	{ S_ENDING,     E_LOST,           S_FAILED,      A_FAIL },
};
/* clang-format on */

static const char *const state_name[N_STATES] = {
	[S_STARTING] = "starting",
	[S_RUNNING] = "running",
	[S_RESTORING] = "restoring",
	[S_RESTORED] = "restored",
	[S_SAVING] = "dumping",
	[S_LEAVING] = "dumping",
	[S_SUBMITTING] = "submitting",
	[S_RESUBMITTED] = "resubmitted",
	[S_MOVING] = "moving",
	[S_STOPPED] = "stopped",
	[S_ENDING] = "ending",
	[S_FINISHED] = "finished",
	[S_FAILED] = "failed",
};

static const char *const event_name[N_EVENTS] = {
	[E_STARTED] = "started",
	[E_START_FAILED] = "start failed",
	[E_RESTORED] = "restored",
	[E_RESTORE_FAILED] = "restore failed",
	[E_MOVE] = "cannot restore here",
	[E_PREPARED] = "prepared",
	[E_LEAVE] = "leave",
	[E_SAVE] = "save",
	[E_TERMINATE] = "terminate",
	[E_DUMPED] = "dumped",
	[E_DUMP_FAILED] = "dump failed",
	[E_SUBMITTED] = "submitted",
	[E_SUBMIT_FAILED] = "submit failed",
	[E_STAY_DOWN] = "no successor wanted",
	[E_EXITED] = "command ended",
	[E_KILLED] = "command killed",
	[E_LOST] = "keeper lost",
};

struct transition machine_next(enum state s, enum event ev)
{
	for (size_t i = 0; i < LEN(table); i++)
		if (table[i].in == s && table[i].on == ev)
			return (struct transition){
				table[i].to, table[i].action};
	return (struct transition){s, A_IGNORE};
}

bool machine_is_running(enum state s)
{
	return s == S_RUNNING || s == S_RESTORED || s == S_SAVING ||
	       s == S_ENDING;
}

const char *machine_state_name(enum state s)
{
	return state_name[s];
}

const char *machine_event_name(enum event ev)
{
	return event_name[ev];
}
