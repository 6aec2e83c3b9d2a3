/* SPDX-License-Identifier: GPL-2.0-or-later */
/* interrupt.h - waiting that a signal cuts short, and cleans up before it ends
 */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

/*
 * From now on INT, TERM, HUP and QUIT do not end this process but cut
 * interrupt_wait() short. What is ignored stays so. To be called once more in
 * a child that waits on its own.
 */
int interrupt_hold(struct err *err);

/*
 * Wait until the descriptor can be read, or has come to its end; until, by
 * now_mono(), 0: without limit. 1, 0 when the time is over, -1 with *err when
 * a signal came (num EINTR) or poll(2) failed. The signal stays pending.
 */
int interrupt_wait(int fd, double until, struct err *err);

/* Did such a signal come? */
bool interrupt_came(void);

/* End by the signal that came, if one did. */
void interrupt_let_go(void);

#endif
