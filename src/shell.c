/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shell.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

/* si_code is not enough to tell the stops apart; see ptrace(2). */
#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

int shell_seize(pid_t pid, struct err *err)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL))
		return err_set(err, errno, "seize process %d", (int)pid);
	return 0;
}

static int go_on(pid_t pid, enum __ptrace_request how, int sig)
{
	/* The signal's number takes the place of a pointer. */
	return (int)ptrace(how, pid, NULL, (void *)(intptr_t)sig);
}

/*
 * A stop that is no signal on its way: a SIGSTOP that has taken effect, or the
 * end of that. In the first case it must stay stopped.
 */
static void go_on_from_event(pid_t pid, int sig)
{
	bool group_stop = sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN ||
			  sig == SIGTTOU;

	go_on(pid, group_stop ? PTRACE_LISTEN : PTRACE_CONT, 0);
}

enum shell_event shell_next(pid_t pid, siginfo_t *info)
{
	int status;
	pid_t got;

	for (;;) {
		got = waitpid(pid, &status, WNOHANG | __WALL);
		if (got == 0)
			return SHELL_NOTHING;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || WIFEXITED(status) || WIFSIGNALED(status))
			return SHELL_GONE;
		if (!WIFSTOPPED(status))
			continue;
		if (status >> 16) {
			go_on_from_event(pid, WSTOPSIG(status));
			continue;
		}
		memset(info, 0, sizeof(*info));
		if (ptrace(PTRACE_GETSIGINFO, pid, NULL, info))
			info->si_pid = 0;
		info->si_signo = WSTOPSIG(status);
		return SHELL_SIGNAL;
	}
}

int shell_pass(pid_t pid, int sig, struct err *err)
{
	if (go_on(pid, PTRACE_CONT, sig))
		return err_set(err, errno, "let process %d go on", (int)pid);
	return 0;
}

/* --- making it end --- */

#if defined(__x86_64__)

typedef struct user_regs_struct regs;

#define INSTRUCTION    0x050fL /* syscall */
#define INSTRUCTION_IN 0xffffL

static unsigned long long place(const regs *r)
{
	return r->rip;
}

static void call(regs *r, long number, int arg)
{
	/* -1: this is no system call that could be begun again. */
	r->orig_rax = (unsigned long long)-1;
	r->rax = (unsigned long long)number;
	r->rdi = (unsigned long long)arg;
}

static int forget_call(pid_t pid)
{
	(void)pid;
	return 0;
}

#elif defined(__aarch64__)

typedef struct user_regs_struct regs;

#define INSTRUCTION    0xd4000001L /* svc #0 */
#define INSTRUCTION_IN 0xffffffffL

static unsigned long long place(const regs *r)
{
	return r->pc;
}

static void call(regs *r, long number, int arg)
{
	r->regs[8] = (unsigned long long)number;
	r->regs[0] = (unsigned long long)arg;
}

/* The system call that was interrupted must not be begun again. */
static int forget_call(pid_t pid)
{
	int none = -1;
	struct iovec v = {&none, sizeof(none)};

	return (int)ptrace(
		PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &v);
}

#else
#define NO_REGISTERS
#endif

#ifndef NO_REGISTERS
/*
 * Its next instruction becomes a system call. That writes into its own copy
 * of the program's text, and nobody will miss what stood there.
 */
static int make_exit(pid_t pid, int status, struct err *err)
{
	regs r;
	struct iovec v = {&r, sizeof(r)};
	void *at;
	long word;

	if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v))
		return err_set(err, errno, "read registers");
	if (v.iov_len != sizeof(r))
		return err_set(err, 0, "it is a 32-bit process");
	at = (void *)(uintptr_t)place(&r);
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, at, NULL);
	if (word == -1 && errno)
		return err_set(err, errno, "read its text");
	word = (word & ~INSTRUCTION_IN) | INSTRUCTION;
	call(&r, SYS_exit_group, status);
	if (ptrace(PTRACE_POKETEXT, pid, at, (void *)word) ||
		forget_call(pid) ||
		ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &v) ||
		ptrace(PTRACE_CONT, pid, NULL, NULL))
		return err_set(err, errno, "change its registers");
	return 0;
}
#else
static int make_exit(pid_t pid, int status, struct err *err)
{
	(void)pid;
	(void)status;
	return err_set(err, 0, "this is not known for this kind of processor");
}
#endif

/* Stop it now. A signal that is on its way comes first, and is lost. */
static int interrupt(pid_t pid, struct err *err)
{
	int status;

	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) ||
		waitpid(pid, &status, __WALL) != pid)
		return err_set(err, errno, "stop it");
	if (!WIFSTOPPED(status))
		return err_set(err, ESRCH, "it has ended");
	return 0;
}

int shell_exit(pid_t pid, int status, bool stopped, struct err *err)
{
	if ((stopped || !interrupt(pid, err)) && !make_exit(pid, status, err))
		return 0;
	err_wrap(err, "end the batch shell, process %d", (int)pid);
	return -1;
}
