/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tar.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "capsule.h"
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

static void build(struct arguments *a, const struct tar *t, const char *verb)
{
	static const char *const common[] = {"--sparse", "--numeric-owner",
		"--same-permissions", "--xattrs", "--xattrs-include=user.*",
		"--warning=no-file-ignored", "--warning=no-timestamp"};

	snprintf(
		a->dir, sizeof(a->dir), "--directory=/proc/self/fd/%d", t->dir);
	add(a, "tar");
	add(a, verb);
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

	build(&a, t, extract ? "--extract" : "--create");
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

int tar_extract(const struct tar *t, struct err *err)
{
	return run(t, true, 0, err);
}
