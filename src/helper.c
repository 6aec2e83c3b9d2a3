/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "util.h"

static void own_signals(void)
{
	sigset_t none;

	/* libev's handlers would write to the supervisor's own pipe. */
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int helper_start(struct helper *h, int (*work)(void *arg, struct err *err),
	void *arg, struct err *err)
{
	if (!h->shared) {
		h->shared =
			mmap(NULL, sizeof(*h->shared), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (h->shared == MAP_FAILED) {
			h->shared = NULL;
			return err_set(err, errno, "mmap");
		}
	}
	h->shared->number = 0;
	h->shared->seconds = 0;
	h->pid = fork();
	if (h->pid < 0) {
		h->pid = 0;
		return err_set(err, errno, "fork");
	}
	if (h->pid == 0) {
		own_signals();
		_exit(work(arg, &h->shared->err) ? 1 : 0);
	}
	return 0;
}

int helper_done(struct helper *h, int status, struct err *err)
{
	h->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status)) {
		if (err)
			*err = h->shared->err;
		return -1;
	}
	return err_set(
		err, 0, "the helper was killed by signal %d", WTERMSIG(status));
}

void helper_wait(struct helper *h, double seconds)
{
	struct pollfd p = {.events = POLLIN};

	if (h->pid <= 0)
		return;
	p.fd = (int)syscall(SYS_pidfd_open, h->pid, 0);
	if (p.fd >= 0) {
		poll(&p, 1, (int)(seconds * 1000));
		close(p.fd);
	}
	helper_stop(h);
}

void helper_stop(struct helper *h)
{
	if (h->pid > 0)
		kill(h->pid, SIGKILL);
	h->pid = 0;
}
