/* SPDX-License-Identifier: GPL-2.0-or-later */
/* criu_log.h - what criu's log says, in plain words */
#ifndef CRIU_LOG_H
#define CRIU_LOG_H

#include "err.h"

/* What criu says before it has opened its log, in its work directory. */
#define CRIU_LOG_EARLY "criu.stderr"

/*
 * The first real error of a criu log (text), and what to do about it: fills
 * *err with "what: hint (criu: what criu said)". Never empty.
 */
void criu_log_explain(const char *log, const char *what, struct err *err);

/*
 * The same of the log with that name in criu's work directory. All of it is
 * kept in the directory keep under the same name, in place of an older one; -1:
 * it is not.
 */
void criu_log_explain_file(
	int dir, const char *name, int keep, const char *what, struct err *err);

/*
 * Keep that log in the directory keep, under the name as: of criu's success,
 * for those who want to see how it did that. Best effort.
 */
void criu_log_keep(int dir, const char *name, int keep, const char *as);

#endif
