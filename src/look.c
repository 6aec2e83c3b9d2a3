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

#include "log.h"
#include "proc.h"
#include "util.h"

/* What is looked at, and the namespaces that are right. */
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

/* As /proc/PID/net/tcp has it, see tcp_states.h in Linux. */
#define TCP_ESTABLISHED_STATE 1

/* The state of this socket inode in a /proc/PID/net file, 0: not there. */
static unsigned in_table(pid_t pid, const char *table, unsigned long inode)
{
	char path[48];
	auto_file FILE *f = NULL;
	auto_free char *line = NULL;
	size_t room = 0;
	unsigned state;
	unsigned long i;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, table);
	f = fopen(path, "re");
	/* The columns of proc_pid_net(5): sl local remote st ... inode */
	while (f && getline(&line, &room, f) > 0)
		if (sscanf(line, " %*s %*s %*s %x %*s %*s %*s %*s %*s %lu",
			    &state, &i) == 2 &&
			i == inode)
			return state;
	return 0;
}

static void look_at_socket(struct look *l, const struct proc_fd *f)
{
	unsigned long inode = 0;
	unsigned state;
	char what[64];

	if (sscanf(f->target, "socket:[%lu]", &inode) != 1)
		return;
	state = in_table(f->pid, "tcp", inode);
	if (!state)
		state = in_table(f->pid, "tcp6", inode);
	if (state != TCP_ESTABLISHED_STATE)
		return;
	snprintf(what, sizeof(what), "descriptor %d, a TCP connection,", f->fd);
	say(l, what, "it must be closed when a checkpoint is due");
}

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
	} else if (!strncmp(f->target, "socket:", 7)) {
		look_at_socket(l, f);
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
		say(l, "System V shared memory",
			"it must be gone when a checkpoint is due");
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

unsigned look_at_tree_with(pid_t parent,
	void (*say_it)(const struct look_finding *f, void *arg), void *arg)
{
	struct int_list tree = proc_tree(parent);
	struct look l = {.say = say_it, .arg = arg};
	/* A capsule has terminals of its own, both ends of them. */
	bool own_terminals = other_namespace(parent, getpid(), "mnt");
	struct proc_stat st;

	for (size_t i = 1; i < tree.n; i++) {
		if (!proc_stat(tree.v[i], &st))
			continue;
		l.pid = tree.v[i];
		l.comm = st.comm;
		proc_fds(l.pid, look_at_fd, &l);
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
	return l.found;
}

static void warn(const struct look_finding *f, void *arg)
{
	(void)arg;
	log_warn("process %d (%s): %s cannot be checkpointed; %s", f->pid,
		f->comm, f->what, f->advice);
}

unsigned look_at_tree(pid_t parent)
{
	return look_at_tree_with(parent, warn, NULL);
}

/* --- criu and the kernel --- */

int look_criu_fits(
	int criu, int kernel, bool root, bool in_capsule, struct err *err)
{
	if (kernel >= 613 && criu < 401)
		return err_set(err, 0,
			"criu %d.%d does not work on Linux %d.%d: install CRIU "
			"4.1 or newer",
			criu / 100, criu % 100, kernel / 100, kernel % 100);
	if (!root && criu < 319)
		return err_set(err, 0,
			"criu %d.%d cannot work without privilege: install "
			"CRIU 4.1 or newer",
			criu / 100, criu % 100);
	if (in_capsule && kernel < 509)
		return err_set(err, 0,
			"Linux %d.%d is too old for checkpoints without "
			"privilege: 5.9 or newer is needed",
			kernel / 100, kernel % 100);
	return 0;
}

/* What `criu --version` prints, e.g. "Version: 4.1.1". */
int look_criu_version(const char *criu, struct err *err)
{
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
		execl(criu, criu, "--version", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	p = n > 0 ? strstr(text, "ersion: ") : NULL;
	if (!p || sscanf(p, "ersion: %u.%u", &major_no, &minor_no) != 2)
		return err_set(err, 0, "%s --version says nothing", criu);
	return (int)(major_no * 100 + minor_no);
}

static bool find_tcp(const struct proc_fd *f, void *arg)
{
	struct proc_fd *found = arg;
	unsigned long inode;

	if (sscanf(f->target, "socket:[%lu]", &inode) == 1 &&
		(in_table(f->pid, "tcp", inode) ||
			in_table(f->pid, "tcp6", inode)))
		*found = *f;
	return !found->pid;
}

/*
 * Since Linux 6.16 a TCP socket has no SO_PASSCRED, which CRIU before 4.2
 * reads of every socket, be it only a listening one.
 */
int look_sockets_fit(int criu, int kernel, pid_t parent, struct err *err)
{
	struct int_list tree = proc_tree(parent);
	struct proc_fd found = {0};
	struct proc_stat st = {0};

	if (criu < 402 && kernel >= 616)
		for (size_t i = 1; i < tree.n && !found.pid; i++)
			proc_fds(tree.v[i], find_tcp, &found);
	free(tree.v);
	if (!found.pid)
		return 0;
	proc_stat(found.pid, &st);
	return err_set(err, 0,
		"process %d (%s) has descriptor %d, a TCP socket, which criu "
		"%d.%d cannot dump on Linux %d.%d: install CRIU 4.2 or newer",
		found.pid, st.comm, found.fd, criu / 100, criu % 100,
		kernel / 100, kernel % 100);
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

int look_at_criu(
	const char *criu, pid_t parent, bool in_capsule, struct err *err)
{
	int version = look_criu_version(criu, err);
	int kernel = look_kernel_version();
	bool root = geteuid() == 0;

	if (version < 0)
		return -1;
	if (!kernel)
		return 0;
	if (!in_capsule && !root &&
		getxattr(criu, "security.capability", NULL, 0) <= 0)
		return err_set(err, 0,
			"without user namespaces criu needs a capability: ask "
			"the administrator for 'setcap "
			"cap_checkpoint_restore,cap_setpcap+ep %s'",
			criu);
	if (look_criu_fits(version, kernel, root, in_capsule, err))
		return -1;
	return look_sockets_fit(version, kernel, parent, err);
}
