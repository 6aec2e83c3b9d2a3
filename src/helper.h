/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helper.h - a blocking call in a process of its own, beside the loop */
#ifndef HELPER_H
#define HELPER_H

#include <sys/types.h>

#include "err.h"

/*
 * One helper runs at a time. It is a fork of the supervisor that runs
 * work(arg) and ends; what it changes in memory is lost, but for *err and the
 * answer in shared.
 */
struct helper {
	pid_t pid; /* 0: none is running */
	struct helper_shared {
		struct err err;
		/* An answer: work() writes it, read it after helper_done(). */
		int number;
		double seconds;
	} *shared;
};

/* -1 with *err if it cannot be started. */
int helper_start(struct helper *h, int (*work)(void *arg, struct err *err),
	void *arg, struct err *err);

/* Wait for its end, at most so many seconds, and forget it. */
void helper_wait(struct helper *h, double seconds);

/* It is not waited for any more: killed, if it runs. */
void helper_stop(struct helper *h);

/*
 * Its end arrived with this wait status: what work returned (with *err), or
 * -1 with *err if it died.
 */
int helper_done(struct helper *h, int status, struct err *err);

#endif
