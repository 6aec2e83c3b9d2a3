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

static void archive_name(size_t i, char buf[32])
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
	char file_arg[64], dir_arg[64];
	int status;
	pid_t pid;

	snprintf(
		file_arg, sizeof(file_arg), "--file=/proc/self/fd/%d", archive);
	snprintf(dir_arg, sizeof(dir_arg), "--directory=/proc/self/fd/%d", dir);
	pid = fork();
	if (pid < 0)
		return err_set(err, errno, "fork");
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		fcntl(archive, F_SETFD, 0);
		fcntl(dir, F_SETFD, 0);
		if (!keep_caps(c, tar_caps, NULL))
			execlp("tar", "tar", verb, file_arg, dir_arg,
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

/* Fill a fresh layer from the generation, if that holds something for it. */
static int fill_layer(
	const struct capsule *c, size_t i, int generation, struct err *err)
{
	auto_close int archive = -1;
	char name[32];

	if (generation < 0)
		return 0;
	archive_name(i, name);
	archive = openat(generation, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (archive < 0 && errno == ENOENT)
		return 0;
	if (archive < 0)
		return err_set(err, errno, "open %s", name);
	if (run_tar(c, "--extract", archive, c->dir[i].layer, err))
		return err_wrap(err, "put back %s", c->dir[i].path);
	return 0;
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
	bool last, int generation, struct err *err)
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

static int mount_tmpfs(const char *path, struct err *err)
{
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"))
		return err_set(err, errno, "mount a tmpfs on %s", path);
	return 0;
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* POSIX shared memory is never staged by a script: simply a fresh tmpfs. */
static int private_shm(
	struct capsule *c, size_t i, int generation, struct err *err)
{
	struct capsule_dir *d = &c->dir[i];

	if (mount_tmpfs(d->path, err))
		return -1;
	d->layer = open_dir(d->path);
	if (d->layer < 0)
		return err_set(err, errno, "open %s", d->path);
	return fill_layer(c, i, generation, err);
}

static int private_dir(struct capsule *c, size_t i, const char *scratch,
	int generation, struct err *err)
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
	if (mount_tmpfs(d->path, err))
		return -1;
	base = open_dir(d->path);
	if (base < 0)
		return err_set(err, errno, "open %s", d->path);
	return cover_dir(c, i, base, lower, true, generation, err);
}

static int private_dirs(struct capsule *c, const struct config *cfg,
	const char *scratch, int generation, struct err *err)
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
 * criu probes the kernel for 30 ms at every start unless it may keep what it
 * found on a tmpfs. Without fsopen(2) (Linux 5.2, glibc 2.36) there is no
 * cache.
 */
static int make_cache(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 36)
	auto_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0700", 0) ||
		fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	return fsmount(
		fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
#else
	return -1;
#endif
}

/* Without a capsule: a directory where programs keep shared memory. */
static void make_shared_cache(struct capsule *c)
{
	char *path = xstrdup("/dev/shm/checkpointer-XXXXXX");

	if (!mkdtemp(path)) {
		free(path);
		return;
	}
	c->cache_path = path;
	c->cache = open_dir(path);
}

void capsule_leave(struct capsule *c)
{
	static const char *const names[] = {"criu.kdat", "dump.log",
		"restore.log", "criu.stderr", "stats-dump", "stats-restore"};

	if (!c->cache_path)
		return;
	for (size_t i = 0; i < LEN(names); i++)
		unlinkat(c->cache, names[i], 0);
	rmdir(c->cache_path);
}

static int enter_namespaces(struct capsule *c, const struct config *cfg,
	const struct capsule_plan *plan, struct err *err)
{
	c->has_user_ns = plan->uid != 0;
	if (c->has_user_ns && map_ids(plan->uid, plan->gid, err))
		return -1;
	if (mount_proc(err))
		return -1;
	if (private_dirs(c, cfg, plan->scratch, plan->generation, err))
		return -1;
	c->cache = make_cache();
	return 0;
}

int capsule_enter(struct capsule *c, const struct config *cfg,
	const struct capsule_plan *plan, const char *cwd, struct err *err)
{
	memset(c, 0, sizeof(*c));
	c->isolation = plan->isolation;
	c->cache = -1;
	if (c->isolation == ISOLATION_USER &&
		enter_namespaces(c, cfg, plan, err))
		return err_wrap(err, "capsule");
	if (c->isolation == ISOLATION_NONE)
		make_shared_cache(c);
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

int capsule_save(const struct capsule *c, int generation, struct err *err)
{
	for (size_t i = 0; i < c->n_dirs; i++) {
		auto_close int archive = -1;
		char name[32];

		if (c->dir[i].layer < 0 || dir_is_empty(c->dir[i].layer))
			continue;
		archive_name(i, name);
		archive = openat(generation, name,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0600);
		if (archive < 0)
			return err_set(err, errno, "create %s", name);
		if (run_tar(c, "--create", archive, c->dir[i].layer, err))
			return err_wrap(err, "carry %s", c->dir[i].path);
	}
	return 0;
}
