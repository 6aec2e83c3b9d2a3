/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "look.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "engine.h"
#include "log.h"
#include "proc.h"
#include "tcp.h"
#include "util.h"

/* What is looked at. */
struct look {
	pid_t pid;
	const char *comm;
	unsigned found;
	void (*say)(const struct look_finding *f, void *arg);
	void *arg;
};

static void say(struct look *l, const char *what, const char *advice)
{
	const struct look_finding f = {l->pid, l->comm, what, advice};

	l->found++;
	l->say(&f, l->arg);
}

/* --- descriptors --- */

struct device {
	const char *prefix, *advice;
};

static const struct device devices[] = {
	{"/dev/infiniband/",
		"use TCP or shared memory, for example UCX_TLS=tcp,self,sm"},
	{"/dev/nvidia", "jobs that use a GPU are not supported"},
	{"/dev/kfd", "jobs that use a GPU are not supported"},
	{"/dev/dri/", "jobs that use a GPU are not supported"},
	{"/dev/fuse", "start the FUSE file system outside the command"},
};

static bool is_harmless_device(const struct stat *st)
{
	unsigned m = major(st->st_rdev);

	/* null, zero, random, ...; terminals of all kinds */
	return m == 1 || m == 4 || m == 5 || (m >= 136 && m <= 143);
}

static void look_at_device(struct look *l, const struct proc_fd *f)
{
	const char *advice = "close the device before a checkpoint is due";
	char what[160];

	if (!f->have_st || !S_ISCHR(f->st.st_mode) ||
		is_harmless_device(&f->st))
		return;
	for (size_t i = 0; i < LEN(devices); i++)
		if (!strncmp(f->target, devices[i].prefix,
			    strlen(devices[i].prefix)))
			advice = devices[i].advice;
	snprintf(what, sizeof(what), "descriptor %d, the device %.100s,", f->fd,
		f->target);
	say(l, what, advice);
}

static bool look_at_fd(const struct proc_fd *f, void *arg)
{
	struct look *l = arg;
	char what[64];

	if (!strcmp(f->target, "anon_inode:[io_uring]")) {
		snprintf(what, sizeof(what), "descriptor %d, an io_uring,",
			f->fd);
		say(l, what, "put io_uring = deny under [capsule]");
	} else {
		look_at_device(l, f);
	}
	return true;
}

/* --- the rest of a process --- */

static void look_at_maps(struct look *l)
{
	char path[32];
	auto_file FILE *f = NULL;
	auto_free char *line = NULL;
	size_t room = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", l->pid);
	f = fopen(path, "re");
	while (f && getline(&line, &room, f) > 0) {
		const char *name = strchr(line, '/');

		if (!name || strncmp(name, "/SYSV", 5))
			continue;
		say(l, "System V shared memory", "this needs isolation = user");
		return;
	}
}

static bool other_namespace(pid_t pid, pid_t right, const char *name)
{
	char path[48], mine[64] = "", theirs[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
	if (readlink(path, theirs, sizeof(theirs) - 1) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", right, name);
	if (readlink(path, mine, sizeof(mine) - 1) < 0)
		return false;
	return strcmp(mine, theirs) != 0;
}

static void look_at_namespaces(struct look *l, pid_t right)
{
	static const char *const names[] = {
		"user", "mnt", "pid", "net", "ipc", "uts"};
	char what[64];

	for (size_t i = 0; i < LEN(names); i++) {
		if (!other_namespace(l->pid, right, names[i]))
			continue;
		snprintf(what, sizeof(what), "a %s namespace of its own",
			names[i]);
		say(l, what,
			"containers and sandboxes inside the command are not "
			"supported");
		return;
	}
}

static void look_at_tracer(struct look *l)
{
	char path[32];
	auto_file FILE *f = NULL;
	auto_free char *line = NULL;
	size_t room = 0;
	int tracer;

	snprintf(path, sizeof(path), "/proc/%d/status", l->pid);
	f = fopen(path, "re");
	while (f && getline(&line, &room, f) > 0)
		if (sscanf(line, "TracerPid: %d", &tracer) == 1 && tracer > 0)
			say(l, "a process under a debugger",
				"detach strace or gdb before a checkpoint is "
				"due");
}

/* It talks to its tasks and to slurmctld, and slurmstepd waits for it. */
static void look_at_program(struct look *l)
{
	if (!strcmp(l->comm, "srun"))
		say(l, "a step of srun",
			"start the program without srun, or put srun outside "
			"the command");
}

/* --- connections --- */

/* Of the keeper, in its namespaces but for the network. */
static bool is_pasta(const struct proc_stat *st, pid_t parent)
{
	return st->ppid == parent && !strncmp(st->comm, "pasta", 5);
}

/* The root of the tree below the keeper; 0: it has gone. */
static pid_t find_root(const struct int_list *tree, pid_t parent)
{
	struct proc_stat st;

	for (size_t i = 1; i < tree->n; i++)
		if (proc_stat(tree->v[i], &st) && st.ppid == parent &&
			!is_pasta(&st, parent))
			return tree->v[i];
	return 0;
}

static void say_connection(
	struct look *l, const struct tcp_socket *s, const char *advice)
{
	struct proc_stat st = {.comm = "?"};
	struct look of = {
		.pid = s->pid, .comm = st.comm, .say = l->say, .arg = l->arg};
	char remote[TCP_TEXT], what[160];

	proc_stat(s->pid, &st);
	tcp_show(&s->remote, remote);
	snprintf(what, sizeof(what), "descriptor %d, a TCP connection to %s,",
		s->fd, remote);
	say(&of, what, advice);
	l->found += of.found;
}

static void look_at_connections(struct look *l, pid_t root, enum outside policy)
{
	bool is_private = other_namespace(root, getpid(), "net");
	struct tcp_list list = tcp_survey(root);

	for (size_t i = 0; i < list.n; i++) {
		const struct tcp_socket *s = &list.v[i];

		if (!s->pid || !tcp_is_connected(s))
			continue;
		if (!tcp_is_outside(&list, s)) {
			if (!is_private)
				say_connection(l, s,
					"put network = private under "
					"[capsule]");
		} else if (!is_private || policy == OUTSIDE_REFUSE) {
			say_connection(l, s,
				is_private ? "close it before a checkpoint is "
					     "due, or put outside_connections "
					     "= close under [capsule]"
					   : "close it before a checkpoint is "
					     "due, or put network = private "
					     "and outside_connections = close "
					     "under [capsule]");
		}
	}
	free(list.v);
}

unsigned look_at_tree_with(pid_t parent, enum outside policy,
	void (*say_it)(const struct look_finding *f, void *arg), void *arg)
{
	struct int_list tree = proc_tree(parent);
	pid_t root = find_root(&tree, parent);
	struct look l = {.say = say_it, .arg = arg};
	/* A capsule has terminals of its own, both ends of them. */
	bool own_terminals = other_namespace(parent, getpid(), "mnt");
	bool own_ipc = other_namespace(parent, getpid(), "ipc");
	struct proc_stat st;

	for (size_t i = 1; i < tree.n; i++) {
		if (!proc_stat(tree.v[i], &st) || is_pasta(&st, parent))
			continue;
		l.pid = tree.v[i];
		l.comm = st.comm;
		proc_fds(l.pid, look_at_fd, &l);
		if (!own_ipc)
			look_at_maps(&l);
		look_at_namespaces(&l, parent);
		look_at_program(&l);
		look_at_tracer(&l);
		if (st.tty && !own_terminals)
			say(&l, "a controlling terminal",
				"start the program without one, for example "
				"with setsid");
	}
	free(tree.v);
	if (root)
		look_at_connections(&l, root, policy);
	return l.found;
}

static void warn(const struct look_finding *f, void *arg)
{
	(void)arg;
	log_warn("process %d (%s): %s cannot be checkpointed; %s", f->pid,
		f->comm, f->what, f->advice);
}

unsigned look_at_tree(pid_t parent, enum outside policy)
{
	return look_at_tree_with(parent, policy, warn, NULL);
}

/* --- criu and the kernel --- */

int look_criu_fits(
	int criu, int kernel, bool root, bool in_capsule, struct err *err)
{
	if (kernel >= 613 && criu < 401)
		return err_set(err, 0,
			"criu %d.%d does not work on Linux %d.%d; " CRIU_WANTED,
			criu / 100, criu % 100, kernel / 100, kernel % 100);
	if (!root && criu < 319)
		return err_set(err, 0,
			"criu %d.%d cannot work without privilege; " CRIU_WANTED,
			criu / 100, criu % 100);
	if (in_capsule && kernel < 509)
		return err_set(err, 0,
			"Linux %d.%d is too old for checkpoints without "
			"privilege, which need 5.9 or newer: run this on a "
			"node with a newer one ('uname -r' tells)",
			kernel / 100, kernel % 100);
	return 0;
}

/* What `criu --version` prints, e.g. "Version: 4.1.1". */
int look_criu_version(const char *criu, struct err *err)
{
	/* No configuration of the user's, see engine.c. */
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *const env[] = {path, NULL};
	char text[256] = "";
	unsigned major_no, minor_no;
	const char *p;
	int fds[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		execle(criu, criu, "--version", "--no-default-config",
			(char *)NULL, env);
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	p = n > 0 ? strstr(text, "ersion: ") : NULL;
	if (!p || sscanf(p, "ersion: %u.%u", &major_no, &minor_no) != 2)
		return err_set(err, 0,
			"%s --version says nothing, so it is no criu; " CRIU_WANTED,
			criu);
	return (int)(major_no * 100 + minor_no);
}

/*
 * Since Linux 6.16 a TCP socket has no SO_PASSCRED, which CRIU before 4.2
 * reads of every socket, be it only a listening one.
 */
static int sockets_fit(int criu, int kernel, pid_t root, struct err *err)
{
	struct tcp_socket found = {0};
	struct proc_stat st = {0};
	struct tcp_list l;

	if (criu >= 402 || kernel < 616 || !root)
		return 0;
	l = tcp_survey(root);
	for (size_t i = 0; i < l.n && !found.pid; i++)
		if (l.v[i].pid)
			found = l.v[i];
	free(l.v);
	if (!found.pid)
		return 0;
	proc_stat(found.pid, &st);
	return err_set(err, 0,
		"process %d (%s) has descriptor %d, a TCP socket, which criu "
		"%d.%d cannot dump on Linux %d.%d: install CRIU 4.2 or newer",
		found.pid, st.comm, found.fd, criu / 100, criu % 100,
		kernel / 100, kernel % 100);
}

static pid_t root_below(pid_t parent)
{
	struct int_list tree = proc_tree(parent);
	pid_t root = find_root(&tree, parent);

	free(tree.v);
	return root;
}

int look_sockets_fit(int criu, int kernel, pid_t parent, struct err *err)
{
	return sockets_fit(criu, kernel, root_below(parent), err);
}

int look_kernel_version(void)
{
	unsigned major_no, minor_no;
	struct utsname u;

	uname(&u);
	if (sscanf(u.release, "%u.%u", &major_no, &minor_no) != 2)
		return 0;
	return (int)(major_no * 100 + minor_no);
}

int look_can_dump(const char *criu, pid_t root, bool by_root, bool in_capsule,
	struct err *err)
{
	int version = look_criu_version(criu, err);
	int kernel = look_kernel_version();

	if (version < 0)
		return -1;
	if (!kernel)
		return 0;
	if (!in_capsule && !by_root &&
		getxattr(criu, "security.capability", NULL, 0) <= 0)
		return err_set(err, 0,
			"without user namespaces criu needs a capability: ask "
			"the administrator for 'setcap "
			"cap_checkpoint_restore,cap_setpcap+ep %s'",
			criu);
	if (look_criu_fits(version, kernel, by_root, in_capsule, err))
		return -1;
	return sockets_fit(version, kernel, root, err);
}

int look_at_criu(
	const char *criu, pid_t parent, bool in_capsule, struct err *err)
{
	return look_can_dump(
		criu, root_below(parent), geteuid() == 0, in_capsule, err);
}
