/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "criu_log.h"
#include "files.h"
#include "hook.h"
#include "log.h"
#include "mapfiles.h"
#include "proc.h"
#include "questions.h"
#include "util.h"

int engine_find(const char *name, char *path, size_t size, struct err *err)
{
	auto_free char *dirs = NULL;
	const char *env = getenv("PATH");
	char *save = NULL;
	int e;

	if (strchr(name, '/')) {
		snprintf(path, size, "%s", name);
		if (!access(path, X_OK))
			return 0;
		e = errno;
		err_set(err, 0, "criu program %s: %s; " CRIU_WANTED, name,
			strerror(e));
		if (err)
			err->num = e;
		return -1;
	}
	/* On many systems /usr/sbin is not in a user's PATH. */
	dirs = xasprintf("%s:/usr/sbin:/sbin:/usr/local/sbin",
		env ? env : "/usr/bin:/bin");
	for (char *d = strtok_r(dirs, ":", &save); d;
		d = strtok_r(NULL, ":", &save)) {
		snprintf(path, size, "%s/%s", d, name);
		if (*d == '/' && !access(path, X_OK))
			return 0;
	}
	return err_set(
		err, 0, "there is no program %s in PATH; " CRIU_WANTED, name);
}

/* --- running criu --- */

/*
 * criu's service, and so libcriu, cannot stream images: it opens the image
 * directory without saying what for, and aborts (criu/cr-service.c). So criu
 * is run as a program.
 */
struct command {
	const struct engine *e;
	const json_t *outside;
	pid_t root; /* a dump; 0: a restore */
	bool stop;
	int ask; /* what criu asks goes here, see questions.h; -1: nowhere */
	bool ask_openings;
	char **argv;
	size_t n;
	struct int_list lent; /* descriptors for criu; ours until it runs */
};

static int add(struct command *c, const char *arg, struct err *err)
{
	char **more = realloc(c->argv, (c->n + 2) * sizeof(*more));

	if (!more)
		return err_set(err, ENOMEM, "criu's options");
	c->argv = more;
	c->argv[c->n++] = xstrdup(arg);
	c->argv[c->n] = NULL;
	return 0;
}

/* An option and its value. */
static int add_pair(struct command *c, const char *option, const char *value,
	struct err *err)
{
	return add(c, option, err) || add(c, value, err) ? -1 : 0;
}

/* What the user gives in [criu] extra, as a file in memory. */
static int add_extra(struct command *c, struct err *err)
{
	auto_free char *extra =
		xasprintf("%s\n", c->e->extra ? c->e->extra : "");
	char path[64];
	int fd = memfd_create("criu.conf", 0);

	if (fd < 0)
		return err_set(err, errno, "memfd_create");
	int_list_add(&c->lent, fd);
	for (char *p = extra; *p; p++)
		if (*p == ';')
			*p = '\n';
	if (write_all(fd, extra, strlen(extra)))
		return err_set(err, errno, "write criu's options");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return add_pair(c, "--config", path, err);
}

static int add_common(struct command *c, const char *log, struct err *err)
{
	char dir[64], limit[32];

	fcntl(c->e->work, F_SETFD, 0);
	snprintf(dir, sizeof(dir), "/proc/self/fd/%d", c->e->work);
	snprintf(limit, sizeof(limit), "%llu",
		(unsigned long long)c->e->ghost_limit);
	if (add(c, c->e->verbose ? "-v4" : "-v2", err) ||
		add_pair(c, "--images-dir", dir, err) ||
		add_pair(c, "--work-dir", dir, err) ||
		add_pair(c, "--log-file", log, err) ||
		add_pair(c, "--ghost-limit", limit, err) ||
		(c->e->tcp && add(c, "--tcp-established", err)) ||
		add_pair(c, "--network-lock", c->e->tcp ? "nftables" : "skip",
			err) ||
		add(c, "--manage-cgroups=ignore", err) ||
		add(c, "--stream", err) || add(c, "--file-locks", err) ||
		add(c, "--skip-file-rwx-check", err) ||
		(c->e->unprivileged && add(c, "--unprivileged", err)))
		return -1;
	return add_extra(c, err);
}

static int add_dump(struct command *c, struct err *err)
{
	char pid[16];
	const json_t *j;
	size_t i;

	snprintf(pid, sizeof(pid), "%d", (int)c->root);
	if (add_common(c, ENGINE_DUMP_LOG, err) ||
		add_pair(c, "--tree", pid, err) ||
		add(c, c->stop ? "--leave-stopped" : "--leave-running", err) ||
		add_pair(c, "--action-script", "./" HOOK_SCRIPT, err))
		return -1;
	json_array_foreach(c->outside, i, j)
	{
		const char *key = json_string_value(json_object_get(j, "key"));

		if (files_is_external(key) &&
			add_pair(c, "--external", key, err))
			return -1;
	}
	return 0;
}

static int add_inherit(int fd, const char *key, void *arg)
{
	auto_free char *text = xasprintf("fd[%d]:%s", fd, key);
	struct command *c = arg;

	int_list_add(&c->lent, fd);
	return add_pair(c, "--inherit-fd", text, NULL);
}

/* The restored root is to be a child of this process, as criu itself is. */
static const char pid_file[] = "root.pid";

static int add_restore(struct command *c, struct err *err)
{
	if (add_common(c, ENGINE_RESTORE_LOG, err) ||
		(c->stop && add(c, "--leave-stopped", err)) ||
		add(c, "--restore-detached", err) ||
		add(c, "--restore-sibling", err) ||
		add_pair(c, "--pidfile", pid_file, err) ||
		(c->e->tcp &&
			add_pair(c, "--action-script", "./" HOOK_SCRIPT, err)))
		return -1;
	return files_inherit(c->outside, add_inherit, c, err);
}

/* criu puts its own descriptors above those of the tree: as far as it may. */
static void set_limits(void)
{
	struct rlimit files, core;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/*
	 * When criu finds out what the kernel can do, a child of it dies of
	 * SIGSEGV; its core is of no use to anybody. What is restored gets its
	 * own limit back.
	 */
	if (!getrlimit(RLIMIT_CORE, &core)) {
		core.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &core);
	}
}

/* What criu prints before it has a log goes to a file beside that. */
static bool redirect_streams(int dir)
{
	int fd = openat(dir, CRIU_LOG_EARLY,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd >= 0 && dup2(fd, 1) >= 0 && dup2(fd, 2) >= 0;
}

static int build_command(struct command *c, struct err *err)
{
	if (add(c, c->e->criu, err) ||
		add(c, c->root ? "dump" : "restore", err) ||
		add(c, "--no-default-config", err))
		return -1;
	return c->root ? add_dump(c, err) : add_restore(c, err);
}

static void release_command(struct command *c)
{
	for (size_t i = 0; i < c->lent.n; i++)
		close(c->lent.v[i]);
	free(c->lent.v);
	for (size_t i = 0; i < c->n; i++)
		free(c->argv[i]);
	free(c->argv);
}

/*
 * What is restored has the filters of the criu that restores it. Where criu
 * is not privileged it has seen none at the dump, see questions.c.
 */
static bool inherits_filter(const struct command *c)
{
	return !c->root && c->e->deny_io_uring && c->e->unprivileged;
}

/*
 * In the child, returns only if it cannot. The parent has threads: another
 * one may have held a lock when this process was forked, so only what a
 * signal handler may do is done here; see fork(2).
 */
static void become_criu(const struct command *c, char *const env[])
{
	sigset_t none;

	umask(077);
	set_limits();
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	ignore_sent_signals();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* criu goes there as well, but runs scripts before that. */
	if (redirect_streams(c->e->work) && !fchdir(c->e->work) &&
		(!inherits_filter(c) || !questions_deny_io_uring()) &&
		(c->ask < 0 || !questions_ask(c->ask, c->ask_openings)))
		execve(c->e->criu, c->argv, env);
}

/*
 * criu must take no configuration and no path from the user's environment,
 * and keeps its kernel cache where XDG_RUNTIME_DIR says. It is to do without
 * hardware breakpoints: on some virtual machines they never come, and before
 * version 4.2 criu would wait for them for ever.
 */
static pid_t fork_criu(const struct command *c, int failure)
{
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", dir[64];
	/* FI_NO_BREAKPOINTS, see criu/include/fault-injection.h */
	char no_breakpoints[] = "CRIU_FAULT=130";
	char *const env[] = {path, dir, no_breakpoints, NULL};
	int why;
	pid_t pid;

	snprintf(dir, sizeof(dir), "XDG_RUNTIME_DIR=/proc/self/fd/%d",
		c->e->work);
	pid = fork();
	if (pid != 0)
		return pid;
	become_criu(c, env);
	why = errno;
	_exit(write(failure, &why, sizeof(why)) == sizeof(why) ? 127 : 126);
}

/* Returns criu's PID when it runs. */
static pid_t start_criu(struct command *c, struct err *err)
{
	int fds[2], why = 0;
	pid_t pid = -1;
	ssize_t n;

	if (!c->e->criu[0])
		return err_set(
			err, 0, "there is no criu program; " CRIU_WANTED);
	unlinkat(c->e->work, c->root ? ENGINE_DUMP_LOG : ENGINE_RESTORE_LOG, 0);
	unlinkat(c->e->work, CRIU_LOG_EARLY, 0);
	if (build_command(c, err)) {
		release_command(c);
		return -1;
	}
	if (pipe2(fds, O_CLOEXEC)) {
		release_command(c);
		return err_set(err, errno, "pipe");
	}
	pid = fork_criu(c, fds[1]);
	close(fds[1]);
	/* The write end closes at execve(2): nothing to read means success. */
	n = pid > 0 ? read(fds[0], &why, sizeof(why)) : -1;
	close(fds[0]);
	release_command(c);
	if (pid < 0)
		return err_set(err, errno, "fork");
	if (n != sizeof(why))
		return pid;
	waitpid(pid, NULL, 0);
	return err_set(err, why, "cannot run %s", c->e->criu);
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* --- a dump --- */

/* What a dump of criu's wants to know meanwhile. */
struct attendance {
	pid_t criu;
	struct hook hook;
	struct questions *questions; /* NULL: none */
	const struct engine_calls *calls;
	struct err why; /* of what could not be answered */
};

/* Until criu has ended; its status. */
static int attend(struct attendance *a, struct err *err)
{
	auto_close int end = (int)syscall(SYS_pidfd_open, a->criu, 0);
	struct pollfd fds[3] = {
		{.fd = a->hook.asked, .events = POLLIN},
		{.fd = end, .events = POLLIN},
		{.fd = a->questions ? questions_fd(a->questions) : -1,
			.events = POLLIN},
	};

	if (end < 0) {
		kill(a->criu, SIGKILL);
		wait_for(a->criu);
		return err_set(err, errno, "pidfd_open");
	}
	while (!fds[1].revents) {
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			break;
		if (fds[2].revents & POLLIN)
			questions_answer(a->questions, &a->why);
		else if (fds[2].revents)
			fds[2].fd = -1;
		if ((fds[0].revents & POLLIN) && hook_answer(&a->hook))
			fds[0].fd = -1;
	}
	return wait_for(a->criu);
}

/* What criu is answered in place of the kernel. */
static unsigned answered(const struct engine *e)
{
	return (e->unprivileged ? MAPFILES_NAMELESS : 0U) |
	       (e->carries_sysv ? MAPFILES_SYSV : 0U);
}

/* Its end for criu is in c->ask, and the other one returned; -1: not needed. */
static int make_questions(struct command *c, struct err *err)
{
	int sock[2];

	if (!c->e->filtered)
		return -1;
	c->ask_openings = (c->e->unprivileged && c->e->deny_io_uring) ||
			  mapfiles_needed(c->root, answered(c->e)) ||
			  questions_about_timers(c->root);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		return err_set(err, errno, "socketpair");
	c->ask = sock[1];
	return sock[0];
}

static pid_t start_dump(
	struct command *c, struct attendance *a, struct err *err)
{
	auto_close int questions = make_questions(c, err);

	a->criu = start_criu(c, err);
	release_fd(&c->ask);
	if (a->criu > 0 && questions >= 0) {
		a->questions = questions_new(questions, c->root, answered(c->e),
			c->e->ghost_limit, a->calls, &a->why);
		if (!a->questions)
			log_debug("%s", a->why.text);
	}
	return a->criu;
}

const unsigned char *engine_leavings(const struct engine *e)
{
#if defined(__aarch64__)
	static const unsigned char code[] = {
		0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x20, 0xd4};
#else
	static const unsigned char code[] = {
		0x0f, 0x05, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc};
#endif
	/* code_syscall[], see compel/arch/ARCH/src/lib/infect.c */
	return e->filtered ? NULL : code;
}

int engine_dump(const struct engine *e, pid_t root, bool stop,
	const json_t *outside, const struct engine_calls *calls, bool *killed,
	struct err *err)
{
	struct command c = {.e = e,
		.outside = outside,
		.root = root,
		.stop = stop,
		.ask = -1};
	struct attendance a = {.calls = calls,
		.hook = {-1, -1, .frozen = calls->frozen, .arg = calls->arg}};
	int status = -1;

	if (!hook_make(&a.hook, e->work, err) && start_dump(&c, &a, err) > 0) {
		status = attend(&a, err);
		*killed = status > 0 && WIFSIGNALED(status);
		if (status)
			criu_log_explain_file(e->work, ENGINE_DUMP_LOG, e->keep,
				"the dump failed", err);
		if (status && a.why.text[0])
			*err = a.why;
	}
	questions_free(a.questions);
	hook_end(&a.hook, e->work);
	return status ? -1 : 0;
}

/* --- a restore --- */

static pid_t restored_root(int dir, struct err *err)
{
	auto_free char *text = read_file_at(dir, pid_file, 32, NULL, err);
	long pid = text ? strtol(text, NULL, 10) : 0;

	if (text && pid <= 0)
		err_set(err, 0, "criu has not told the number of the process");
	return pid > 0 ? (pid_t)pid : -1;
}

pid_t engine_restore(const struct engine *e, bool stop, const json_t *outside,
	int (*reached)(void *, enum engine_point), void *arg, struct err *err)
{
	struct command c = {
		.e = e, .outside = outside, .stop = stop, .ask = -1};
	struct attendance a = {
		.hook = {-1, -1, .reached = reached, .arg = arg}};
	pid_t root = -1;

	unlinkat(e->work, pid_file, 0);
	if (!e->tcp || !hook_make(&a.hook, e->work, err))
		a.criu = start_criu(&c, err);
	if (a.criu > 0 && attend(&a, err))
		criu_log_explain_file(e->work, ENGINE_RESTORE_LOG, e->keep,
			"the restore failed", err);
	else if (a.criu > 0)
		root = restored_root(e->work, err);
	hook_end(&a.hook, e->work);
	unlinkat(e->work, pid_file, 0);
	return root;
}
