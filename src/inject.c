/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inject.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "util.h"

#if defined(__x86_64__)

#define INSTRUCTION    0x050fL /* syscall */
#define INSTRUCTION_IN 0xffffL

/* What the kernel never shows to a program, see linux/errno.h there. */
enum {
	RESTARTSYS = 512,
	RESTARTNOINTR = 513,
	RESTARTNOHAND = 514,
	RESTART_RESTARTBLOCK = 516,
};

void inject_settle(inject_regs *r)
{
	if ((long long)r->orig_rax < 0)
		return;
	switch (-(long long)r->rax) {
	case RESTARTSYS:
	case RESTARTNOINTR:
	case RESTARTNOHAND:
		r->rax = r->orig_rax;
		break;
	case RESTART_RESTARTBLOCK:
		r->rax = SYS_restart_syscall;
		break;
	default:
		return;
	}
	r->rip -= 2;
	r->orig_rax = (unsigned long long)-1;
}

static uint64_t place(const inject_regs *r)
{
	return r->rip;
}

static void call(inject_regs *r, long number, const uint64_t arg[6])
{
	/* -1: this is no system call that could be begun again. */
	r->orig_rax = (unsigned long long)-1;
	r->rax = (unsigned long long)number;
	r->rdi = arg[0];
	r->rsi = arg[1];
	r->rdx = arg[2];
	r->r10 = arg[3];
	r->r8 = arg[4];
	r->r9 = arg[5];
}

static void step_back(inject_regs *r)
{
	r->rip -= 2;
}

static int64_t result_of(const inject_regs *r)
{
	return (int64_t)r->rax;
}

static int forget_call(pid_t tid)
{
	(void)tid;
	return 0;
}

#elif defined(__aarch64__)

#define INSTRUCTION    0xd4000001L /* svc #0 */
#define INSTRUCTION_IN 0xffffffffL

/* Here the kernel has changed the registers before a tracer sees them. */
void inject_settle(inject_regs *r)
{
	(void)r;
}

static uint64_t place(const inject_regs *r)
{
	return r->pc;
}

static void call(inject_regs *r, long number, const uint64_t arg[6])
{
	r->regs[8] = (unsigned long long)number;
	for (int i = 0; i < 6; i++)
		r->regs[i] = arg[i];
}

static void step_back(inject_regs *r)
{
	r->pc -= 4;
}

static int64_t result_of(const inject_regs *r)
{
	return (int64_t)r->regs[0];
}

/* The system call that was interrupted must not be begun again. */
static int forget_call(pid_t tid)
{
	int none = -1;
	struct iovec v = {&none, sizeof(none)};

	return (int)ptrace(
		PTRACE_SETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL, &v);
}

#else

#define INSTRUCTION    0L
#define INSTRUCTION_IN 0L

void inject_settle(inject_regs *r)
{
	(void)r;
}

static uint64_t place(const inject_regs *r)
{
	(void)r;
	return 0;
}

static void call(inject_regs *r, long number, const uint64_t arg[6])
{
	(void)r;
	(void)number;
	(void)arg;
}

static void step_back(inject_regs *r)
{
	(void)r;
}

static int64_t result_of(const inject_regs *r)
{
	(void)r;
	return -ENOSYS;
}

static int forget_call(pid_t tid)
{
	(void)tid;
	return 0;
}

#endif

static int get_regs(pid_t tid, inject_regs *r, struct err *err)
{
	struct iovec v = {r, sizeof(*r)};

	if (!INJECT_WORKS)
		return err_set(
			err, 0, "this is not known for this kind of processor");
	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &v))
		return err_set(err, errno, "read registers of %d", (int)tid);
	if (v.iov_len != sizeof(*r))
		return err_set(err, 0, "%d is a 32-bit process", (int)tid);
	return 0;
}

static int set_regs(pid_t tid, const inject_regs *r, struct err *err)
{
	inject_regs copy = *r;
	struct iovec v = {&copy, sizeof(copy)};

	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &v)
		       ? err_set(err, errno, "set registers of %d", (int)tid)
		       : 0;
}

static int set_mask(pid_t tid, uint64_t mask, struct err *err)
{
	return ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(mask), &mask)
		       ? err_set(err, errno, "set signals of %d", (int)tid)
		       : 0;
}

static int poke(pid_t tid, uint64_t at, long word, struct err *err)
{
	return ptrace(PTRACE_POKETEXT, tid, (void *)(uintptr_t)at, (void *)word)
		       ? err_set(err, errno, "change the text of %d", (int)tid)
		       : 0;
}

int inject_begin(struct inject *in, pid_t tid, struct err *err)
{
	void *at;

	in->tid = tid;
	if (get_regs(tid, &in->regs, err))
		return -1;
	if (ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(in->mask), &in->mask))
		return err_set(err, errno, "read signals of %d", (int)tid);
	at = (void *)(uintptr_t)place(&in->regs);
	errno = 0;
	in->word = ptrace(PTRACE_PEEKTEXT, tid, at, NULL);
	if (in->word == -1 && errno)
		return err_set(err, errno, "read the text of %d", (int)tid);
	if (set_mask(tid, UINT64_MAX, err))
		return -1;
	return poke(tid, place(&in->regs),
		(in->word & ~INSTRUCTION_IN) | INSTRUCTION, err);
}

/* To the next entry to a system call, or the return from it. */
static int to_syscall_stop(pid_t tid, struct err *err)
{
	int status;

	do {
		if (ptrace(PTRACE_SYSCALL, tid, NULL, NULL))
			return err_set(err, errno, "let %d go on", (int)tid);
		while (waitpid(tid, &status, __WALL) < 0)
			if (errno != EINTR)
				return err_set(
					err, errno, "wait for %d", (int)tid);
		if (!WIFSTOPPED(status))
			return err_set(err, ESRCH, "%d has ended", (int)tid);
		/* That it is stopped, or not any more, is told as well. */
	} while (status >> 8 != (SIGTRAP | 0x80));
	return 0;
}

int inject_call(const struct inject *in, long number, const uint64_t arg[6],
	int64_t *result, struct err *err)
{
	inject_regs r = in->regs;

	call(&r, number, arg);
	if (forget_call(in->tid))
		return err_set(err, errno, "set registers of %d", (int)in->tid);
	if (set_regs(in->tid, &r, err) || to_syscall_stop(in->tid, err) ||
		to_syscall_stop(in->tid, err) || get_regs(in->tid, &r, err))
		return -1;
	*result = result_of(&r);
	return 0;
}

int inject_end(const struct inject *in, struct err *err)
{
	inject_regs r = in->regs;

	inject_settle(&r);
	if (poke(in->tid, place(&in->regs), in->word, err) ||
		set_regs(in->tid, &r, err) || set_mask(in->tid, in->mask, err))
		return -1;
	return 0;
}

int inject_again(pid_t tid, long number, const uint64_t arg[6], struct err *err)
{
	inject_regs r;

	if (get_regs(tid, &r, err))
		return -1;
	if (result_of(&r) != -EINTR)
		return 0;
	call(&r, number, arg);
	step_back(&r);
	return set_regs(tid, &r, err);
}
