/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shell.h - another process under ptrace(2): the shell of a batch job */
#ifndef SHELL_H
#define SHELL_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

/*
 * A seized process runs on as before; only its signals are reported to the
 * tracer before they arrive, see ptrace(2), "Signal-delivery-stop". If the
 * tracer dies, the process is its own again.
 */

/*
 * Become the tracer of pid. Fails with num EPERM where that is not allowed
 * (Yama, another tracer) and ESRCH if there is no such process.
 */
int shell_seize(pid_t pid, struct err *err);

enum shell_event {
	SHELL_NOTHING, /* it runs on by itself */
	SHELL_SIGNAL,  /* it is stopped at a signal: shell_pass() must follow */
	SHELL_GONE,    /* it has ended */
};

/*
 * What has become of pid since the last call; waits for nothing. At
 * SHELL_SIGNAL, *info tells which signal, and from whom.
 */
enum shell_event shell_next(pid_t pid, siginfo_t *info);

/* Let it go on from SHELL_SIGNAL with this signal, or with none if sig is 0. */
int shell_pass(pid_t pid, int sig, struct err *err);

/*
 * Make it call exit_group(2) with this status, whatever it is doing: no
 * further line, no trap. stopped tells whether it is stopped at a signal.
 */
int shell_exit(pid_t pid, int status, bool stopped, struct err *err);

#endif
