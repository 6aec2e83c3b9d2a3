/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cmd.h"
#include "log.h"
#include "sched.h"
#include "util.h"

static const char usage_text[] =
	"Usage: checkpointer [OPTION]... -- PROGRAM [ARG]...\n"
	"       checkpointer [OPTION]...\n"
	"       checkpointer [OPTION]... COMMAND [ARG]...\n"
	"\n"
	"Run PROGRAM so that it outlives the time limit of its job: when little\n"
	"time is left it is dumped, and continued in the next job. With nothing\n"
	"behind the options, as a line of a batch script: the same for the whole\n"
	"script. COMMAND is one of those below.\n"
	"\n"
	"  -t, --time-limit=TIME  without Slurm: length of a leg\n"
	"  -m, --margin=TIME      how long before the end the last dump starts\n"
	"  -i, --interval=TIME    a checkpoint every TIME, or auto, while PROGRAM runs\n"
	"  -c, --chain=NAME       name of the chain (default: from the job)\n"
	"  -d, --dir=DIR          where checkpoints are kept\n"
	"      --isolation=KIND   auto, user or none\n"
	"  -s, --set=KEY=VALUE    set a configuration key, as section.key=value\n"
	"  -v, --verbose          tell more\n"
	"  -q, --quiet            tell only what went wrong\n"
	"  -h, --help             print this; behind COMMAND: what that does\n"
	"  -V, --version          print the version\n"
	"\n"
	"TIME takes s, m, h and d: 90, 10m, 1h30m.\n"
	"\n"
	"Commands:\n";

static const char usage_end[] =
	"\n"
	"Example:\n"
	"  checkpointer -t 1h -m 10m -c fit -- Rscript fit.R >fit.out\n"
	"\n"
	"See checkpointer(1) and checkpointer.ini(5).\n";

enum {
	OPT_ISOLATION = 256,
	OPT_STEP,
	OPT_JSON,
	OPT_OLDER_THAN,
	OPT_STATE,
	OPT_DRY_RUN,
	OPT_FOR,
	OPT_PROVE,
	OPT_WATCH,
	OPT_LEAVE,
	OPT_NO_WAIT,
	OPT_TIMELINE,
	OPT_HTML
};

static const struct option options[] = {
	{"time-limit", required_argument, NULL, 't'},
	{"margin", required_argument, NULL, 'm'},
	{"interval", required_argument, NULL, 'i'},
	{"chain", required_argument, NULL, 'c'},
	{"dir", required_argument, NULL, 'd'},
	{"isolation", required_argument, NULL, OPT_ISOLATION},
	{"set", required_argument, NULL, 's'},
	{"verbose", no_argument, NULL, 'v'},
	{"quiet", no_argument, NULL, 'q'},
	{"step", required_argument, NULL, OPT_STEP},
	{"json", no_argument, NULL, OPT_JSON},
	{"older-than", required_argument, NULL, OPT_OLDER_THAN},
	{"state", required_argument, NULL, OPT_STATE},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"for", required_argument, NULL, OPT_FOR},
	{"prove", no_argument, NULL, OPT_PROVE},
	{"watch", no_argument, NULL, OPT_WATCH},
	{"leave", no_argument, NULL, OPT_LEAVE},
	{"no-wait", no_argument, NULL, OPT_NO_WAIT},
	{"timeline", no_argument, NULL, OPT_TIMELINE},
	{"html", optional_argument, NULL, OPT_HTML},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

typedef int command_fn(struct invocation *);

static const struct command {
	const char *name;
	const char *summary; /* its line of the help of all */
	command_fn *run;
	const char *help; /* of its own */
	enum {
		PLAIN,
		LOADS_CONFIG,     /* so main() need not, and must not */
		PASSES_ARGUMENTS, /* what follows its first word is not ours */
		PASSES_OPTIONS    /* nothing that follows its name is */
	} kind;
} commands[] = {
	{"batch", "run a batch script, leg after leg, as Slurm would",
		cmd_batch, cmd_batch_help, PASSES_ARGUMENTS},
	{"submit", "sbatch, with the options that such a job wants", cmd_submit,
		cmd_submit_help, PASSES_OPTIONS},
	{"restore", "continue a chain that was stopped or has died",
		cmd_restore, cmd_restore_help, PLAIN},
	{"status", "what is going on now, and how far it is", cmd_status,
		cmd_status_help, PLAIN},
	{"dump", "ask for a checkpoint now", cmd_dump, cmd_dump_help, PLAIN},
	{"report", "what has become of a chain, leg by leg", cmd_report,
		cmd_report_help, PLAIN},
	{"list", "all chains, or the checkpoints of one", cmd_list,
		cmd_list_help, PLAIN},
	{"verify", "read checkpoints and check them", cmd_verify,
		cmd_verify_help, PLAIN},
	{"export", "write a checkpoint as plain images of criu", cmd_export,
		cmd_export_help, PLAIN},
	{"purge", "remove chains by name, age and state", cmd_purge,
		cmd_purge_help, PLAIN},
	{"check", "do checkpoints work here? if not, what to do", cmd_check,
		cmd_check_help, LOADS_CONFIG},
	{"config", "the settings in effect, and where each is from", cmd_config,
		cmd_config_help, PLAIN},
};

/* Options that only some commands have. */
static const struct {
	int opt;
	command_fn *run;
} own_options[] = {
	{OPT_JSON, cmd_report},
	{OPT_TIMELINE, cmd_report},
	{OPT_HTML, cmd_report},
	{OPT_JSON, cmd_list},
	{OPT_JSON, cmd_status},
	{OPT_WATCH, cmd_status},
	{OPT_LEAVE, cmd_dump},
	{OPT_NO_WAIT, cmd_dump},
	{OPT_JSON, cmd_verify},
	{OPT_JSON, cmd_purge},
	{OPT_JSON, cmd_config},
	{OPT_STEP, cmd_verify},
	{OPT_STEP, cmd_export},
	{OPT_OLDER_THAN, cmd_purge},
	{OPT_STATE, cmd_purge},
	{OPT_DRY_RUN, cmd_purge},
	{OPT_JSON, cmd_check},
	{OPT_FOR, cmd_check},
	{OPT_PROVE, cmd_check},
};

/* Options that are short for --set. */
static const struct {
	int opt;
	const char *key;
} short_for[] = {
	{'t', "local.time_limit"},
	{'m', "checkpoint.margin"},
	{'i', "checkpoint.interval"},
	{'d', "checkpoint.dir"},
	{OPT_ISOLATION, "capsule.isolation"},
};

struct settings {
	char *set[64];
	size_t n;
	const struct command *command; /* NULL: not known yet, or none */
};

static int add_setting(struct settings *s, const char *key, const char *value)
{
	if (s->n == LEN(s->set)) {
		log_error("more than %zu settings on the command line",
			LEN(s->set));
		return EX_USAGE;
	}
	s->set[s->n++] = key ? xasprintf("%s=%s", key, value) : xstrdup(value);
	return 0;
}

static const char *long_name(int opt)
{
	size_t i = 0;

	while (options[i].name && options[i].val != opt)
		i++;
	return options[i].name;
}

static int missing_value(void)
{
	const char *name = long_name(optopt);

	log_error("option --%s needs a value, as in --%s=VALUE (see "
		  "checkpointer --help)",
		name, name);
	return EX_USAGE;
}

static int unknown_option(const char *word)
{
	const char *names[LEN(options) - 1];
	auto_free char *name = xstrdup(word);
	const char *near;

	/* Of several letters behind one dash it is the last that was read. */
	if (strncmp(word, "--", 2) != 0) {
		log_error(
			"unknown option -%c (see checkpointer --help)", optopt);
		return EX_USAGE;
	}
	for (size_t i = 0; i < LEN(names); i++)
		names[i] = options[i].name;
	name[strcspn(name, "=")] = '\0';
	if (optopt) {
		log_error("option %s takes no value", name);
		return EX_USAGE;
	}
	near = did_you_mean(name + 2, names, LEN(names));
	if (near)
		log_error("unknown option %s (did you mean --%s?)", name, near);
	else
		log_error("unknown option %s (see checkpointer --help)", name);
	return EX_USAGE;
}

/* Of `-- COMMAND' and the bare form there is none. */
static const struct command *find_by_run(command_fn *run)
{
	for (size_t i = 0; i < LEN(commands); i++)
		if (commands[i].run == run)
			return &commands[i];
	return NULL;
}

static bool has_own(command_fn *command, int opt)
{
	for (size_t i = 0; i < LEN(own_options); i++)
		if (own_options[i].run == command && own_options[i].opt == opt)
			return true;
	return false;
}

static int misplaced_option(int opt)
{
	auto_free char *of = xstrdup("");

	for (size_t i = 0; i < LEN(commands); i++) {
		auto_free char *before = of;

		of = has_own(commands[i].run, opt)
			     ? xasprintf("%s%s`%s'", before,
				       *before ? " and " : "", commands[i].name)
			     : xstrdup(before);
	}
	log_error("--%s is an option of %s, and stands behind that word",
		long_name(opt), of);
	return EX_USAGE;
}

static int set_own_option(
	int opt, struct invocation *in, const struct command *c)
{
	if (!c || !has_own(c->run, opt))
		return misplaced_option(opt);
	switch (opt) {
	case OPT_STEP:
		in->step = optarg;
		break;
	case OPT_OLDER_THAN:
		in->older_than = optarg;
		break;
	case OPT_STATE:
		in->state = optarg;
		break;
	case OPT_FOR:
		in->watch_for = optarg;
		break;
	case OPT_JSON:
		in->json = true;
		break;
	case OPT_PROVE:
		in->prove = true;
		break;
	case OPT_WATCH:
		in->watch = true;
		break;
	case OPT_LEAVE:
		in->leave = true;
		break;
	case OPT_NO_WAIT:
		in->no_wait = true;
		break;
	case OPT_TIMELINE:
		in->timeline = true;
		break;
	case OPT_HTML:
		in->html = optarg ? optarg : "-";
		break;
	default:
		in->dry_run = true;
	}
	return 0;
}

static int set_option(
	int opt, struct invocation *in, struct settings *s, char *const argv[])
{
	if (opt > OPT_ISOLATION)
		return set_own_option(opt, in, s->command);
	for (size_t i = 0; i < LEN(short_for); i++)
		if (short_for[i].opt == opt)
			return add_setting(s, short_for[i].key, optarg);
	switch (opt) {
	case 'c':
		in->chain = optarg;
		return 0;
	case 's':
		return add_setting(s, NULL, optarg);
	case 'v':
		return add_setting(s, "log.level", "debug");
	case 'q':
		return add_setting(s, "log.level", "warn");
	case ':':
		return missing_value();
	default:
		return unknown_option(argv[optind - 1]);
	}
}

static void print_help(const struct command *c)
{
	if (c) {
		fputs(c->help, stdout);
		return;
	}
	fputs(usage_text, stdout);
	for (size_t i = 0; i < LEN(commands); i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs(usage_end, stdout);
}

/*
 * The options up to the first other word; behind the name of a command among
 * all its words, unless these are for somebody else. 0, an exit status, or -1:
 * done.
 */
static int parse_options(
	int argc, char *argv[], struct invocation *in, struct settings *s)
{
	static const char in_front[] = "+:t:m:i:c:d:s:vqhV";
	const struct command *c = s->command;
	const char *letters = in_front + (c && c->kind != PASSES_ARGUMENTS);
	int opt, ret;

	opterr = 0;
	optind = 0;
	while ((opt = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (opt == 'h') {
			print_help(c);
			return -1;
		}
		if (opt == 'V') {
			puts("checkpointer " VERSION);
			return -1;
		}
		ret = set_option(opt, in, s, argv);
		if (ret)
			return ret;
	}
	return 0;
}

static int unknown_command(const char *word)
{
	const char *names[LEN(commands)];
	const char *near;

	for (size_t i = 0; i < LEN(names); i++)
		names[i] = commands[i].name;
	near = strcmp(word, "help") != 0 ? did_you_mean(word, names, LEN(names))
					 : "--help";
	if (near)
		log_error("there is no command '%s': did you mean '%s'?", word,
			near);
	else
		log_error("'%s' is not a command of checkpointer: to run a "
			  "program put -- before it, as in: checkpointer -- %s",
			word, word);
	return EX_USAGE;
}

/* What the first word that is no option asks for; NULL: told what is wrong. */
static command_fn *find_command(int argc, char *argv[])
{
	bool dashes = optind > 1 && !strcmp(argv[optind - 1], "--");
	char missing[512];

	if (optind == argc && (getenv("CHECKPOINTER_INSIDE") ||
				      sched_find()->reruns_script()))
		return cmd_script;
	if (optind == argc && sched_is_missing(missing, sizeof(missing))) {
		log_error("no command: %s", missing);
		return NULL;
	}
	if (optind == argc) {
		log_error("no command: name one, as in checkpointer -- Rscript "
			  "script.R (see checkpointer --help)");
		return NULL;
	}
	if (dashes)
		return cmd_run;
	for (size_t i = 0; i < LEN(commands); i++)
		if (!strcmp(argv[optind], commands[i].name))
			return commands[i].run;
	unknown_command(argv[optind]);
	return NULL;
}

/* Kept open to the end of the program. */
static int open_log(const char *path)
{
	int fd = open(path,
		O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC |
			O_NONBLOCK,
		0600);

	if (fd < 0) {
		log_error("[log] file: cannot open %s: %s", path,
			strerror(errno));
		return -1;
	}
	log_set_file(fd);
	return 0;
}

/* For commands that leave it to us. 0, or an exit status. */
static int load_config(struct invocation *in)
{
	if (config_load(&in->cfg, (const char *const *)in->sets, in->n_sets))
		return EX_CONFIG;
	log_set_level(in->cfg.level);
	log_set_timestamps(in->cfg.timestamps);
	if (in->cfg.log_file && open_log(in->cfg.log_file))
		return EX_CANTCREAT;
	return 0;
}

/* Options may also stand behind the word that names the command. */
static int parse_behind(int argc, char *argv[], struct invocation *in,
	struct settings *s, const struct command *named)
{
	const char *first = argc > 1 ? argv[1] : "";
	int ret;

	s->command = named;
	in->args = argv + 1;
	if (named->kind != PASSES_OPTIONS) {
		ret = parse_options(argc, argv, in, s);
		in->args = argv + optind;
		return ret;
	}
	if (strcmp(first, "-h") != 0 && strcmp(first, "--help") != 0)
		return 0;
	print_help(named);
	return -1;
}

static int understand_and_run(
	int argc, char *argv[], struct invocation *in, struct settings *s)
{
	const struct command *named;
	command_fn *command;
	int ret = parse_options(argc, argv, in, s);

	if (ret)
		return ret < 0 ? 0 : ret;
	command = find_command(argc, argv);
	if (!command)
		return EX_USAGE;
	in->args = argv + optind;
	named = find_by_run(command);
	if (named)
		ret = parse_behind(argc - optind, argv + optind, in, s, named);
	if (ret)
		return ret < 0 ? 0 : ret;
	/* Inside the tree of another one all is configured already. */
	if (!named && getenv("CHECKPOINTER_INSIDE"))
		return command(in);
	in->sets = s->set;
	in->n_sets = s->n;
	ret = named && named->kind == LOADS_CONFIG ? 0 : load_config(in);
	return ret ? ret : command(in);
}

/* A leg that follows another in one process starts with all blocked. */
static void save_mask(sigset_t *mask)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, mask);
	if (sigismember(mask, SIGTERM) == 1 && sigismember(mask, SIGUSR1) == 1)
		sigemptyset(mask);
	sigprocmask(SIG_SETMASK, mask, NULL);
}

int main(int argc, char *argv[])
{
	struct invocation in = {.self_argv = argv};
	struct settings s = {0};
	int ret;

	save_mask(&in.mask);
	ret = understand_and_run(argc, argv, &in, &s);
	config_free(&in.cfg);
	for (size_t i = 0; i < s.n; i++)
		free(s.set[i]);
	return ret;
}
