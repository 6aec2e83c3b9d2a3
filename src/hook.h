/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hook.h - a script of criu's that asks us how to go on */
#ifndef HOOK_H
#define HOOK_H

#include "engine.h"
#include "err.h"

/* Its name in criu's work directory, for --action-script. */
#define HOOK_SCRIPT "hook"

struct hook {
	int asked, answer; /* FIFOs, open at both ends; -1: none */
	/* Of a dump: all images are written. Of a restore: see engine.h. */
	int (*frozen)(void *);
	int (*reached)(void *, enum engine_point);
	void *arg;
};

/* Write the script and make its FIFOs in dir. -1 with *err. */
int hook_make(struct hook *h, int dir, struct err *err);

/* asked is readable: answer by the function that belongs to it. */
int hook_answer(const struct hook *h);

/* Remove all of it. */
void hook_end(struct hook *h, int dir);

#endif
