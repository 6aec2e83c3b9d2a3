/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "relay.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "util.h"

void relay_init(struct relay *r)
{
	for (int i = 0; i < 3; i++) {
		r->pid[i] = 0;
		r->fd[i] = i;
	}
}

/* Was stream i a pipe when the tree was dumped? */
static bool was_pipe(const json_t *outside, int i)
{
	const json_t *e;
	size_t n;

	json_array_foreach(outside, n, e)
	{
		const json_t *std = json_object_get(e, "std");
		const char *key = json_string_value(json_object_get(e, "key"));

		if (std && json_integer_value(std) == i && key &&
			!strncmp(key, "pipe:", 5))
			return true;
	}
	return false;
}

static bool is_needed(int i, const json_t *outside)
{
	struct stat st;

	if (fstat(i, &st))
		return false;
	if (S_ISSOCK(st.st_mode))
		return true;
	if (S_ISFIFO(st.st_mode))
		return st.st_uid != geteuid();
	return was_pipe(outside, i);
}

static _Noreturn void copy(int from, int to)
{
	char buf[65536];
	ssize_t n;

	prctl(PR_SET_NAME, "checkpt-relay");
	while ((n = read(from, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || write_all(to, buf, (size_t)n))
			_exit(1);
	}
	_exit(0);
}

static int make_one(struct relay *r, int i, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	r->pid[i] = fork();
	if (r->pid[i] == 0) {
		/* Other relays' pipes must end when the tree does. */
		for (int j = 0; j < 3; j++)
			if (r->fd[j] > 2)
				close(r->fd[j]);
		close(fds[1]);
		ignore_sent_signals();
		copy(fds[0], i);
	}
	close(fds[0]);
	if (r->pid[i] < 0) {
		r->pid[i] = 0;
		close(fds[1]);
		return err_set(err, errno, "fork");
	}
	r->fd[i] = fds[1];
	return 0;
}

int relay_make(struct relay *r, const json_t *outside, struct err *err)
{
	struct stat out, both;

	for (int i = 1; i < 3; i++)
		if (!r->pid[i] && r->fd[i] == i && is_needed(i, outside)) {
			/* 2>&1 keeps its order through one pipe for both. */
			if (i == 2 && r->pid[1] && !fstat(1, &out) &&
				!fstat(2, &both) && out.st_dev == both.st_dev &&
				out.st_ino == both.st_ino) {
				r->fd[2] = fcntl(r->fd[1], F_DUPFD_CLOEXEC, 3);
				continue;
			}
			if (make_one(r, i, err))
				return -1;
		}
	return 0;
}

void relay_end(struct relay *r)
{
	for (int i = 1; i < 3; i++)
		if (r->fd[i] > 2)
			release_fd(&r->fd[i]);
	for (int i = 1; i < 3; i++)
		while (r->pid[i] > 0 && waitpid(r->pid[i], NULL, 0) < 0 &&
			errno == EINTR)
			;
	relay_init(r);
}
