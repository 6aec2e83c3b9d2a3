/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check_rules.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "util.h"

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

#define GIVE_CAPS                                                              \
	"an administrator can give them with 'setcap "                         \
	"cap_checkpoint_restore,cap_setpcap+ep %s'"

/* --- criu --- */

static uint32_t little_endian(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

void caps_of_file(
	const void *attribute, size_t size, uint64_t *caps, bool *effective)
{
	const unsigned char *p = attribute;

	*caps = 0;
	*effective = false;
	/* struct vfs_cap_data: magic, then permitted and inheritable, twice. */
	if (size < 12)
		return;
	*effective = little_endian(p) & VFS_CAP_FLAGS_EFFECTIVE;
	*caps = little_endian(p + 4);
	if (size >= 20)
		*caps |= (uint64_t)little_endian(p + 12) << 32;
}

static void too_capable(struct findings *f, const struct criu_facts *c)
{
	const uint64_t fine =
		CAP_BIT(CAP_CHECKPOINT_RESTORE) | CAP_BIT(CAP_SETPCAP);
	auto_free char *shrink = xasprintf(
		"take them away with 'setcap -r %s', or leave what is needed "
		"without a capsule: 'setcap cap_checkpoint_restore,"
		"cap_setpcap+ep %s'",
		c->path, c->path);
	auto_free char *no_setuid = xasprintf("chmod u-s %s", c->path);

	if (c->setuid_root)
		finding_add(f, FINDING_WARNING, "criu", no_setuid,
			"%s is setuid root: with images made for it, every "
			"user of this machine becomes root",
			c->path);
	if (c->caps & (CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_SYS_PTRACE)))
		finding_add(f, FINDING_WARNING, "criu", shrink,
			"%s has the file capability %s: with images made for "
			"it, every user of this machine gets that power",
			c->path,
			c->caps & CAP_BIT(CAP_SYS_ADMIN) ? "cap_sys_admin"
							 : "cap_sys_ptrace");
	else if (c->caps & ~fine)
		finding_add(f, FINDING_WARNING, "criu", shrink,
			"%s has more file capabilities than it needs", c->path);
}

/*
 * Executing a file with capabilities clears the ambient ones, by which a
 * capsule lends its own.
 */
static void in_the_way(struct findings *f, const struct criu_facts *c)
{
	const uint64_t needed =
		CAP_BIT(CAP_CHECKPOINT_RESTORE) | CAP_BIT(CAP_SETPCAP);
	auto_free char *remove = xasprintf("setcap -r %s", c->path);

	if (c->caps && (c->caps & needed) != needed)
		finding_add(f, FINDING_PROBLEM, "criu", remove,
			"in a capsule, the file capabilities of %s take the "
			"place of those that it is lent, and "
			"cap_checkpoint_restore and cap_setpcap are not both "
			"among them",
			c->path);
}

static void too_weak(struct findings *f, const struct criu_facts *c)
{
	auto_free char *give = xasprintf(GIVE_CAPS, c->path);

	if (!(c->caps & CAP_BIT(CAP_CHECKPOINT_RESTORE)))
		finding_add(f, FINDING_PROBLEM, "criu", give,
			"without a capsule criu needs file capabilities, and "
			"%s has no cap_checkpoint_restore",
			c->path);
	else if (!c->effective)
		finding_add(f, FINDING_PROBLEM, "criu", give,
			"the file capabilities of %s are permitted, but not "
			"effective",
			c->path);
	else if (!(c->caps & CAP_BIT(CAP_SETPCAP)))
		finding_add(f, FINDING_WARNING, "criu", give,
			"%s has no cap_setpcap: a command with a reduced "
			"bounding set of capabilities cannot be restored",
			c->path);
}

void rule_criu_caps(struct findings *f, const struct criu_facts *c)
{
	too_capable(f, c);
	if (c->by_root)
		return;
	if (c->in_capsule)
		in_the_way(f, c);
	else if (!c->setuid_root)
		too_weak(f, c);
}

/* --- isolation --- */

const char *advice_to_open(const struct isolation_facts *i)
{
	if (!i->kernel_has)
		return "use a kernel with user namespaces (CONFIG_USER_NS)";
	if (i->max == 0)
		return "an administrator can open them with 'sysctl "
		       "user.max_user_namespaces=15000' (on RHEL 7 it takes "
		       "the kernel parameter user_namespace.enable=1, too)";
	if (i->clone == 0)
		return "an administrator can open them with 'sysctl "
		       "kernel.unprivileged_userns_clone=1'";
	if (i->apparmor > 0)
		return "AppArmor closes them: an administrator can write "
		       "'profile checkpointer /usr/local/bin/checkpointer "
		       "flags=(unconfined) { userns, }' to "
		       "/etc/apparmor.d/checkpointer, with the program's own "
		       "path, and run 'systemctl reload apparmor'";
	if (i->num == ENOSPC || i->num == EUSERS)
		return "user.max_user_namespaces is used up or is 0 further "
		       "up, or they are nested too deeply: raise it, or do not "
		       "run this inside other sandboxes";
	if (i->failure && strstr(i->failure, "/proc"))
		return "in a container, let all of /proc be seen (podman run "
		       "--security-opt unmask=ALL), or run this on the host";
	if (i->num == EPERM)
		return "a container's seccomp rules or a chroot forbid it: "
		       "allow clone(2) with namespaces there, enter the root "
		       "with pivot_root(2), or run this on the host";
	return "find out with --verbose, or set [capsule] isolation = none and "
	       "give criu its file capabilities";
}

static void closed(struct findings *f, const struct isolation_facts *i)
{
	const char *open = advice_to_open(i);

	if (i->wanted == ISOLATION_USER)
		finding_add(f, FINDING_PROBLEM, "isolation", open,
			"isolation = user is set, and no capsule can be made: "
			"%s",
			i->failure);
	else
		finding_add(f, FINDING_WARNING, "isolation", open,
			"auto chooses none, as no capsule can be made (%s): "
			"process numbers may be taken after a restore, and "
			"/tmp does not travel",
			i->failure);
}

void rule_isolation(struct findings *f, const struct isolation_facts *i)
{
	if (i->wanted == ISOLATION_NONE) {
		finding_ok(f, "isolation", "none, as is set");
		return;
	}
	if (i->failure) {
		closed(f, i);
		return;
	}
	finding_ok(f, "isolation", "%s: %s",
		i->wanted == ISOLATION_AUTO ? "auto chooses user"
					    : "user, as is set",
		i->by_root ? "root needs no user namespace"
			   : "user namespaces are open");
	if (*i->note)
		finding_add(f, FINDING_WARNING, "isolation",
			"mounts below the directory hinder an overlay, or "
			"Linux is older than 5.11: stage files elsewhere, or "
			"leave the directory out of [capsule] private_dirs",
			"%s", i->note);
}

/* --- the rest of the kernel --- */

void rule_ptrace(struct findings *f, int num, long scope)
{
	static const char advice[] =
		"an administrator can set 'sysctl "
		"kernel.yama.ptrace_scope=0'; else leave sbatch --signal=B: "
		"out, and write 'exec checkpointer -- COMMAND' in scripts";

	if (!num)
		finding_ok(f, "ptrace", "a batch shell can be guarded");
	else if (scope > 0)
		finding_add(f, FINDING_WARNING, "ptrace", advice,
			"kernel.yama.ptrace_scope is %ld: a batch shell cannot "
			"be guarded, and checkpointer without a command does "
			"not work",
			scope);
	else
		finding_add(f, FINDING_WARNING, "ptrace",
			"allow ptrace(2) in the rules of the container or "
			"sandbox; else leave sbatch --signal=B: out, and write "
			"'exec checkpointer -- COMMAND' in scripts",
			"a batch shell cannot be guarded: %s", strerror(num));
}

void rule_pid_max(struct findings *f, long max, bool in_capsule)
{
	static const char advice[] =
		"an administrator can set 'sysctl kernel.pid_max=4194304', on "
		"all nodes alike";

	/* The command's numbers begin at 1001. */
	if (in_capsule && max < 4096)
		finding_add(f, FINDING_WARNING, "pid_max", advice,
			"kernel.pid_max is %ld: there is room for few "
			"processes in a capsule, whose numbers begin at 1001",
			max);
	else if (!in_capsule && max < 1000000)
		finding_add(f, FINDING_WARNING, "pid_max", advice,
			"kernel.pid_max is %ld: without a capsule, process "
			"numbers that a restore needs are often taken",
			max);
	else
		finding_ok(f, "pid_max", "kernel.pid_max is %ld", max);
}

/* --- the checkpoint directory --- */

enum sharing sharing_of(const char *type)
{
	static const char *const shared[] = {"nfs", "nfs4", "lustre", "gpfs",
		"beegfs", "beegfs_nodev", "ceph", "cifs", "smb3", "panfs",
		"wekafs", "afs", "gfs2", "ocfs2", "orangefs", "pvfs2",
		"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.juicefs",
		"fuse.cvmfs2"};
	static const char *const own[] = {"ext2", "ext3", "ext4", "xfs",
		"btrfs", "zfs", "tmpfs", "ramfs", "overlay", "f2fs", "jfs",
		"reiserfs", "bcachefs"};

	for (size_t i = 0; i < LEN(shared); i++)
		if (!strcmp(type, shared[i]))
			return SHARED_YES;
	for (size_t i = 0; i < LEN(own); i++)
		if (!strcmp(type, own[i]))
			return SHARED_NO;
	return SHARED_UNKNOWN;
}

void rule_sharing(
	struct findings *f, const char *dir, const char *type, bool many_nodes)
{
	enum sharing s = sharing_of(type);

	if (!strcmp(type, "tmpfs") || !strcmp(type, "ramfs"))
		finding_add(f, FINDING_WARNING, "directory",
			"name one on a disk with [checkpoint] dir",
			"%s is in memory (%s): checkpoints are lost with the "
			"machine, and take what the command needs",
			dir, type);
	else if (many_nodes && s != SHARED_YES)
		finding_add(f, FINDING_WARNING, "directory",
			"name one on a shared file system with [checkpoint] "
			"dir, or, if all nodes see this one, name it in "
			"[files] shared_paths",
			"%s is on %s, which %s: a next leg on another node "
			"would not find it",
			dir, type,
			s == SHARED_NO ? "one machine sees"
				       : "other nodes may not see");
	else
		finding_ok(f, "directory", "%s, on %s%s", dir, type,
			many_nodes ? ", which all nodes can see" : "");
}

#define MIB (UINT64_C(1) << 20)

void rule_room(
	struct findings *f, const char *dir, uint64_t bytes, uint64_t files)
{
	static const char advice[] =
		"free some, or name another directory with [checkpoint] dir";
	char room[32];

	show_size(bytes, room);
	if (bytes < 16 * MIB || !files)
		finding_add(f, FINDING_PROBLEM, "room", advice,
			"%s is full: %s left%s", dir, room,
			files ? "" : ", and no further file can be made");
	else if (bytes < 1024 * MIB)
		finding_add(f, FINDING_WARNING, "room", advice,
			"%s has only %s left; a checkpoint may take as much as "
			"the command's memory, and two are kept",
			dir, room);
	else
		finding_ok(f, "room", "%s has %s left", dir, room);
}

void rule_speed(struct findings *f, const char *dir, double bytes,
	double seconds, double margin)
{
	double speed = bytes / (seconds > 1e-6 ? seconds : 1e-6);
	char size[32], in_margin[32], time[32];

	show_duration(margin, time);
	show_size((uint64_t)(speed * margin), in_margin);
	show_size((uint64_t)speed, size);
	if (speed < 20e6)
		finding_add(f, FINDING_WARNING, "speed",
			"name a faster directory with [checkpoint] dir, or "
			"give more time with [checkpoint] margin",
			"%s takes %s/s: only %s in the margin of %s", dir, size,
			in_margin, time);
	else
		finding_ok(f, "speed", "%s takes %s/s: %s in the margin of %s",
			dir, size, in_margin, time);
}

void rule_owner(struct findings *f, const char *dir, unsigned owner,
	unsigned mode, unsigned self)
{
	auto_free char *close =
		xasprintf(owner == self ? "chmod go-w %s"
					: "ask its owner for 'chmod +t %s'",
			dir);

	if (owner != self && owner != 0)
		finding_add(f, FINDING_WARNING, "directory",
			"name one of your own with [checkpoint] dir",
			"%s belongs to user %u, who can put something else in "
			"the place of your checkpoints",
			dir, owner);
	if ((mode & 022) && !(mode & 01000))
		finding_add(f, FINDING_WARNING, "directory", close,
			"others may write to %s, and put something else in the "
			"place of your checkpoints",
			dir);
}
