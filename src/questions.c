/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "questions.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "engine.h"
#include "log.h"
#include "mapfiles.h"
#include "proc.h"
#include "request.h"
#include "util.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_ARCH 0
#endif

struct questions {
	int listener;
	struct mapfiles *mapfiles;
	bool unprivileged; /* is criu */
	const struct engine_calls *calls;
};

/* --- in criu's process, or the command's --- */

#define LOAD(field)                                                            \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, yes, no)                                               \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)
#define RESULT(value) BPF_STMT(BPF_RET | BPF_K, value)

static int install(struct sock_filter *filter, unsigned short n, unsigned flags)
{
	struct sock_fprog prog = {n, filter};

	if (!OUR_ARCH) {
		errno = ENOSYS;
		return -1;
	}
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/*
 * Openings to read, below an open directory: those in /proc are such. And
 * changes of the memory of others. args[] have 64 bits, and their lower half
 * comes first.
 */
static int make_listener(bool openings)
{
	struct sock_filter filter[] = {
		LOAD(arch),
		IF_EQUAL(OUR_ARCH, 0, 9),
		LOAD(nr),
		IF_EQUAL(openings ? SYS_openat : -1, 3, 0),
		IF_EQUAL(SYS_ptrace, 0, 6),
		LOAD(args[0]),
		IF_EQUAL(PTRACE_POKEDATA, 5, 4),
		LOAD(args[0]),
		IF_EQUAL(AT_FDCWD, 2, 0),
		LOAD(args[2]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
			O_WRONLY | O_RDWR | O_CREAT, 0, 1),
		RESULT(SECCOMP_RET_ALLOW),
		RESULT(SECCOMP_RET_USER_NOTIF),
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return install(filter, LEN(filter), SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

int questions_ask(int sock, bool openings)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 0;
	struct iovec v = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int listener = make_listener(openings);

	if (listener < 0)
		return -1;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &listener, sizeof(int));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int questions_deny_io_uring(void)
{
	struct sock_filter filter[] = {
		LOAD(arch),
		IF_EQUAL(OUR_ARCH, 0, 3),
		LOAD(nr),
		IF_EQUAL(SYS_io_uring_setup, 0, 1),
		RESULT(SECCOMP_RET_ERRNO | ENOSYS),
		RESULT(SECCOMP_RET_ALLOW),
	};

	return install(filter, LEN(filter), 0);
}

/* --- in the worker --- */

struct questions *questions_new(int sock, pid_t root, unsigned kinds,
	uint64_t limit, const struct engine_calls *calls, struct err *err)
{
	struct questions *q = xcalloc(1, sizeof(*q));

	q->listener = request_pipe(sock, err);
	if (q->listener < 0) {
		free(q);
		return NULL;
	}
	q->unprivileged = kinds & MAPFILES_NAMELESS;
	q->calls = calls;
	q->mapfiles = mapfiles_new(root, kinds, limit);
	return q;
}

void questions_free(struct questions *q)
{
	if (!q)
		return;
	mapfiles_free(q->mapfiles);
	release_fd(&q->listener);
	free(q);
}

int questions_fd(const struct questions *q)
{
	return q->listener;
}

/* What a file in /proc holds at most, of those that are edited. */
#define PROC_MAX 65536

/* A text as a file that criu can read. */
static int as_file(const char *text)
{
	auto_close int fd = memfd_create("edited", MFD_CLOEXEC);

	if (fd < 0 || write_all(fd, text, strlen(text)) ||
		lseek(fd, 0, SEEK_SET))
		return -1;
	return steal_fd(&fd);
}

/*
 * criu has to be told nothing of a filter that is ours: who is not privileged
 * may not read it, see PTRACE_SECCOMP_GET_FILTER in ptrace(2), and it is there
 * again when criu, which has it then, makes the process anew. Others' filters
 * are left for criu to see.
 */
static int edit_status(pid_t pid)
{
	static const char mode[] = "\nSeccomp:\t2",
			  ours[] = "\nSeccomp_filters:\t1\n";
	char path[32];
	auto_free char *text = NULL;
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	text = read_file_at(AT_FDCWD, path, PROC_MAX, NULL, NULL);
	at = text && strstr(text, ours) ? strstr(text, mode) : NULL;
	if (!at)
		return -1;
	at[sizeof(mode) - 2] = '0';
	return as_file(text);
}

bool questions_timer_text(const char *text, char *edited, size_t size)
{
	static const char off[] = "it_value: (0, 0)";
	const char *at = strstr(text, off);
	unsigned long long s, ns;

	if (!at ||
		sscanf(at + sizeof(off) - 1, " it_interval: (%llu, %llu)", &s,
			&ns) != 2 ||
		!(s | ns))
		return false;
	snprintf(edited, size, "%.*sit_value: (%llu, %llu)%s", (int)(at - text),
		text, s, ns, at + sizeof(off) - 1);
	return true;
}

/*
 * A timer that has expired is only armed anew when it is read; until then the
 * kernel shows no time that is left, and criu would restore one that is off.
 * criu gets the next whole interval. The expirations that nobody has read are
 * told beside it. See timerfd_create(2).
 */
static int edit_timer(pid_t pid, int fd)
{
	char path[48], edited[1024];
	auto_free char *text = NULL;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	text = read_file_at(AT_FDCWD, path, PROC_MAX, NULL, NULL);
	return text && questions_timer_text(text, edited, sizeof(edited))
		       ? as_file(edited)
		       : -1;
}

static bool is_timer(const struct proc_fd *f, void *arg)
{
	bool *found = arg;

	*found = !strcmp(f->target, "anon_inode:[timerfd]");
	return !*found;
}

bool questions_about_timers(pid_t root)
{
	struct int_list tree = proc_tree(root);
	bool found = false;

	for (size_t i = 0; i < tree.n && !found; i++)
		proc_fds(tree.v[i], is_timer, &found);
	free(tree.v);
	return found;
}

/* The directory that name is opened in. */
static bool read_question(const struct seccomp_notif *n, char *dir,
	size_t dir_size, char *name, size_t name_size)
{
	char link[64];
	struct iovec to = {name, name_size - 1};
	struct iovec from = {(void *)(uintptr_t)n->data.args[1], to.iov_len};
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)n->pid,
		(int)n->data.args[0]);
	len = readlink(link, dir, dir_size - 1);
	if (len < 0 || strncmp(dir, "/proc/", 6))
		return false;
	dir[len] = '\0';
	len = process_vm_readv((pid_t)n->pid, &to, 1, &from, 1, 0);
	if (len < 0)
		return false;
	name[len] = '\0';
	return true;
}

/* A descriptor for criu, or -1; *keep: it stays ours. */
static int find_answer(struct questions *q, const struct seccomp_notif *n,
	bool *keep, struct err *err)
{
	char dir[64], name[40];
	int pid, fd, at = 0;

	if (!read_question(n, dir, sizeof(dir), name, sizeof(name)) ||
		sscanf(dir, "/proc/%d%n", &pid, &at) != 1)
		return -1;
	*keep = !strcmp(dir + at, "/map_files");
	if (*keep)
		return mapfiles_open(q->mapfiles, pid, name, err);
	if (dir[at])
		return -1;
	if (q->unprivileged && !strcmp(name, "status"))
		return edit_status(pid);
	at = 0;
	if (sscanf(name, "fdinfo/%d%n", &fd, &at) == 1 && at && !name[at])
		return edit_timer(pid, fd);
	return -1;
}

/* An opening: criu gets a descriptor of ours for the kernel's. */
static void answer_opening(struct questions *q, const struct seccomp_notif *n,
	struct seccomp_notif_resp *answer, struct err *err)
{
	struct seccomp_notif_addfd add = {.id = n->id};
	bool keep = false;
	int fd = find_answer(q, n, &keep, err), theirs;

	if (fd < 0)
		return;
	add.srcfd = (uint32_t)fd;
	theirs = ioctl(q->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	if (theirs >= 0) {
		answer->flags = 0;
		answer->val = theirs;
	}
	if (!keep)
		close(fd);
}

/* A change of memory, which must have been read when it is made. */
static void answer_change(
	const struct questions *q, struct seccomp_notif_resp *answer)
{
	if (!q->calls->changing(q->calls->arg))
		return;
	answer->flags = 0;
	answer->error = -EIO;
}

void questions_answer(struct questions *q, struct err *err)
{
	struct seccomp_notif n = {0};
	struct seccomp_notif_resp answer = {
		.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	/* ENOENT: who has asked was killed meanwhile. */
	if (ioctl(q->listener, SECCOMP_IOCTL_NOTIF_RECV, &n))
		return;
	answer.id = n.id;
	if (n.data.nr == SYS_ptrace)
		answer_change(q, &answer);
	else
		answer_opening(q, &n, &answer, err);
	if (ioctl(q->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer))
		log_debug("criu has no answer: %s", strerror(errno));
}
