/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inject.h - system calls that another process is made to do */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "err.h"

#if defined(__x86_64__) || defined(__aarch64__)
#define INJECT_WORKS 1
typedef struct user_regs_struct inject_regs;
#else
#define INJECT_WORKS 0
typedef struct {
	long none;
} inject_regs;
#endif

/* A thread that we trace, in a stop, and what it had before. */
struct inject {
	pid_t tid;
	inject_regs regs;
	uint64_t mask; /* signals that it blocks */
	long word;     /* of its text, where it will go on */
};

/*
 * Begin: the thread is in a stop of ptrace(2), with PTRACE_O_TRACESYSGOOD. It
 * gets no signal until inject_end(). -1 with *err.
 */
int inject_begin(struct inject *in, pid_t tid, struct err *err);

/* One call. Its result, or minus an errno, goes to *result. -1 with *err. */
int inject_call(const struct inject *in, long number, const uint64_t arg[6],
	int64_t *result, struct err *err);

/* All is as it was, and the thread in a stop. -1 with *err. */
int inject_end(const struct inject *in, struct err *err);

/*
 * A system call that has returned EINTR is done again, with this number and
 * these arguments, when the thread runs on; if it has not, nothing happens. -1
 * with *err.
 */
int inject_again(
	pid_t tid, long number, const uint64_t arg[6], struct err *err);

/*
 * A system call that was interrupted is begun again by the kernel only if it
 * sees to it at this stop; else by these registers. Told apart for tests.
 */
void inject_settle(inject_regs *r);

#endif
