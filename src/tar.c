/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tar.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "capsule.h"
#include "log.h"
#include "util.h"

/* What tar says of a file that has changed while it was read. */
#define STATUS_CHANGED 1

struct arguments {
	const char *v[24];
	size_t n;
	char dir[64], names[64];
};

static void add(struct arguments *a, const char *word)
{
	a->v[a->n++] = word;
	a->v[a->n] = NULL;
}

static void build(struct arguments *a, const struct tar *t, bool create)
{
	static const char *const common[] = {"--sparse", "--numeric-owner",
		"--same-permissions", "--xattrs", "--xattrs-include=user.*",
		"--warning=no-file-ignored", "--warning=no-timestamp"};

	snprintf(
		a->dir, sizeof(a->dir), "--directory=/proc/self/fd/%d", t->dir);
	add(a, "tar");
	add(a, create ? "--create" : "--extract");
	add(a, "--file=-");
	add(a, a->dir);
	for (size_t i = 0; i < LEN(common); i++)
		add(a, common[i]);
	add(a, t->user_ns ? "--no-same-owner" : "--same-owner");
	if (t->rename) {
		add(a, "--transform");
		add(a, t->rename);
	}
	if (t->names < 0) {
		if (create)
			add(a, ".");
		return;
	}
	snprintf(a->names, sizeof(a->names), "--files-from=/proc/self/fd/%d",
		t->names);
	add(a, "--warning=no-file-changed");
	add(a, "--warning=no-file-removed");
	add(a, "--no-recursion");
	add(a, "--null");
	add(a, a->names);
}

static void become_tar(const struct tar *t, struct arguments *a, bool extract)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Names are bytes. */
	setenv("LC_ALL", "C", 1);
	unsetenv("TAR_OPTIONS");
	fcntl(t->dir, F_SETFD, 0);
	if (t->names >= 0)
		fcntl(t->names, F_SETFD, 0);
	if (dup2(t->archive, extract ? 0 : 1) >= 0 &&
		!capsule_keep_tar_caps(t->user_ns, NULL))
		execvp("tar", (char *const *)(uintptr_t)a->v);
}

static int run(const struct tar *t, bool extract, int fine, struct err *err)
{
	struct arguments a = {.n = 0};
	int status;
	pid_t pid;

	build(&a, t, !extract);
	pid = fork();
	if (pid < 0)
		return err_set(err, errno, "fork");
	if (pid == 0) {
		become_tar(t, &a, extract);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, errno, "wait for tar");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, 0, "tar cannot be run: install GNU tar");
	if (!WIFEXITED(status) ||
		(WEXITSTATUS(status) && WEXITSTATUS(status) != fine))
		return err_set(err, 0, "tar ended with status %d",
			WIFEXITED(status) ? WEXITSTATUS(status)
					  : 128 + WTERMSIG(status));
	return 0;
}

int tar_create(const struct tar *t, struct err *err)
{
	return run(t, false, t->names < 0 ? 0 : STATUS_CHANGED, err);
}

/* Beside tar: what it reads. */
static pid_t begin_feeding(struct store_reader *r, int stream, int to)
{
	struct err err;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	signal(SIGPIPE, SIG_IGN);
	if (!store_copy(r, (size_t)stream, to, &err))
		_exit(0);
	/* tar need not read all that comes behind its end mark. */
	if (err.num == EPIPE)
		_exit(0);
	log_error("%s", err.text);
	_exit(1);
}

static int end_feeding(pid_t pid, struct err *err)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, errno, "wait");
	return status ? err_set(err, 0, "the checkpoint is damaged") : 0;
}

int tar_extract(const struct tar *t, struct store_reader *generation,
	const char *stream, struct err *err)
{
	int number = store_find(generation, stream), fds[2], ret;
	struct tar own = *t;
	struct err why;
	pid_t feeder;

	if (number < 0 || !store_size(generation, (size_t)number))
		return 0;
	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	feeder = begin_feeding(generation, number, fds[1]);
	close(fds[1]);
	own.archive = fds[0];
	own.names = -1;
	ret = feeder < 0 ? err_set(err, errno, "fork")
			 : run(&own, true, 0, err);
	close(fds[0]);
	/* If both are unhappy, it is because of this. */
	if (feeder > 0 && end_feeding(feeder, &why)) {
		*err = why;
		ret = -1;
	}
	return ret;
}
