/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "log.h"
#include "proc.h"
#include "util.h"

#define MAX_READERS 64

struct pipeline {
	pid_t own;
	struct int_list below;   /* what may be a reader */
	struct int_list readers; /* what is one */
	ino_t pipes[MAX_READERS * 3];
	size_t n_pipes;
	bool is_step; /* one of them is another step */
	bool grown;   /* in this round */
};

static bool has_pipe(const struct pipeline *p, ino_t inode)
{
	for (size_t i = 0; i < p->n_pipes; i++)
		if (p->pipes[i] == inode)
			return true;
	return false;
}

static void add_pipe(struct pipeline *p, const struct stat *st)
{
	if (S_ISFIFO(st->st_mode) && p->n_pipes < LEN(p->pipes) &&
		!has_pipe(p, st->st_ino))
		p->pipes[p->n_pipes++] = st->st_ino;
}

static bool reads(const struct proc_fd *f)
{
	struct proc_fdinfo info;

	return proc_fdinfo(f->pid, f->fd, &info) &&
	       (info.flags & O_ACCMODE) != O_WRONLY;
}

static bool is_reader(const struct proc_fd *f, void *arg)
{
	struct pipeline *p = arg;

	if (!f->have_st || !S_ISFIFO(f->st.st_mode) ||
		!has_pipe(p, f->st.st_ino) || !reads(f))
		return true;
	int_list_add(&p->readers, f->pid);
	p->grown = true;
	return false;
}

/* What a reader writes to is read by others. */
static bool follow_output(const struct proc_fd *f, void *arg)
{
	if ((f->fd == 1 || f->fd == 2) && f->have_st && !reads(f))
		add_pipe(arg, &f->st);
	return true;
}

static void look_at(struct pipeline *p, pid_t pid)
{
	struct proc_stat st;
	size_t n = p->readers.n;

	if (pid == p->own || int_list_has(&p->readers, pid) || n == MAX_READERS)
		return;
	proc_fds(pid, is_reader, p);
	if (p->readers.n == n)
		return;
	if (proc_stat(pid, &st) && !strncmp(st.comm, "checkpoint", 10))
		p->is_step = true;
	proc_fds(pid, follow_output, p);
}

/* The shell that waits for this process reads on, and is none of them. */
static void forget_ancestors(struct pipeline *p)
{
	pid_t pid = p->own;
	struct proc_stat st;

	while (pid > 1 && proc_stat(pid, &st)) {
		for (size_t i = 0; i < p->below.n; i++)
			if (p->below.v[i] == pid)
				p->below.v[i--] = p->below.v[--p->below.n];
		pid = st.ppid;
	}
}

static void find_readers(struct pipeline *p, pid_t shell)
{
	struct stat st;

	for (int fd = 1; fd < 3; fd++)
		if (!fstat(fd, &st))
			add_pipe(p, &st);
	if (!p->n_pipes)
		return;
	p->below = proc_tree(shell);
	forget_ancestors(p);
	do {
		p->grown = false;
		for (size_t i = 0; i < p->below.n; i++)
			look_at(p, p->below.v[i]);
	} while (p->grown);
}

static void close_pipes(void)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat st;

	for (int fd = 1; fd < 3; fd++)
		if (!fstat(fd, &st) && S_ISFIFO(st.st_mode) && null >= 0 &&
			dup2(null, fd) < 0)
			log_debug("dup2: %s", strerror(errno));
}

static void wait_for(const struct int_list *readers, double seconds)
{
	struct pollfd fds[MAX_READERS];
	double end = now_mono() + seconds, left;
	nfds_t n = 0, open = 0;

	for (; n < readers->n && n < MAX_READERS; n++) {
		fds[n] = (struct pollfd){.events = POLLIN};
		fds[n].fd = (int)syscall(SYS_pidfd_open, readers->v[n], 0);
		open += fds[n].fd >= 0;
	}
	while (open > 0 && (left = end - now_mono()) > 0) {
		if (poll(fds, n, (int)(left * 1000) + 1) < 0 && errno != EINTR)
			break;
		/* poll(2) passes over those that are closed. */
		for (nfds_t i = 0; i < n; i++)
			if (fds[i].fd >= 0 && fds[i].revents) {
				release_fd(&fds[i].fd);
				open--;
			}
	}
	for (nfds_t i = 0; i < n; i++)
		release_fd(&fds[i].fd);
}

void pipeline_drain(pid_t shell, double seconds)
{
	struct pipeline p = {.own = getpid()};

	find_readers(&p, shell);
	if (p.readers.n > 0 && !p.is_step) {
		close_pipes();
		wait_for(&p.readers, seconds);
	}
	free(p.below.v);
	free(p.readers.v);
}
