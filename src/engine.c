/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine.h"

#include <criu/criu.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "files.h"
#include "util.h"

int engine_find(const char *name, char *path, size_t size, struct err *err)
{
	auto_free char *dirs = NULL;
	const char *env = getenv("PATH");
	char *save = NULL;

	if (strchr(name, '/')) {
		snprintf(path, size, "%s", name);
		if (!access(path, X_OK))
			return 0;
		return err_set(err, errno, "criu program %s", name);
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
	return err_set(err, 0,
		"there is no program %s: install CRIU 4.1 or newer, or name "
		"it with [criu] binary",
		name);
}

#define LOG_MAX (64U << 20)

/* --- what criu's log says --- */

struct hint {
	const char *has, *say;
};

/* The first that fits is taken: the special before the general. */
static const struct hint hints[] = {
	{"Unexpected rt vDSO area bounds",
		"this criu is too old for this kernel: install CRIU 4.1 or "
		"newer"},
	{"io_uring",
		"CRIU cannot dump io_uring: turn it off in the program, for "
		"Node.js with UV_USE_IO_URING=0 under [environment]"},
	{"Connected TCP socket",
		"a network connection is open: close it, or keep both ends "
		"inside the command"},
	{"SO_PASSCRED",
		"this criu cannot dump TCP sockets on this kernel: install "
		"CRIU 4.2 or newer"},
	{"Can't get 1:16 opt", /* SOL_SOCKET, SO_PASSCRED */
		"this criu cannot dump TCP sockets on this kernel: install "
		"CRIU 4.2 or newer"},
	{"External socket is used",
		"a socket leads to a process outside the command: start that "
		"process inside the command"},
	{"Can't open mapfile link",
		"a deleted file is mapped, as multiprocessing semaphores are: "
		"this needs isolation = none with a criu that has "
		"cap_checkpoint_restore"},
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

void engine_explain(const char *log, const char *what, struct err *err)
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

/* What criu says before it has opened its log. */
static const char early_log[] = "criu.stderr";

/*
 * Logs lie in memory, where they can be: on a full disk they must still say
 * so, and a restore must not change the generation.
 */
static int log_dir(const struct engine *e, int images)
{
	return e->cache >= 0 ? e->cache : images;
}

static void explain_file(
	int dir, const char *name, const char *what, struct err *err)
{
	auto_free char *late = read_file_at(dir, name, LOG_MAX, NULL, NULL);
	auto_free char *early =
		read_file_at(dir, early_log, LOG_MAX, NULL, NULL);
	auto_free char *log =
		xasprintf("%s%s", early ? early : "", late ? late : "");
	size_t n;

	if (early && *early && !first_error(log, &n)) {
		n = strcspn(early, "\n");
		err_set(err, 0, "%s: criu: %.*s", what, (int)n, early);
		return;
	}
	engine_explain(log, what, err);
}

/*
 * criu and libcriu print to the standard streams, which are the command's:
 * from here on they lead to a file beside the log.
 */
static int redirect_streams(int dir, struct err *err)
{
	int fd = openat(dir, early_log,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		return err_set(err, errno, "open %s", early_log);
	close(fd);
	return 0;
}

/* --- talking to criu --- */

/*
 * Options that the libcriu at hand may have no function for go through a
 * configuration file, which lives in memory and reaches criu as a descriptor.
 */
static int write_options(const struct engine *e, bool stop, struct err *err)
{
	auto_free char *extra = xstrdup(e->extra ? e->extra : "");
	auto_free char *text = NULL;
	char path[64];
	int fd = memfd_create("criu.conf", 0);

	if (fd < 0)
		return err_set(err, errno, "memfd_create");
	for (char *p = extra; *p; p++)
		if (*p == ';')
			*p = '\n';
	text = xasprintf("%s%snetwork-lock skip\nskip-file-rwx-check\n"
			 "ghost-limit %llu\n%s\n",
		e->unprivileged ? "unprivileged\n" : "",
		stop ? "leave-stopped\n" : "",
		(unsigned long long)e->ghost_limit, extra);
	if (write_all(fd, text, strlen(text)))
		return err_set(err, errno, "write criu's options");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
#ifdef HAVE_CRIU_SET_CONFIG_FILE
	if (criu_set_config_file(path))
		return err_set(err, ENOMEM, "criu's options");
#else
	if (setenv("CRIU_CONFIG_FILE", path, 1))
		return err_set(err, errno, "criu's options");
#endif
	return 0;
}

/*
 * criu must take no configuration and no path from the user's environment,
 * and keeps its kernel cache where XDG_RUNTIME_DIR says.
 */
static void clean_environment(const struct engine *e)
{
	char path[64];

	clearenv();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	if (e->cache < 0)
		return;
	fcntl(e->cache, F_SETFD, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", e->cache);
	setenv("XDG_RUNTIME_DIR", path, 1);
}

/* criu puts its own descriptors above those of the tree: as far as it may. */
static void allow_many_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l))
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

static int prepare(const struct engine *e, int images, const char *log,
	bool stop, struct err *err)
{
	umask(077);
	allow_many_files();
	clean_environment(e);
	if (criu_init_opts())
		return err_set(err, ENOMEM, "criu_init_opts");
	if (criu_set_service_binary(e->criu) || criu_set_log_file(log))
		return err_set(err, ENOMEM, "criu options");
	fcntl(images, F_SETFD, 0);
	criu_set_images_dir_fd(images);
	/* The cache may be a mere O_PATH descriptor, which criu opens anew. */
	criu_set_work_dir_fd(log_dir(e, images));
	criu_set_log_level(e->verbose ? 4 : 2);
	criu_set_file_locks(true);
	criu_set_manage_cgroups(true);
	criu_set_manage_cgroups_mode(CRIU_CG_MODE_IGNORE);
	return write_options(e, stop, err);
}

/* libcriu's callback has no argument of its own. */
static struct {
	int (*frozen)(void *);
	void *arg;
} hook;

static int on_notify(char *action, criu_notify_arg_t na)
{
	(void)na;
	if (strcmp(action, "post-dump"))
		return 0;
	return hook.frozen(hook.arg) ? -1 : 0;
}

static int name_externals(const json_t *outside, struct err *err)
{
	const json_t *j;
	size_t i;

	json_array_foreach(outside, i, j)
	{
		const char *key = json_string_value(json_object_get(j, "key"));

		if (files_is_external(key) && criu_add_external(key))
			return err_set(err, ENOMEM, "external %s", key);
	}
	return 0;
}

int engine_dump(const struct engine *e, int images, pid_t root, bool stop,
	const json_t *outside, int (*frozen)(void *), void *arg,
	struct err *err)
{
	int ret;

	if (prepare(e, images, "dump.log", stop, err) ||
		name_externals(outside, err))
		return -1;
	hook.frozen = frozen;
	hook.arg = arg;
	if (redirect_streams(log_dir(e, images), err))
		return -1;
	criu_set_notify_cb(on_notify);
	criu_set_pid(root);
	criu_set_leave_running(!stop);
	ret = criu_dump();
	if (ret < 0)
		explain_file(
			log_dir(e, images), "dump.log", "the dump failed", err);
	return ret < 0 ? -1 : 0;
}

/* What criu gets by descriptor; open until it has been started. */
struct lent {
	int *fd;
	size_t n;
};

static int add_inherit(int fd, const char *key, void *arg)
{
	struct lent *l = arg;
	int *more = realloc(l->fd, (l->n + 1) * sizeof(*more));

	if (!more)
		return -1;
	l->fd = more;
	l->fd[l->n++] = fd;
	return criu_add_inherit_fd(fd, key);
}

static void take_back(struct lent *l)
{
	while (l->n > 0)
		close(l->fd[--l->n]);
	free(l->fd);
}

pid_t engine_restore(const struct engine *e, int images, const json_t *outside,
	struct err *err)
{
	struct lent lent = {0};
	int pid = -1;

	if (!prepare(e, images, "restore.log", false, err) &&
		!files_inherit(outside, add_inherit, &lent, err) &&
		!redirect_streams(log_dir(e, images), err)) {
		pid = criu_restore_child();
		if (pid <= 0)
			explain_file(log_dir(e, images), "restore.log",
				"the restore failed", err);
	}
	take_back(&lent);
	return pid > 0 ? pid : -1;
}
