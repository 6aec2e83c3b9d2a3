/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hook.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

/* In criu's work directory, which is its current one. */
#define ASKED  "hook.asked"
#define ANSWER "hook.answer"

static const char hook_script[] =
	"#!/bin/sh\n"
	"case $CRTOOLS_SCRIPT_ACTION in\n"
	"post-dump) at=0 ;;\n"
	"pre-restore) at=1 ;;\n"
	"post-restore) at=2 ;;\n"
	"pre-resume) at=3 ;;\n"
	"*) exit 0 ;;\n"
	"esac\n"
	"echo $at >" ASKED " && read -r answer <" ANSWER
	" && [ \"$answer\" = yes ]\n";

/* A FIFO, made anew. */
static int make_fifo(int dir, const char *name)
{
	unlinkat(dir, name, 0);
	if (mkfifoat(dir, name, 0600))
		return -1;
	return openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
}

int hook_make(struct hook *h, int dir, struct err *err)
{
	auto_close int fd = -1;

	unlinkat(dir, HOOK_SCRIPT, 0);
	fd = openat(dir, HOOK_SCRIPT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		0700);
	if (fd < 0 || write_all(fd, hook_script, sizeof(hook_script) - 1) ||
		fchmod(fd, 0700))
		return err_set(err, errno, "write criu's script");
	h->asked = make_fifo(dir, ASKED);
	h->answer = make_fifo(dir, ANSWER);
	if (h->asked < 0 || h->answer < 0)
		return err_set(err, errno, "make a FIFO for criu");
	return 0;
}

void hook_end(struct hook *h, int dir)
{
	release_fd(&h->asked);
	release_fd(&h->answer);
	unlinkat(dir, HOOK_SCRIPT, 0);
	unlinkat(dir, ASKED, 0);
	unlinkat(dir, ANSWER, 0);
}

int hook_answer(const struct hook *h)
{
	char at[2]; /* and the end of the line */
	int refused;
	const char *answer;

	if (read(h->asked, at, sizeof(at)) != sizeof(at))
		return -1;
	refused = h->frozen ? h->frozen(h->arg)
			    : h->reached(
				      h->arg, (enum engine_point)(at[0] - '0'));
	answer = refused ? "no\n" : "yes\n";
	return write_all(h->answer, answer, strlen(answer));
}
