/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "criu_log.h"

#include <string.h>

#include "log.h"
#include "util.h"

#define LOG_MAX  (64U << 20)
#define KEPT_MAX (1U << 20)

/* --- what criu's log says --- */

struct hint {
	const char *has, *say;
};

/* The first that fits is taken: the special before the general. */
static const struct hint hints[] = {
	{"Unexpected rt vDSO area bounds",
		"this criu is too old for this kernel: install CRIU 4.1 or "
		"newer"},
	{"seccomp",
		"a process has a seccomp filter of its own, which CRIU may "
		"only read with privileges: turn the program's sandbox off"},
	{"Can't dump that handle",
		"a file or directory is watched with inotify: turn that off, "
		"as in tail ---disable-inotify"},
	{"io_uring", "CRIU cannot dump an io_uring: put io_uring = deny under "
		     "[capsule]"},
	{"send_fds failed",
		"a process has a descriptor that may not be handed on, as an "
		"io_uring may not: put io_uring = deny under [capsule]"},
	{"In-flight connection",
		"a TCP connection waits to be accepted by the program"},
	{"Connected TCP socket",
		"a network connection is open: close it, or put network = "
		"private under [capsule]"},
	{"Failed to lock TCP connection",
		"the kernel gives no nftables to a network namespace of ours: "
		"put network = host under [capsule]"},
	{"SO_PASSCRED",
		"this criu cannot dump TCP sockets on this kernel: install "
		"CRIU 4.2 or newer"},
	{"Can't get 1:16 opt", /* SOL_SOCKET, SO_PASSCRED */
		"this criu cannot dump TCP sockets on this kernel: install "
		"CRIU 4.2 or newer"},
	{"Unable to set a pipe size",
		"all pipes of this user on this machine hold more than "
		"fs.pipe-user-pages-soft allows, as when many commands are "
		"dumped at once: a later try may work"},
	{"External socket is used",
		"a socket leads to a process outside the command: start that "
		"process inside the command"},
	{"Can't open mapfile link",
		"a deleted file is mapped, as multiprocessing semaphores are: "
		"this needs isolation = none with a criu that has "
		"cap_checkpoint_restore"},
	{"doesn't live in IPC ns",
		"System V shared memory is attached: this needs isolation = "
		"user; if that is so, it has only just been attached"},
	{"dangling tty",
		"a terminal is open whose other end is outside the command"},
	{"Can't dump ghost file",
		"a deleted file is open that is larger than [criu] "
		"ghost_limit"},
	{"No space left on device",
		"the checkpoint directory is full: free some space, or name "
		"another one with [checkpoint] dir"},
	{"Disk quota exceeded",
		"your quota is used up: free some space, or name another "
		"directory with [checkpoint] dir"},
	{"has bad size", "a file has changed since the checkpoint was made"},
	{"has bad build-ID",
		"a program or library has changed since the checkpoint was "
		"made"},
	{"Can't open file", "a file that the command had open is missing here"},
	{"File exists",
		"a process number of the command is in use on this node"},
	{"Can't seize",
		"ptrace is not allowed here: see kernel.yama.ptrace_scope"},
	{"Can't infect", "the process cannot be controlled"},
	{"Unable to connect a transport socket",
		"a process has confined itself (Landlock), as xz does between "
		"two pipes: give it files"},
	{"Operation not permitted",
		"criu lacks a privilege: where user namespaces are closed it "
		"needs cap_checkpoint_restore as a file capability"},
};

/* Said in every log of an unprivileged criu, and harmless. */
static const char *const harmless[] = {
	"Can't setup RLIMIT_NOFILE",
	"net: Unexpected error: -1(Operation not permitted)",
	"Dumping FAILED",
	"Restoring FAILED",
};

static bool is_harmless(const char *line, size_t n)
{
	for (size_t i = 0; i < LEN(harmless); i++)
		if (memmem(line, n, harmless[i], strlen(harmless[i])))
			return true;
	return false;
}

/* The first error line that says something; *n is its length. */
static const char *first_error(const char *log, size_t *n)
{
	for (const char *p = log; *p; p += strcspn(p, "\n") + 1) {
		const char *text;

		*n = strcspn(p, "\n");
		if (memmem(p, *n, "Error (", 7) && !is_harmless(p, *n)) {
			text = memmem(p, *n, "): ", 3);
			text = text ? text + 3 : p;
			*n -= (size_t)(text - p);
			return text;
		}
		if (!p[*n])
			break;
	}
	return NULL;
}

void criu_log_explain(const char *log, const char *what, struct err *err)
{
	size_t n = 0;
	const char *line = first_error(log, &n);

	if (!line) {
		err_set(err, 0, "%s (criu gave no reason)", what);
		return;
	}
	for (size_t i = 0; i < LEN(hints); i++)
		if (memmem(line, n, hints[i].has, strlen(hints[i].has))) {
			err_set(err, 0, "%s: %s (criu: %.*s)", what,
				hints[i].say, (int)n, line);
			return;
		}
	err_set(err, 0, "%s: criu: %.*s", what, (int)n, line);
}

/* The end of it, if it is long: there it says why. */
static int keep_log(int dir, const char *name, const char *log)
{
	size_t n = strlen(log), most = n < KEPT_MAX ? n : KEPT_MAX;
	struct err err;

	if (!write_file_at(dir, name, log + n - most, most, &err))
		return 0;
	log_debug("criu's log is not kept: %s", err.text);
	return -1;
}

/* If there is room for that behind the reason. */
static void name_log(int dir, const char *name, struct err *err)
{
	auto_free char *link = xasprintf("/proc/self/fd/%d", dir);
	size_t at = strlen(err->text);
	char path[256];
	ssize_t n = readlink(link, path, sizeof(path));

	if (n > 0 && (size_t)n < sizeof(path) &&
		at + (size_t)n + strlen(name) + 20 < sizeof(err->text))
		snprintf(err->text + at, sizeof(err->text) - at,
			"; criu's log: %.*s/%s", (int)n, path, name);
}

/* What criu said before it had a log, and in it; owned. */
static char *read_log(int dir, const char *name, const char *early)
{
	auto_free char *late = read_file_at(dir, name, LOG_MAX, NULL, NULL);

	return xasprintf("%s%s", early ? early : "", late ? late : "");
}

void criu_log_keep(int dir, const char *name, int keep, const char *as)
{
	auto_free char *early =
		read_file_at(dir, CRIU_LOG_EARLY, LOG_MAX, NULL, NULL);
	auto_free char *log = read_log(dir, name, early);

	if (*log)
		keep_log(keep, as, log);
}

void criu_log_explain_file(
	int dir, const char *name, int keep, const char *what, struct err *err)
{
	auto_free char *early =
		read_file_at(dir, CRIU_LOG_EARLY, LOG_MAX, NULL, NULL);
	auto_free char *log = read_log(dir, name, early);
	size_t n;

	if (early && *early && !first_error(log, &n)) {
		n = strcspn(early, "\n");
		err_set(err, 0, "%s: criu: %.*s", what, (int)n, early);
	} else {
		criu_log_explain(log, what, err);
	}
	if (keep >= 0 && *log && !keep_log(keep, name, log))
		name_log(keep, name, err);
}
