/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "remap.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "inject.h"
#include "proc.h"
#include "sysv.h"
#include "util.h"

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

/* --- stops --- */

static int resume(pid_t tid, int sig, struct err *err)
{
	/* The signal's number takes the place of a pointer. */
	return ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)sig)
		       ? err_set(err, errno, "let %d go on", (int)tid)
		       : 0;
}

/* Its status at the next stop, or -1 with *err. */
static int next_stop(pid_t tid, struct err *err)
{
	int status;

	while (waitpid(tid, &status, __WALL) < 0)
		if (errno != EINTR)
			return err_set(err, errno, "wait for %d", (int)tid);
	if (!WIFSTOPPED(status))
		return err_set(err, ESRCH, "%d has ended", (int)tid);
	return status;
}

static bool is_event_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP;
}

/* --- telling a stop from what the program is to know --- */

static bool is_from_the_stop(const siginfo_t *i)
{
	if (i->si_signo == SIGCONT)
		return i->si_code == SI_USER && i->si_pid == getpid();
	return i->si_signo == SIGCHLD &&
	       (i->si_code == CLD_STOPPED || i->si_code == CLD_CONTINUED);
}

/* The signals that wait for a thread, or its process, because of the stop. */
static uint64_t waiting(pid_t tid, unsigned flags)
{
	siginfo_t info[32];
	struct __ptrace_peeksiginfo_args arg = {
		.flags = flags, .nr = LEN(info)};
	uint64_t found = 0;
	long n;

	do {
		n = ptrace(PTRACE_PEEKSIGINFO, tid, &arg, info);
		for (long i = 0; i < n; i++)
			if (is_from_the_stop(&info[i]))
				found |= UINT64_C(1) << (info[i].si_signo - 1);
		arg.off += n > 0 ? (uint64_t)n : 0;
	} while (n == LEN(info));
	return found;
}

/* Let it come to such a signal, take that away, and stop it again. */
static int take_one(pid_t tid, struct err *err)
{
	int status;

	do {
		if (resume(tid, 0, err))
			return -1;
		status = next_stop(tid, err);
		if (status < 0)
			return -1;
	} while (is_event_stop(status));
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return err_set(err, errno, "stop %d", (int)tid);
	if (resume(tid, 0, err))
		return -1;
	return next_stop(tid, err) < 0 ? -1 : 0;
}

/*
 * A handler for SIGCONT or SIGCHLD would run now, and interrupt what it has
 * waited in, though for the program nothing has happened.
 */
static int take_signals(pid_t pid, struct err *err)
{
	void *size = (void *)sizeof(uint64_t);
	uint64_t mask, found, others;

	if (ptrace(PTRACE_GETSIGMASK, pid, size, &mask))
		return err_set(err, errno, "read signals of %d", (int)pid);
	for (;;) {
		found = waiting(pid, 0) |
			waiting(pid, PTRACE_PEEKSIGINFO_SHARED);
		if (!found)
			break;
		others = ~found;
		if (ptrace(PTRACE_SETSIGMASK, pid, size, &others))
			return err_set(
				err, errno, "set signals of %d", (int)pid);
		if (take_one(pid, err))
			return -1;
	}
	return ptrace(PTRACE_SETSIGMASK, pid, size, &mask)
		       ? err_set(err, errno, "set signals of %d", (int)pid)
		       : 0;
}

/* --- one process --- */

/* A signal that comes first gets what is due to it. */
static int seize_thread(pid_t tid, struct err *err)
{
	siginfo_t info;
	int status, sig;

	if (ptrace(PTRACE_SEIZE, tid, NULL,
		    (void *)(intptr_t)PTRACE_O_TRACESYSGOOD))
		return err_set(err, errno, "seize %d", (int)tid);
	for (;;) {
		status = next_stop(tid, err);
		if (status < 0)
			return -1;
		sig = WSTOPSIG(status);
		if (is_event_stop(status) && sig == SIGSTOP)
			return 0;
		if (is_event_stop(status) ||
			(!ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) &&
				is_from_the_stop(&info)))
			sig = 0;
		if (resume(tid, sig, err))
			return -1;
	}
}

static int each_thread(
	pid_t pid, int (*cb)(pid_t, struct err *), struct err *err)
{
	struct int_list one = {.v = &pid, .n = 1};
	struct int_list threads = proc_threads(&one);
	int ret = threads.n ? 0 : err_set(err, ESRCH, "%d", (int)pid);

	for (size_t i = 0; i < threads.n && !ret; i++)
		ret = cb(threads.v[i], err);
	free(threads.v);
	return ret;
}

static int release_thread(pid_t tid, struct err *err)
{
	return ptrace(PTRACE_DETACH, tid, NULL, NULL)
		       ? err_set(err, errno, "release %d", (int)tid)
		       : 0;
}

static int release_process(pid_t pid, bool was_stopped, struct err *err)
{
	/* What is still stopped is stopped again when it is released. */
	if (!was_stopped && (kill(pid, SIGCONT) ? err_set(err, errno, "kill")
						: take_signals(pid, err)))
		return -1;
	return each_thread(pid, release_thread, err);
}

/* --- what was attached --- */

/* A call that must do what it is to do. */
static int must(const struct inject *in, long number, const uint64_t arg[6],
	uint64_t want, const char *name, struct err *err)
{
	int64_t result;

	if (inject_call(in, number, arg, &result, err))
		return -1;
	if ((uint64_t)result == want)
		return 0;
	return err_set(err, result < 0 && result > -4096 ? (int)-result : 0,
		"%s in process %d", name, (int)in->tid);
}

static int protect(const struct inject *in, const json_t *list, struct err *err)
{
	json_int_t start, end;
	const json_t *j;
	size_t i;
	int prot;

	json_array_foreach(list, i, j)
	{
		if (json_unpack((json_t *)j, "[I, I, i]", &start, &end, &prot))
			return err_set(err, 0, "the list is damaged");
		if (must(in, SYS_mprotect,
			    (uint64_t[6]){(uint64_t)start,
				    (uint64_t)(end - start), (uint64_t)prot},
			    0, "mprotect", err))
			return -1;
	}
	return 0;
}

static int attach(const struct inject *in, const json_t *j, struct err *err)
{
	json_int_t at;
	int id, readonly;

	if (json_unpack((json_t *)j, "{s:i, s:I, s:b}", "id", &id, "at", &at,
		    "readonly", &readonly))
		return err_set(err, 0, "the list is damaged");
	if (must(in, SYS_shmat,
		    (uint64_t[6]){(uint64_t)id, (uint64_t)at,
			    SHM_REMAP | (readonly ? SHM_RDONLY : 0U)},
		    (uint64_t)at, "shmat", err))
		return err_wrap(err, "segment %d", id);
	return protect(in, json_object_get(j, "prot"), err);
}

static bool is_of(const json_t *j, pid_t pid)
{
	return json_integer_value(json_object_get(j, "pid")) == pid;
}

static int attach_all(pid_t pid, const json_t *attached, struct err *err)
{
	struct inject in;
	const json_t *j;
	size_t i;
	bool begun = false;

	json_array_foreach(attached, i, j)
	{
		if (!is_of(j, pid))
			continue;
		if (!begun && inject_begin(&in, pid, err))
			return -1;
		begun = true;
		if (attach(&in, j, err))
			return -1;
	}
	return begun ? inject_end(&in, err) : 0;
}

/* --- what waited for semaphores --- */

static int wait_again(const json_t *waits, struct err *err)
{
	json_int_t number, arg[4];
	const json_t *j;
	size_t i;
	int tid;

	json_array_foreach(waits, i, j)
	{
		if (json_unpack((json_t *)j, "[i, I, I, I, I, I]", &tid,
			    &number, &arg[0], &arg[1], &arg[2], &arg[3]))
			return err_set(err, 0, "the list is damaged");
		if (inject_again(tid, (long)number,
			    (uint64_t[6]){(uint64_t)arg[0], (uint64_t)arg[1],
				    (uint64_t)arg[2], (uint64_t)arg[3]},
			    err))
			return -1;
	}
	return 0;
}

/* --- all of the tree --- */

static void drop_zombies(struct int_list *tree)
{
	struct proc_stat st;
	size_t n = 0;

	for (size_t i = 0; i < tree->n; i++)
		if (proc_stat(tree->v[i], &st) && st.state != 'Z')
			tree->v[n++] = tree->v[i];
	tree->n = n;
}

static bool was_stopped(const json_t *facts, pid_t pid)
{
	const json_t *j;
	size_t i;

	json_array_foreach(json_object_get(facts, "stopped"), i,
		j) if (json_integer_value(j) == pid) return true;
	return false;
}

/* All of them, before the first one runs: they may wait for each other. */
static int remap(
	const struct int_list *tree, const json_t *facts, struct err *err)
{
	const json_t *attached = json_object_get(facts, "attached");

	for (size_t i = 0; i < tree->n; i++)
		if (each_thread(tree->v[i], seize_thread, err))
			return -1;
	for (size_t i = 0; i < tree->n; i++)
		if (attach_all(tree->v[i], attached, err))
			return -1;
	if (wait_again(json_object_get(facts, "waits"), err) ||
		sysv_settle(facts, err))
		return -1;
	/* Children first: what they tell their parents is taken from those. */
	for (size_t i = tree->n; i-- > 0;)
		if (release_process(
			    tree->v[i], was_stopped(facts, tree->v[i]), err))
			return -1;
	return 0;
}

static int remap_tree(pid_t root, const json_t *facts, struct err *err)
{
	struct int_list tree = proc_tree(root);
	int ret;

	drop_zombies(&tree);
	ret = remap(&tree, facts, err);
	free(tree.v);
	return ret ? err_wrap(err, "attach System V shared memory again") : 0;
}

pid_t remap_restore(struct store_reader *generation,
	pid_t (*criu)(void *arg, bool stop, struct err *err), void *arg,
	struct err *err)
{
	json_t *facts = sysv_load(generation, err);
	bool in_use = sysv_is_in_use(facts);
	pid_t root = -1;

	if (facts && !sysv_make(facts, generation, err))
		root = criu(arg, in_use, err);
	if (root > 0 && (in_use ? remap_tree(root, facts, err)
				: sysv_settle(facts, err)))
		root = -1;
	json_decref(facts);
	return root;
}
