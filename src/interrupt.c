/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "interrupt.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "util.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static int held_fd = -1;
static sigset_t held;

int interrupt_hold(struct err *err)
{
	struct sigaction old;

	release_fd(&held_fd);
	sigemptyset(&held);
	for (size_t i = 0; i < LEN(signals); i++)
		if (!sigaction(signals[i], NULL, &old) &&
			old.sa_handler != SIG_IGN)
			sigaddset(&held, signals[i]);
	sigprocmask(SIG_BLOCK, &held, NULL);
	held_fd = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
	return held_fd < 0 ? err_set(err, errno, "signalfd") : 0;
}

/* Milliseconds for poll(2), rounded up. */
static int time_left(double until)
{
	double left = until > 0 ? ceil((until - now_mono()) * 1000) : -1;

	if (until > 0 && left < 0)
		return 0;
	return left > 1e9 ? 1000000000 : (int)left;
}

int interrupt_wait(int fd, double until, struct err *err)
{
	struct pollfd p[2] = {
		{.fd = fd, .events = POLLIN},
		{.fd = held_fd, .events = POLLIN},
	};
	int n;

	do
		n = poll(p, LEN(p), time_left(until));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(err, errno, "poll");
	if (p[1].revents)
		return err_set(err, EINTR, "ended by a signal");
	return n > 0;
}

bool interrupt_came(void)
{
	struct pollfd p = {.fd = held_fd, .events = POLLIN};

	return held_fd >= 0 && poll(&p, 1, 0) > 0;
}

void interrupt_let_go(void)
{
	release_fd(&held_fd);
	/* If one is pending, this process ends here. */
	sigprocmask(SIG_UNBLOCK, &held, NULL);
}
