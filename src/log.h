/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.h - messages to the user: "checkpointer: text" on standard error */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>

#include "err.h"

enum log_level {
	LOG_ERROR, /* the user loses something */
	LOG_WARN,  /* mended, or it will be tried again */
	LOG_INFO,  /* a change of state, a checkpoint */
	LOG_DEBUG, /* the rest */
	LOG_N_LEVELS
};

extern const char *const log_level_name[LOG_N_LEVELS];

/* Messages of a level above this one are not shown (default LOG_INFO). */
void log_set_level(enum log_level level);

/* Put the time in front of each message on standard error, too. */
void log_set_timestamps(bool on);

/*
 * Send messages to this descriptor as well, with the time in front, or to none
 * with -1. Borrowed, as below: the caller keeps and closes it.
 */
void log_set_file(int fd);

/*
 * The same for the log of a chain: of level info at least, whatever is shown,
 * with the leg and the step in front. A step that is not the first is named on
 * standard error as well. The file does not grow beyond LOG_CHAIN_MAX
 * bytes: what comes then is not kept.
 */
#define LOG_CHAIN_MAX (1 << 20)

void log_set_chain(int fd, unsigned leg, unsigned step);

/*
 * The job that this is, as its users call it, for log_set_chain() to put in
 * front; then the file of log_set_file() gets all that, too, as it may be that
 * of several jobs. NULL: there is none.
 */
void log_set_job(const char *id);

/*
 * Give what would be shown to say() instead, without the program's name and the
 * level in front; with NULL, show it again.
 */
void log_divert(void (*say)(enum log_level level, const char *text, void *arg),
	void *arg);

/*
 * Each writes one line with one write(2), keeps errno, and never fails:
 * a message that cannot be written is lost.
 */
void log_error(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);
void log_debug(const char *fmt, ...) PRINTF(1, 2);

#endif
