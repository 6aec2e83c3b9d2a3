/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capsule.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "log.h"
#include "tmpdir.h"
#include "util.h"

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

/* What tar needs to read and make files that their owner made unreadable. */
static const uint64_t tar_caps = CAP_BIT(CAP_DAC_OVERRIDE) |
				 CAP_BIT(CAP_DAC_READ_SEARCH) |
				 CAP_BIT(CAP_FOWNER);

/* With kernel.yama.ptrace_scope = 1, only CAP_SYS_PTRACE lets criu seize. */
static const uint64_t criu_caps =
	CAP_BIT(CAP_CHECKPOINT_RESTORE) | CAP_BIT(CAP_SETPCAP) |
	CAP_BIT(CAP_NET_ADMIN) | CAP_BIT(CAP_SYS_PTRACE);

static bool is_root(void)
{
	return geteuid() == 0;
}

pid_t capsule_fork(enum isolation isolation)
{
	unsigned long flags = SIGCHLD;

	if (isolation == ISOLATION_USER) {
		/* System V IPC is found by number: it must be its own. */
		flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC;
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
static int keep_caps(bool user_ns, uint64_t caps, struct err *err)
{
	if (!user_ns)
		return 0;
	if (set_caps(caps, caps))
		return err_set(err, errno, "set capabilities");
	return raise_ambient(caps, err);
}

int capsule_lend_caps(const struct capsule *c, bool lend, struct err *err)
{
	if (!c->has_user_ns)
		return 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
		set_caps(all_caps(), lend ? criu_caps : 0))
		return err_set(err, errno, "lend capabilities");
	return lend ? raise_ambient(criu_caps, err) : 0;
}

int capsule_keep_tar_caps(bool user_ns, struct err *err)
{
	return keep_caps(user_ns, tar_caps, err);
}

int capsule_keep_criu_caps(const struct capsule *c, struct err *err)
{
	return keep_caps(c->has_user_ns, criu_caps, err);
}

int capsule_keep_all_caps(const struct capsule *c, struct err *err)
{
	return keep_caps(c, all_caps(), err);
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

/*
 * A tmpfs that is nowhere in the tree of mounts: criu probes the kernel for
 * 30 ms at every start unless it may keep what it found on a tmpfs.
 */
static int make_work(struct err *err)
{
	static const char place[] = "/tmp";
	int work;

	if (private_tmpfs(place, "mode=0700", err))
		return -1;
	work = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
			c->work = open(c->work_path,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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

static int private_dirs(struct capsule *c, const struct config *cfg,
	const struct capsule_plan *plan, struct err *err)
{
	bool below = false;
	auto_free char *tmpdir = tmpdir_find(cfg, plan->checkpoints, &below);
	const struct private_plan p = {
		.dirs = cfg->private_dirs,
		.tmpdir = below ? NULL : tmpdir,
		.scratch = plan->scratch,
		.generation = plan->generation,
		.recorded = json_object_get(plan->manifest, "private"),
	};

	/* Later legs have all of it in the layer. */
	if (below && !plan->generation) {
		c->private.tmpdir = tmpdir;
		tmpdir = NULL;
	}
	return private_enter(&c->private, &p, err);
}

static int enter_namespaces(struct capsule *c, const struct config *cfg,
	const struct capsule_plan *plan, struct err *err)
{
	c->has_user_ns = c->private.user_ns = plan->uid != 0;
	if (c->has_user_ns && map_ids(plan->uid, plan->gid, err))
		return -1;
	if (mount_proc(err) || mount_devpts(err))
		return -1;
	if (network_enter(c, cfg, plan->criu, plan->generation != NULL,
		    plan->network, c->note, err))
		return -1;
	if (private_dirs(c, cfg, plan, err))
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
	c->network.knock = -1;
	if (c->isolation == ISOLATION_USER &&
		enter_namespaces(c, cfg, plan, err))
		return err_wrap(err, "capsule");
	if (c->isolation == ISOLATION_NONE) {
		if (make_shared_work(c, err))
			return -1;
		c->network.record = network_of_host();
		if (cfg->network == NETWORK_PRIVATE)
			snprintf(c->note, sizeof(c->note),
				"[capsule] network = private needs a capsule");
	}
	if (chdir(cwd))
		return err_set(err, errno, "change directory to %s", cwd);
	return 0;
}
