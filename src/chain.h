/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chain.h - a chain's directory: journal, lease, legs, steps */
#ifndef CHAIN_H
#define CHAIN_H

#include <jansson.h>
#include <stdbool.h>

#include "err.h"

/*
 * The journal is append-only, one JSON object a line. "event" tells what a
 * line is about: "chain" (the first line), "leg" (a leg has begun), "step" (a
 * leg has reached a step), "state" (a step has changed its state), "submitted"
 * (a leg's successor is accepted). "t" is the
 * time in seconds after 1970. A line cut short by a crash is the last one
 * and counts for nothing.
 */

struct chain {
	char *id;
	char *path; /* of its directory */
	int dir;
	int journal;
	int lease;   /* flock(2) held: shared by all steps of the leg */
	int present; /* flock(2) shared by the steps that are at work */
	int log;     /* of its messages; -1: none */
	unsigned leg;
	bool first; /* this process has begun the leg */
};

struct step {
	unsigned number;
	int dir;
	bool finished; /* in an earlier leg, or earlier in this one */
	int status;    /* if finished: as of waitpid(2) */
	char **argv;   /* as first recorded; NULL-terminated */
	char *cwd;
};

/*
 * Text for JSON from any bytes: as it is if it is UTF-8, else every byte as the
 * character of its number. The same bytes give the same text.
 */
json_t *chain_string(const char *bytes);

/* Is this a possible name of a chain? Letters, digits and "._-". */
bool chain_id_is_valid(const char *id);

/*
 * Open the chain's directory below base. With create it is made if it is not
 * there. Fails if anything on the way is not the caller's own.
 */
int chain_open(struct chain *c, const char *base, const char *id, bool create,
	struct err *err);

/*
 * Become part of the leg with this key, and hold the chain's lease until
 * chain_close() or the end of the process, however it ends. The first to
 * come begins the leg; scheduler is only recorded. Fails with num EBUSY while
 * another leg of the chain runs: a chain never runs twice at the same time.
 */
int chain_take_leg(struct chain *c, const char *key, const char *scheduler,
	struct err *err);

/*
 * Wait until no other step of this leg is at work: each has ended, or waits
 * here too. Those wait until this one ends; so does a step that begins. At most
 * so many seconds, 0: without limit. -1 with errno ETIMEDOUT, or as of
 * flock(2).
 */
int chain_wait_alone(const struct chain *c, double seconds);

/* Be at work again, after chain_wait_alone(). */
void chain_be_present(const struct chain *c);

/* The name of its file of messages in its directory. */
#define CHAIN_LOG "log"

/*
 * Have messages go there from now on, for a chain whose leg is taken. The first
 * step of a leg puts a long one aside (log.1). Without room, or the like, there
 * are none.
 */
void chain_open_log(struct chain *c);

/*
 * What the legs before this one have come to: how long they ran, in seconds,
 * and how many of the last ones in a row could not restore their steps.
 */
struct chain_past {
	double seconds;
	unsigned moves;
};

struct chain_past chain_past(const struct chain *c);

/*
 * The name of this leg's successor, owned by the caller; "" if it is accepted
 * but has no name; NULL if there is none yet.
 */
char *chain_successor(const struct chain *c);

/* The same of the newest leg that has one, for a chain that no leg has taken.
 */
char *chain_last_successor(const struct chain *c);

/*
 * Call submit(arg, name, err) unless this leg has a successor, and record what
 * it puts into name. One step at a time does this.
 */
int chain_submit(const struct chain *c,
	int (*submit)(void *arg, char name[64], struct err *err), void *arg,
	struct err *err);

/*
 * Which step of the chain is this command? The first of the chain's steps
 * that no one in this leg has taken yet and that has the same arguments; else
 * the first such with the same program; else a new one. So a batch script that
 * runs again from its top finds its steps again, in the background and with
 * changed arguments too. With argv NULL: the first step that is not finished.
 * Fills *s; release with step_free().
 */
int chain_take_step(struct chain *c, char *const argv[], const char *cwd,
	struct step *s, struct err *err);

void step_free(struct step *s);

/*
 * Append a line to the journal; takes over the object. With sync it is on
 * disk when this returns.
 */
int chain_write(
	const struct chain *c, json_t *line, bool sync, struct err *err);

/*
 * All lines of the journal as an array (json_decref). Damaged lines are left
 * out; their number goes to *damaged if that is not NULL.
 */
json_t *chain_read(const struct chain *c, unsigned *damaged, struct err *err);

/*
 * Will the next leg find this chain? Not if its directory was moved or
 * removed meanwhile: -1 with *err.
 */
int chain_in_place(const struct chain *c, struct err *err);

void chain_close(struct chain *c);

#endif
