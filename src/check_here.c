/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check_here.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "capsule.h"
#include "check_rules.h"
#include "engine.h"
#include "log.h"
#include "look.h"
#include "scratch.h"
#include "shell.h"
#include "util.h"

/* A number in a file of /proc, or -1. */
static long number_in(const char *path)
{
	auto_file FILE *f = fopen(path, "re");
	long n;

	return f && fscanf(f, "%ld", &n) == 1 ? n : -1;
}

/* What work() returns, in a child of its own; 0 to 255. */
static int in_child(int (*work)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(work(arg));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
}

/* --- isolation --- */

struct capsule_trial {
	struct err err;
	char note[256];
	bool made;
};

/* In the new namespaces; what comes of it goes into the pipe. */
_Noreturn static void enter(
	const struct config *cfg, const struct capsule_plan *plan, int to)
{
	struct capsule_trial t = {0};
	struct capsule c;

	t.made = !capsule_enter(&c, cfg, plan, "/", &t.err);
	snprintf(t.note, sizeof(t.note), "%s", c.private.note);
	_exit(write_all(to, &t, sizeof(t)) != 0);
}

static void try_capsule(const struct config *cfg, struct capsule_trial *t)
{
	struct capsule_plan plan = {.isolation = ISOLATION_USER,
		.uid = geteuid(),
		.gid = getegid(),
		.checkpoints = -1,
		.criu = ""};
	struct scratch scratch = {0};
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		err_set(&t->err, errno, "pipe");
		return;
	}
	plan.scratch = scratch_make(&scratch, cfg->scratch);
	pid = capsule_fork(ISOLATION_USER);
	if (pid == 0)
		enter(cfg, &plan, fds[1]);
	if (pid < 0)
		err_set(&t->err, errno, "make namespaces");
	close(fds[1]);
	if (pid > 0 && read(fds[0], t, sizeof(*t)) != sizeof(*t))
		err_set(&t->err, 0, "it was killed while being made");
	close(fds[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	scratch_remove(&scratch);
}

void check_isolation(struct findings *f, void *arg)
{
	const struct check *c = arg;
	struct capsule_trial t = {0};
	struct isolation_facts i = {
		.wanted = c->cfg->isolation,
		.by_root = geteuid() == 0,
		.kernel_has = !access("/proc/self/ns/user", F_OK),
		.max = number_in("/proc/sys/user/max_user_namespaces"),
		.clone =
			number_in("/proc/sys/kernel/unprivileged_userns_clone"),
		.apparmor = number_in("/proc/sys/kernel/"
				      "apparmor_restrict_unprivileged_userns"),
	};
	bool capsule = i.wanted != ISOLATION_NONE;

	if (capsule)
		try_capsule(c->cfg, &t);
	i.failure = capsule && !t.made ? t.err.text : NULL;
	i.num = t.err.num;
	i.note = t.note;
	rule_isolation(f, &i);
	finding_set(f, "isolation",
		json_string(capsule && (t.made || i.wanted == ISOLATION_USER)
				    ? "user"
				    : "none"));
}

bool check_chose_capsule(const struct findings *f)
{
	const char *last = NULL, *is;
	const json_t *j;
	size_t i;

	json_array_foreach(f->list, i, j)
	{
		is = json_string_value(json_object_get(j, "isolation"));
		last = is ? is : last;
	}
	return last && !strcmp(last, "user");
}

/* --- the kernel --- */

static int seize(void *arg)
{
	struct err err = {0};

	return shell_seize(*(const pid_t *)arg, &err) ? err.num : 0;
}

/* As a guard does with the shell, which is its parent's parent. */
static int seize_parent(void *arg)
{
	pid_t self = getpid();

	(void)arg;
	return in_child(seize, &self);
}

void check_kernel(struct findings *f, void *arg)
{
	const struct check *c = arg;

	rule_ptrace(f, in_child(seize_parent, NULL),
		number_in("/proc/sys/kernel/yama/ptrace_scope"));
	rule_pid_max(f, number_in("/proc/sys/kernel/pid_max"), c->in_capsule);
}

/* --- programs --- */

static void check_caps(struct findings *f, const char *path, bool in_capsule)
{
	struct criu_facts facts = {.path = path,
		.by_root = geteuid() == 0,
		.in_capsule = in_capsule};
	unsigned char attribute[64];
	ssize_t n = getxattr(
		path, "security.capability", attribute, sizeof(attribute));
	struct stat st;

	facts.setuid_root = !stat(path, &st) && (st.st_mode & S_ISUID) &&
			    st.st_uid == 0 && !facts.by_root;
	caps_of_file(attribute, n > 0 ? (size_t)n : 0, &facts.caps,
		&facts.effective);
	rule_criu_caps(f, &facts);
}

static void check_version(struct findings *f, const char *path, bool in_capsule)
{
	struct err err;
	int criu = look_criu_version(path, &err), kernel;

	if (criu < 0) {
		finding_add(f, FINDING_PROBLEM, "criu", NULL, "%s", err.text);
		return;
	}
	kernel = look_kernel_version();
	if (look_criu_fits(criu, kernel, geteuid() == 0, in_capsule, &err)) {
		finding_add(f, FINDING_PROBLEM, "criu", NULL, "%s", err.text);
		return;
	}
	finding_ok(f, "criu", "%s, version %d.%d, fits Linux %d.%d", path,
		criu / 100, criu % 100, kernel / 100, kernel % 100);
	if (criu < 402 && kernel >= 616)
		finding_add(f, FINDING_WARNING, "criu",
			"install CRIU 4.2 or newer, if your commands use the "
			"network",
			"criu %d.%d cannot dump TCP sockets, not even "
			"listening ones, on Linux %d.%d",
			criu / 100, criu % 100, kernel / 100, kernel % 100);
}

/* The first line of what `tar --version' prints. */
static bool has_gnu_tar(void)
{
	auto_file FILE *p = NULL;
	char line[128] = "";
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return false;
	pid = fork();
	if (pid == 0) {
		if (dup2(fds[1], 1) >= 0)
			execlp("tar", "tar", "--version", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	p = fdopen(fds[0], "r");
	if (!p)
		close(fds[0]);
	else if (!fgets(line, sizeof(line), p))
		line[0] = '\0';
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return strstr(line, "GNU tar");
}

void check_criu(struct findings *f, void *arg)
{
	const struct check *c = arg;
	char path[4096];
	struct err err;

	if (engine_find(c->cfg->criu, path, sizeof(path), &err)) {
		finding_add(f, FINDING_PROBLEM, "criu",
			"install CRIU 4.1 or newer (apt install criu), or name "
			"it with [criu] binary",
			"there is no program %s", c->cfg->criu);
	} else {
		check_version(f, path, c->in_capsule);
		check_caps(f, path, c->in_capsule);
	}
	if (!c->in_capsule)
		return;
	if (has_gnu_tar())
		finding_ok(f, "tar", "GNU tar is there");
	else
		finding_add(f, FINDING_PROBLEM, "tar", "install GNU tar",
			"private directories cannot be carried: there is no "
			"GNU tar in PATH");
}

/* --- private files --- */

void check_scratch(struct findings *f, void *arg)
{
	const struct check *c = arg;
	struct scratch s = {0};
	const char *path;
	struct statvfs fs;
	char room[32];
	uint64_t left;

	if (!c->in_capsule)
		return;
	path = scratch_make(&s, c->cfg->scratch);
	if (!path) {
		finding_ok(f, "scratch",
			"private files of the command (/tmp) lie in memory");
		return;
	}
	left = statvfs(path, &fs) ? 0 : (uint64_t)fs.f_bavail * fs.f_frsize;
	show_size(left, room);
	if (left < UINT64_C(1) << 30)
		finding_add(f, FINDING_WARNING, "scratch",
			"free some, or name another one with [capsule] scratch",
			"private files of the command (/tmp) lie below %.*s, "
			"where only %s are left",
			(int)(strrchr(path, '/') - path), path, room);
	else
		finding_ok(f, "scratch",
			"private files of the command (/tmp) lie below %.*s, "
			"where %s are left",
			(int)(strrchr(path, '/') - path), path, room);
	scratch_remove(&s);
}
