/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_submit.c - sbatch, with the options that a job of checkpointer wants */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cmd.h"
#include "local.h"
#include "log.h"
#include "slurm_options.h"
#include "util.h"

#define SCRIPT_MAX (64U << 20)

/* Slurm keeps the time of --signal in 16 bits. */
#define SIGNAL_MAX 65535.

/* So much too early, says sbatch(1), may the signal come. */
#define SIGNAL_EARLY 60.

const char cmd_submit_help[] =
	"Usage: checkpointer [OPTION]... submit [SBATCH-OPTION]... SCRIPT [ARG]...\n"
	"       checkpointer [OPTION]... submit [SBATCH-OPTION]... --wrap=COMMAND\n"
	"\n"
	"Run sbatch with the options that a job with checkpointer wants: --signal,\n"
	"as long before the end of --time as [checkpoint] margin says, and, with\n"
	"[slurm] method = requeue, --requeue and --open-mode=append. Whatever is given\n"
	"on the line, as #SBATCH in SCRIPT or in SBATCH_* variables stays as it is.\n"
	"\n"
	"OPTIONs, in front of `submit', are those of checkpointer, and hold in the\n"
	"job, too; -v shows the line. See checkpointer(1), and sbatch(1) for\n"
	"SBATCH-OPTIONs.\n"
	"\n"
	"Example:\n"
	"  checkpointer -m 10m submit --time=1:00:00 job.sh\n";

struct submit {
	const struct config *cfg;
	struct slurm_options *options;
	char *added[4]; /* ended by NULL */
	size_t n;
};

/* --- the script --- */

/* Where sbatch looks: here, then in PATH. NULL with errno. */
static char *find_script(const char *name)
{
	auto_free char *list = xstrdup(getenv("PATH") ? getenv("PATH") : "");
	char *found = realpath(name, NULL), *rest;
	int e = errno;

	for (char *dir = strchr(name, '/') ? NULL : strtok_r(list, ":", &rest);
		dir && !found; dir = strtok_r(NULL, ":", &rest)) {
		auto_free char *path = xasprintf("%s/%s", dir, name);

		found = realpath(path, NULL);
	}
	errno = e;
	return found;
}

static int read_script(struct slurm_options *o, const char *name)
{
	auto_free char *path = find_script(name);
	auto_free char *text = NULL;
	struct err err;

	if (!path) {
		log_error(
			"cannot read the script %s: %s", name, strerror(errno));
		return EX_NOINPUT;
	}
	text = read_file_at(AT_FDCWD, path, SCRIPT_MAX, NULL, &err);
	if (!text) {
		log_error("cannot read the script: %s", err.text);
		return EX_NOINPUT;
	}
	slurm_options_add_script(o, text);
	return 0;
}

/* In the order of their precedence, but the script's name comes last. */
static int read_options(struct slurm_options *o, char *const *args)
{
	struct slurm_options *line = slurm_options_new();
	const char *script = *slurm_options_add_words(line, args);
	bool wrap = slurm_option(line, "wrap") != NULL;
	int ret = 0;

	slurm_options_free(line);
	if (!script && !wrap) {
		log_error("submit takes a batch script: checkpointer submit "
			  "[SBATCH-OPTION]... SCRIPT [ARG]...");
		return EX_USAGE;
	}
	if (!wrap)
		ret = read_script(o, script);
	slurm_options_add_env(o, environ);
	(void)slurm_options_add_words(o, args);
	return ret;
}

/* --- the options --- */

static bool is_given(const struct submit *s, const char *name)
{
	return slurm_option(s->options, name) != NULL;
}

/* Takes the text over. */
static void add(struct submit *s, char *option)
{
	s->added[s->n++] = option;
}

/* Seconds; 0: it is not known, as the partition has a default. */
static double time_limit(const struct submit *s)
{
	const char *text = slurm_option(s->options, "time");
	double seconds;

	if (!text || parse_duration(text, &seconds, NULL))
		return 0;
	/* A number alone is minutes there. */
	return text[strspn(text, "0123456789")] ? seconds : seconds * 60;
}

/* USR1, where it is one of them. 0: there is none. */
static int checkpoint_signal(const sigset_t *set)
{
	if (sigismember(set, SIGUSR1) == 1)
		return SIGUSR1;
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigismember(set, sig) == 1)
			return sig;
	return 0;
}

static int add_signal(struct submit *s)
{
	double limit = time_limit(s);
	double margin = ceil(config_margin(s->cfg, limit));
	int sig = checkpoint_signal(&s->cfg->checkpoint);
	char a[32], b[32];

	if (limit > 0 && limit <= margin) {
		log_error("the margin of %s leaves nothing of the %s of "
			  "--time: give a longer time, or a shorter margin as "
			  "in: checkpointer --margin=1m submit",
			show_duration(margin, a), show_duration(limit, b));
		return EX_USAGE;
	}
	if (limit > 0 && limit <= margin + SIGNAL_EARLY) {
		log_info("no --signal with a time limit of %s: it may come a "
			 "minute early, and then as soon as the job begins; "
			 "the job's own timer does without",
			show_duration(limit, a));
		return 0;
	}
	if (!sig || margin < 1)
		return 0;
	/* The partition may have a short one, with another margin. */
	if (!is_given(s, "time") && config_margin(s->cfg, 60) < margin)
		return 0;
	margin = margin < SIGNAL_MAX ? margin : SIGNAL_MAX;
	/* Slurm does not know all names, but all numbers. */
	if (sig == SIGUSR1 || sig == SIGUSR2)
		add(s, xasprintf(
			       "--signal=B:%s@%.0f", signal_name(sig), margin));
	else
		add(s, xasprintf("--signal=B:%d@%.0f", sig, margin));
	return 0;
}

static int add_options(struct submit *s)
{
	bool requeue = s->cfg->method == METHOD_REQUEUE;
	int ret = is_given(s, "signal") ? 0 : add_signal(s);

	if (requeue && !is_given(s, "requeue") && !is_given(s, "no-requeue"))
		add(s, xstrdup("--requeue"));
	if (requeue && !is_given(s, "open-mode"))
		add(s, xstrdup("--open-mode=append"));
	return ret;
}

/* --- sbatch --- */

static void tell(char *const *argv)
{
	auto_free char *line = xstrdup("");

	for (; *argv; argv++) {
		auto_free char *before = line;

		line = xasprintf("%s %s", before, *argv);
	}
	mask_control(line);
	log_debug("run:%s", line);
}

static int become_sbatch(const struct submit *s, char *const *args)
{
	static char name[] = "sbatch";
	auto_free char **argv = NULL;
	size_t n = 0;

	while (args[n])
		n++;
	argv = xcalloc(n + s->n + 2, sizeof(*argv));
	argv[0] = name;
	memcpy(argv + 1, s->added, s->n * sizeof(*argv));
	memcpy(argv + 1 + s->n, args, n * sizeof(*argv));
	tell(argv);
	execvp(argv[0], argv);
	log_error("cannot run sbatch: %s%s", strerror(errno),
		errno == ENOENT ? " (without Slurm a script is run with: "
				  "checkpointer batch SCRIPT)"
				: "");
	return errno == ENOENT ? 127 : 126;
}

static int submit(struct submit *s, const struct invocation *in)
{
	int ret = read_options(s->options, in->args);

	if (!ret)
		ret = add_options(s);
	if (ret)
		return ret;
	if (config_export((const char *const *)in->sets, in->n_sets) ||
		(in->chain && setenv(LOCAL_CHAIN, in->chain, 1))) {
		log_error("cannot set the environment: %s", strerror(errno));
		return EX_OSERR;
	}
	return become_sbatch(s, in->args);
}

int cmd_submit(struct invocation *in)
{
	struct submit s = {
		.cfg = &in->cfg,
		.options = slurm_options_new(),
	};
	int ret = submit(&s, in);

	for (size_t i = 0; i < s.n; i++)
		free(s.added[i]);
	slurm_options_free(s.options);
	return ret;
}
