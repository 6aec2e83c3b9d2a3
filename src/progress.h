/* SPDX-License-Identifier: GPL-2.0-or-later */
/* progress.h - how far a dump or a restore is */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool restore;   /* or a dump */
	bool to_disk;   /* a dump: all is read, and on its way to the disk */
	double began;   /* seconds after 1970 */
	double now;     /* when it was so far */
	uint64_t done;  /* bytes */
	uint64_t total; /* at a dump a guess; 0: not known */
};

/* --- for people --- */

/* Of 100; never 100 before all is done. */
unsigned progress_percent(const struct progress *p);

/* Bytes a second so far, and seconds left at that rate; 0: not known. */
double progress_rate(const struct progress *p);
double progress_left(const struct progress *p);

/* "40 %, 1.2 GB of about 3.0 GB, 230 MB/s, 8 s left" */
const char *progress_text(const struct progress *p, char buf[128]);

/* All of the above for programs, see checkpointer(1). */
json_t *progress_json(const struct progress *p);

/* --- in the process that does the work --- */

/* Whom to tell of one that takes long: at each tenth of it. */
struct progress_listener {
	void (*tell)(void *arg, const struct progress *p);
	void *arg;
};

/*
 * It keeps a small file up to date in the step's directory for whoever looks
 * on, but not for what is over in an instant.
 */
struct progress_meter {
	struct progress p;
	int step;
	const struct progress_listener *listener; /* or NULL */
	double start, written;                    /* by now_mono() */
	unsigned told;                            /* tenths */
};

void progress_begin(struct progress_meter *m, int step, bool restore,
	uint64_t total, const struct progress_listener *listener);

/* So many bytes more. Nothing happens if m is NULL. */
void progress_add(struct progress_meter *m, uint64_t bytes);

/* Nothing is left to be read. */
void progress_to_disk(struct progress_meter *m);

/* It is over: the file is removed. For another process than that one. */
void progress_forget(int step);

/* --- for who looks on --- */

/* How far is it? False if that is not known. */
bool progress_read(int step, struct progress *p);

#endif
