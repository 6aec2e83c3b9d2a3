/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "util.h"

bool hooks_wanted(const struct config *cfg, enum hook_at at)
{
	return cfg->site_hook[at] || *cfg->hook[at];
}

/* --- the environment --- */

PRINTF(2, 3)
static void put(const char *name, const char *fmt, ...)
{
	auto_free char *full = xasprintf("CHECKPOINTER_%s", name);
	char value[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	setenv(full, value, 1);
}

static void put_all(const struct hook_facts *f)
{
	put("EVENT", "%s", config_hook_name[f->at]);
	put("CHAIN", "%s", f->chain);
	put("DIR", "%s", f->dir);
	put("STEP", "%u", f->step);
	put("LEG", "%u", f->leg);
	put("GENERATION", "%u", f->gen);
	put("LEAVING", "%s", f->leaving ? "yes" : "no");
	put("STATUS", "%d", f->status);
	put("REASON", "%s", f->reason);
	put("SECONDS", "%.3f", f->seconds);
	put("FROZEN", "%.3f", f->frozen);
	put("BYTES", "%llu", (unsigned long long)f->bytes);
	put("MEMORY", "%llu", (unsigned long long)f->memory);
}

/* --- one command --- */

/* Its output is none of the command's, which has ours. */
static _Noreturn void become(const char *command, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	if (getppid() == parent && null >= 0 && dup2(null, 0) == 0 &&
		dup2(2, 1) == 1)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(126);
}

/* Has it ended within so many seconds? If not, it has by now. */
static bool wait_for(pid_t pid, double seconds, int *status)
{
	struct pollfd p = {.events = POLLIN};
	bool ended;

	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	ended = p.fd >= 0 && poll(&p, 1, (int)(seconds * 1000)) > 0;
	release_fd(&p.fd);
	if (!ended) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return ended;
}

static int run(const char *command, const char *whose, enum hook_at at,
	double seconds, struct err *err)
{
	const char *name = config_hook_name[at];
	pid_t self = getpid(), pid = fork();
	int status = 0;
	char limit[32];

	if (pid == 0)
		become(command, self);
	if (pid < 0)
		return err_set(err, errno, "%s: fork", name);
	if (!wait_for(pid, seconds, &status))
		return err_set(err, 0,
			"[hooks] %s of %s was killed after %s: %s", name, whose,
			show_duration(seconds, limit), command);
	if (WIFSIGNALED(status))
		return err_set(err, 0, "[hooks] %s of %s died of SIG%s: %s",
			name, whose, signal_name(WTERMSIG(status)), command);
	if (WEXITSTATUS(status))
		return err_set(err, 0,
			"[hooks] %s of %s ended with status %d: %s", name,
			whose, WEXITSTATUS(status), command);
	return 0;
}

int hooks_run(const struct config *cfg, const struct hook_facts *f,
	double seconds, struct err *err)
{
	bool asks = f->at == HOOK_BEFORE_DUMP || f->at == HOOK_BEFORE_RESTORE;
	const char *site = cfg->site_hook[f->at], *own = cfg->hook[f->at];
	int ret = 0;

	put_all(f);
	if (site)
		ret = run(site, "the site", f->at, seconds, err);
	/* The first failure is the one that is told. */
	if (*own && !(ret && asks) &&
		run(own, "the user", f->at, seconds, ret ? NULL : err))
		ret = -1;
	return ret;
}
