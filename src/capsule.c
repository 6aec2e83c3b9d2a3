/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capsule.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "log.h"
#include "util.h"

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

/* What tar needs to read and make files that their owner made unreadable. */
static const uint64_t tar_caps = CAP_BIT(CAP_DAC_OVERRIDE) |
				 CAP_BIT(CAP_DAC_READ_SEARCH) |
				 CAP_BIT(CAP_FOWNER);

static const uint64_t criu_caps = CAP_BIT(CAP_CHECKPOINT_RESTORE) |
				  CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_NET_ADMIN);

static bool is_root(void)
{
	return geteuid() == 0;
}

pid_t capsule_fork(enum isolation isolation)
{
	unsigned long flags = SIGCHLD;

	if (isolation == ISOLATION_USER) {
		flags |= CLONE_NEWPID | CLONE_NEWNS;
		if (!is_root())
			flags |= CLONE_NEWUSER;
	}
	return (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
}

static int write_proc(const char *path, const char *text, struct err *err)
{
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, errno, "open %s", path);
	if (write_all(fd, text, strlen(text)))
		return err_set(err, errno, "write %s", path);
	return 0;
}

/* The caller's own uid and gid, mapped to themselves; user_namespaces(7). */
static int map_ids(uid_t uid, gid_t gid, struct err *err)
{
	char map[64];

	/* Without this an unprivileged gid_map is refused. */
	if (write_proc("/proc/self/setgroups", "deny", err))
		return -1;
	snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	if (write_proc("/proc/self/uid_map", map, err))
		return -1;
	snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	return write_proc("/proc/self/gid_map", map, err);
}

static int mount_proc(struct err *err)
{
	/* Later mounts of the host (autofs, NFS) still arrive. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return err_set(err, errno, "make mounts private");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		    NULL))
		return err_set(err, errno, "mount /proc");
	return 0;
}

/*
 * Terminals of its own: those of the host belong to users that do not exist
 * here, and criu makes a terminal anew with its owner. /dev/ptmx finds the
 * instance that is mounted beside it.
 */
static int mount_devpts(struct err *err)
{
	if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		    "newinstance,ptmxmode=0666,mode=0620"))
		return err_set(err, errno, "mount /dev/pts");
	return 0;
}

/* --- capabilities --- */

/* glibc has no wrapper; see capset(2). */
static int set_caps(uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].permitted = (uint32_t)(permitted >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	return (int)syscall(SYS_capset, &head, data);
}

/* Those that this process is permitted. */
static uint64_t all_caps(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &head, data))
		return 0;
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

static int raise_ambient(uint64_t caps, struct err *err)
{
	for (unsigned long cap = 0; cap < 64; cap++)
		if ((caps & CAP_BIT(cap)) &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0))
			return err_set(err, errno,
				"raise ambient capability %lu", cap);
	return 0;
}

/* Hold these capabilities and no others, also across execve(2). */
static int keep_caps(const struct capsule *c, uint64_t caps, struct err *err)
{
	if (!c->has_user_ns)
		return 0;
	if (set_caps(caps, caps))
		return err_set(err, errno, "set capabilities");
	return raise_ambient(caps, err);
}

int capsule_lend_caps(const struct capsule *c, bool lend, struct err *err)
{
	const uint64_t caps = criu_caps | CAP_BIT(CAP_SYS_PTRACE);

	if (!c->has_user_ns)
		return 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
		set_caps(all_caps(), lend ? caps : 0))
		return err_set(err, errno, "lend capabilities");
	return lend ? raise_ambient(caps, err) : 0;
}

int capsule_keep_criu_caps(const struct capsule *c, struct err *err)
{
	return keep_caps(c, criu_caps, err);
}

int capsule_drop_caps(const struct capsule *c, struct err *err)
{
	if (!c->has_user_ns)
		return 0;
	/* Ends with EINVAL behind the last capability the kernel knows. */
	for (unsigned long cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			break;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return err_set(err, errno, "clear ambient capabilities");
	if (set_caps(0, 0))
		return err_set(err, errno, "drop capabilities");
	return 0;
}

/* --- PIDs --- */

static const char last_pid_path[] = "/proc/sys/kernel/ns_last_pid";

int capsule_set_last_pid(pid_t pid, struct err *err)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", pid);
	return write_proc(last_pid_path, text, err);
}

pid_t capsule_last_pid(void)
{
	auto_file FILE *f = fopen(last_pid_path, "re");
	int pid = 0;

	return f && fscanf(f, "%d", &pid) == 1 ? pid : 0;
}

/* --- private directories --- */

void capsule_archive_name(size_t i, char buf[32])
{
	snprintf(buf, 32, "private-%zu.tar", i);
}

/*
 * tar, with a directory and an archive given as descriptors. An own program
 * and not a library: the archive must hold sparse files, hard links, extended
 * attributes and an overlay's whiteouts, and GNU tar is on every system.
 */
static int run_tar(const struct capsule *c, const char *verb, int archive,
	int dir, struct err *err)
{
	bool extract = !strcmp(verb, "--extract");
	char dir_arg[64];
	int status;
	pid_t pid;

	snprintf(dir_arg, sizeof(dir_arg), "--directory=/proc/self/fd/%d", dir);
	pid = fork();
	if (pid < 0)
		return err_set(err, errno, "fork");
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		fcntl(dir, F_SETFD, 0);
		if (dup2(archive, extract ? 0 : 1) >= 0 &&
			!keep_caps(c, tar_caps, NULL))
			execlp("tar", "tar", verb, "--file=-", dir_arg,
				"--sparse", "--numeric-owner",
				"--same-permissions", "--xattrs",
				"--xattrs-include=user.*",
				"--warning=no-file-ignored",
				"--warning=no-timestamp",
				c->has_user_ns ? "--no-same-owner"
					       : "--same-owner",
				".", (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, errno, "wait for tar");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, 0, "tar cannot be run: install GNU tar");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(err, 0, "tar ended with status %d",
			WIFEXITED(status) ? WEXITSTATUS(status)
					  : 128 + WTERMSIG(status));
	return 0;
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

/* Fill a fresh layer from the generation, if that holds something for it. */
static int fill_layer(const struct capsule *c, size_t i,
	struct store_reader *generation, struct err *err)
{
	char name[32];
	int fds[2], stream, ret;
	struct err why;
	pid_t feeder;

	capsule_archive_name(i, name);
	stream = generation ? store_find(generation, name) : -1;
	if (stream < 0 || !store_size(generation, (size_t)stream))
		return 0;
	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	feeder = begin_feeding(generation, stream, fds[1]);
	close(fds[1]);
	ret = feeder < 0
		      ? err_set(err, errno, "fork")
		      : run_tar(c, "--extract", fds[0], c->dir[i].layer, err);
	close(fds[0]);
	/* If both are unhappy, it is because of this. */
	if (feeder > 0 && end_feeding(feeder, &why)) {
		*err = why;
		ret = -1;
	}
	return ret ? err_wrap(err, "put back %s", c->dir[i].path) : 0;
}

static int make_dir_at(int parent, const char *name, mode_t mode)
{
	if (mkdirat(parent, name, 0700) && errno != EEXIST)
		return -1;
	/* mkdir's mode is subject to the umask. */
	if (fchmodat(parent, name, mode, 0))
		return -1;
	return openat(
		parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Put the layer over lower, so that the host's files are seen through it. */
static int mount_overlay(const char *path, int lower, int upper, int work)
{
	char opt[160];

	snprintf(opt, sizeof(opt),
		"userxattr,lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,"
		"workdir=/proc/self/fd/%d",
		lower, upper, work);
	return mount("overlay", path, "overlay", MS_NOSUID | MS_NODEV,
		is_root() ? strchr(opt, ',') + 1 : opt);
}

/*
 * Make d private with its layer in the directory base. If an overlay cannot
 * be had (old kernel, mounts below the directory), and last is set, the
 * directory is simply a fresh one.
 */
static int cover_dir(struct capsule *c, size_t i, int base, int lower,
	bool last, struct store_reader *generation, struct err *err)
{
	struct capsule_dir *d = &c->dir[i];
	auto_close int work = -1;
	auto_close int upper = -1;
	char name[32], from[64];

	snprintf(name, sizeof(name), "work-%zu", i);
	work = make_dir_at(base, name, 0700);
	snprintf(name, sizeof(name), "layer-%zu", i);
	upper = make_dir_at(base, name, 01777);
	if (work < 0 || upper < 0)
		return err_set(err, errno, "make a private %s", d->path);
	d->layer = upper;
	if (fill_layer(c, i, generation, err))
		goto failed;
	if (mount_overlay(d->path, lower, upper, work)) {
		err_set(err, errno, "overlay over %s", d->path);
		if (!last)
			goto failed;
		snprintf(from, sizeof(from), "/proc/self/fd/%d", upper);
		if (mount(from, d->path, NULL, MS_BIND, NULL)) {
			err_set(err, errno, "private %s", d->path);
			goto failed;
		}
		snprintf(c->note, sizeof(c->note),
			"files that others put into %s are not seen by the "
			"command (%.100s)",
			d->path, err->text);
	}
	steal_fd(&upper);
	return 0;
failed:
	d->layer = -1;
	return -1;
}

static int mount_tmpfs(const char *path, const char *mode, struct err *err)
{
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, mode))
		return err_set(err, errno, "mount a tmpfs on %s", path);
	return 0;
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* POSIX shared memory is never staged by a script: simply a fresh tmpfs. */
static int private_shm(struct capsule *c, size_t i,
	struct store_reader *generation, struct err *err)
{
	struct capsule_dir *d = &c->dir[i];

	if (mount_tmpfs(d->path, "mode=1777", err))
		return -1;
	d->layer = open_dir(d->path);
	if (d->layer < 0)
		return err_set(err, errno, "open %s", d->path);
	return fill_layer(c, i, generation, err);
}

static int private_dir(struct capsule *c, size_t i, const char *scratch,
	struct store_reader *generation, struct err *err)
{
	struct capsule_dir *d = &c->dir[i];
	auto_close int lower = open_dir(d->path);
	auto_close int base = -1;

	if (lower < 0 && errno == ENOENT)
		return 0;
	if (lower < 0)
		return err_set(err, errno, "open %s", d->path);
	if (!strcmp(d->path, "/dev/shm"))
		return private_shm(c, i, generation, err);
	if (scratch) {
		base = open_dir(scratch);
		if (base < 0)
			return err_set(err, errno, "open %s", scratch);
		if (!cover_dir(c, i, base, lower, false, generation, err))
			return 0;
		close(base);
	}
	/* The tmpfs is hidden at once below what covers it. */
	if (mount_tmpfs(d->path, "mode=1777", err))
		return -1;
	base = open_dir(d->path);
	if (base < 0)
		return err_set(err, errno, "open %s", d->path);
	return cover_dir(c, i, base, lower, true, generation, err);
}

static int private_dirs(struct capsule *c, const struct config *cfg,
	const char *scratch, struct store_reader *generation, struct err *err)
{
	auto_free char *list = xstrdup(cfg->private_dirs);
	char *save = NULL;

	for (char *p = strtok_r(list, " \t", &save); p;
		p = strtok_r(NULL, " \t", &save)) {
		if (c->n_dirs == CAPSULE_MAX_DIRS)
			return err_set(err, 0,
				"more than %d directories in private_dirs",
				CAPSULE_MAX_DIRS);
		c->dir[c->n_dirs].path = xstrdup(p);
		c->dir[c->n_dirs].layer = -1;
		if (private_dir(c, c->n_dirs++, scratch, generation, err))
			return -1;
	}
	return 0;
}

/*
 * A tmpfs that is nowhere in the tree of mounts: criu probes the kernel for
 * 30 ms at every start unless it may keep what it found on a tmpfs.
 */
static int make_work(struct err *err)
{
	static const char place[] = "/tmp";
	int work;

	if (mount_tmpfs(place, "mode=0700", err))
		return -1;
	work = open_dir(place);
	if (work < 0)
		return err_set(err, errno, "open %s", place);
	if (!umount2(place, MNT_DETACH))
		return work;
	err_set(err, errno, "unmount %s", place);
	close(work);
	return -1;
}

/* Without a capsule: a directory where programs keep shared memory. */
static int make_shared_work(struct capsule *c, struct err *err)
{
	static const char *const places[] = {
		"/dev/shm/checkpointer-XXXXXX", "/tmp/checkpointer-XXXXXX"};

	for (size_t i = 0; i < LEN(places); i++) {
		c->work_path = xstrdup(places[i]);
		if (mkdtemp(c->work_path)) {
			c->work = open_dir(c->work_path);
			return c->work < 0 ? err_set(err, errno, "open %s",
						     c->work_path)
					   : 0;
		}
		free(c->work_path);
		c->work_path = NULL;
	}
	return err_set(err, errno, "make a directory in /dev/shm or /tmp");
}

void capsule_leave(struct capsule *c)
{
	static const char *const names[] = {"criu.kdat", "dump.log",
		"streamer-capture.sock", "streamer-serve.sock", "restore.log",
		"criu.stderr", "stats-dump", "stats-restore"};

	if (!c->work_path)
		return;
	for (size_t i = 0; i < LEN(names); i++)
		unlinkat(c->work, names[i], 0);
	rmdir(c->work_path);
}

static int enter_namespaces(struct capsule *c, const struct config *cfg,
	const struct capsule_plan *plan, struct err *err)
{
	c->has_user_ns = plan->uid != 0;
	if (c->has_user_ns && map_ids(plan->uid, plan->gid, err))
		return -1;
	if (mount_proc(err) || mount_devpts(err))
		return -1;
	if (private_dirs(c, cfg, plan->scratch, plan->generation, err))
		return -1;
	c->work = make_work(err);
	return c->work < 0 ? -1 : 0;
}

int capsule_enter(struct capsule *c, const struct config *cfg,
	const struct capsule_plan *plan, const char *cwd, struct err *err)
{
	memset(c, 0, sizeof(*c));
	c->isolation = plan->isolation;
	c->work = -1;
	if (c->isolation == ISOLATION_USER &&
		enter_namespaces(c, cfg, plan, err))
		return err_wrap(err, "capsule");
	if (c->isolation == ISOLATION_NONE && make_shared_work(c, err))
		return -1;
	if (chdir(cwd))
		return err_set(err, errno, "change directory to %s", cwd);
	return 0;
}

static bool dir_is_empty(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool empty = true;

	if (!d) {
		release_fd(&fd);
		return false;
	}
	while (empty && (e = readdir(d)))
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	closedir(d);
	return empty;
}

int capsule_save(
	const struct capsule *c, int out[CAPSULE_MAX_DIRS], struct err *err)
{
	for (size_t i = 0; i < c->n_dirs; i++) {
		if (c->dir[i].layer < 0 || out[i] < 0)
			continue;
		if (!dir_is_empty(c->dir[i].layer) &&
			run_tar(c, "--create", out[i], c->dir[i].layer, err))
			return err_wrap(err, "carry %s", c->dir[i].path);
		release_fd(&out[i]);
	}
	return 0;
}
