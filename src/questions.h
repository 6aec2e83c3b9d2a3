/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * questions.h - what criu asks the kernel, answered by us
 *
 * In a user namespace the kernel refuses criu some things that we can give it:
 * the files of mappings without a name (mapfiles.h), and the state of a process
 * whose system calls we filter. While criu dumps, its openings below /proc are
 * answered by the worker, with seccomp's user notifications; see
 * seccomp_unotify(2). It also waits there before it changes memory of the tree.
 */
#ifndef QUESTIONS_H
#define QUESTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/*
 * In the process that becomes criu, behind a fork of one with threads: from
 * now on its changes of the tree's memory, and with openings its openings, are
 * answered by whoever has the other end of sock. 0, or -1 with errno.
 */
int questions_ask(int sock, bool openings);

/*
 * In the process that becomes the command, or the criu that restores it: none
 * of its descendants can have an io_uring, which criu cannot dump; it is as if
 * the kernel had none. Needs CAP_SYS_ADMIN of the user namespace. 0, or -1
 * with errno. Only what a signal handler may do is done.
 */
int questions_deny_io_uring(void);

/* Has a process of this tree a timerfd? criu is to hear of these from us. */
bool questions_about_timers(pid_t root);

/*
 * What criu is to be told of a timerfd instead of this text,
 * proc_pid_fdinfo(5): false if that is just the text.
 */
bool questions_timer_text(const char *text, char *edited, size_t size);

struct questions;
struct engine_calls;

/*
 * The one who answers, when criu runs; root is that of the tree, and calls are
 * borrowed. Mapped files of up to limit bytes are copied where nothing else
 * helps; kinds are those of mapfiles.h. NULL with *err; released with
 * questions_free().
 */
struct questions *questions_new(int sock, pid_t root, unsigned kinds,
	uint64_t limit, const struct engine_calls *calls, struct err *err);
void questions_free(struct questions *q);

/* Can be read when there is a question. */
int questions_fd(const struct questions *q);

/*
 * Answer one. What we do not know is left to the kernel. If that cannot end
 * well, *err says why.
 */
void questions_answer(struct questions *q, struct err *err);

#endif
