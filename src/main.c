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
	"Usage: checkpointer [OPTION]... -- COMMAND [ARG]...\n"
	"       checkpointer [OPTION]...\n"
	"       checkpointer [OPTION]... batch SCRIPT [ARG]...\n"
	"       checkpointer [OPTION]... submit [SBATCH-OPTION]... SCRIPT [ARG]...\n"
	"       checkpointer [OPTION]... restore CHAIN\n"
	"       checkpointer [OPTION]... status [CHAIN|JOB] [--watch] [--json]\n"
	"       checkpointer [OPTION]... dump CHAIN|JOB [--leave] [--no-wait]\n"
	"       checkpointer [OPTION]... report CHAIN [--timeline | --html[=FILE] |\n"
	"                                      --json]\n"
	"       checkpointer [OPTION]... list [--json] [CHAIN]\n"
	"       checkpointer [OPTION]... verify CHAIN [GENERATION] [--step=N]\n"
	"       checkpointer [OPTION]... export CHAIN GENERATION DIR [--step=N]\n"
	"       checkpointer [OPTION]... purge [--older-than=TIME] [--state=STATE]\n"
	"                                [--dry-run] [CHAIN]...\n"
	"       checkpointer [OPTION]... check [--json] [-- COMMAND [ARG]...]\n"
	"       checkpointer [OPTION]... config\n"
	"\n"
	"Run COMMAND so that it outlives the time limit of its job: when little\n"
	"time is left it is dumped, and continued in the next job. Without a\n"
	"COMMAND, as a line of a batch script: the same for the whole script.\n"
	"\n"
	"  -t, --time-limit=TIME  without Slurm: length of a leg\n"
	"  -m, --margin=TIME      how long before the end the last dump starts\n"
	"  -i, --interval=TIME    a checkpoint every TIME, or auto, while COMMAND runs\n"
	"  -c, --chain=NAME       name of the chain (default: from the job)\n"
	"  -d, --dir=DIR          where checkpoints are kept\n"
	"      --isolation=KIND   auto, user or none\n"
	"  -s, --set=KEY=VALUE    set a configuration key, as section.key=value\n"
	"  -v, --verbose          tell more\n"
	"  -q, --quiet            tell only what went wrong\n"
	"  -h, --help             print this\n"
	"  -V, --version          print the version\n"
	"\n"
	"batch runs a batch script with any number of `checkpointer -- COMMAND'\n"
	"lines, leg after leg, as Slurm would. submit runs sbatch with the options\n"
	"that such a job wants. restore continues a chain that was stopped or has\n"
	"died. status tells what goes on now, and dump asks for a checkpoint now.\n"
	"report shows what has become of a chain. list shows all chains, or the\n"
	"checkpoints of one; verify reads them all and checks them; export writes\n"
	"one as plain images of criu; purge removes chains. check tells whether\n"
	"checkpoints work here, or for COMMAND, and what to do if not. config\n"
	"prints the configuration in effect, and where each value is from.\n"
	"\n"
	"TIME takes s, m, h and d: 90, 10m, 1h30m. See checkpointer(1) and\n"
	"checkpointer.ini(5).\n";

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
	command_fn *run;
	const char *help;  /* NULL: usage_text */
	bool loads_config; /* main() need not, and must not */
	bool passes_on;    /* what follows its name are options of another */
} commands[] = {
	{"batch", cmd_batch, NULL, false, false},
	{"submit", cmd_submit, cmd_submit_help, false, true},
	{"restore", cmd_restore, NULL, false, false},
	{"status", cmd_status, NULL, false, false},
	{"dump", cmd_dump, NULL, false, false},
	{"report", cmd_report, NULL, false, false},
	{"list", cmd_list, NULL, false, false},
	{"verify", cmd_verify, NULL, false, false},
	{"export", cmd_export, NULL, false, false},
	{"purge", cmd_purge, NULL, false, false},
	{"check", cmd_check, cmd_check_help, true, false},
	{"config", cmd_config, NULL, false, false},
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
	command_fn *command; /* NULL: not known yet */
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

static int unknown_option(char *const argv[])
{
	const char *names[LEN(options) - 1];
	char word[64];
	const char *near;

	for (size_t i = 0; i < LEN(names); i++)
		names[i] = options[i].name;
	snprintf(word, sizeof(word), "%s", argv[optind - 1]);
	word[strcspn(word, "=")] = '\0';
	near = !strncmp(word, "--", 2)
		       ? did_you_mean(word + 2, names, LEN(names))
		       : NULL;
	if (near)
		log_error("unknown option or missing value: %s (did you mean "
			  "--%s?)",
			word, near);
	else
		log_error("unknown option or missing value: %s (see "
			  "checkpointer --help)",
			word);
	return EX_USAGE;
}

static const char *long_name(int opt)
{
	size_t i = 0;

	while (options[i].name && options[i].val != opt)
		i++;
	return options[i].name;
}

/* Of `-- COMMAND' and the bare form there is none. */
static const struct command *find_by_run(command_fn *run)
{
	for (size_t i = 0; i < LEN(commands); i++)
		if (commands[i].run == run)
			return &commands[i];
	return NULL;
}

/* Does this command have such an option, or, with 0, any of its own? */
static bool has_own(command_fn *command, int opt)
{
	for (size_t i = 0; i < LEN(own_options); i++)
		if (own_options[i].run == command &&
			(!opt || own_options[i].opt == opt))
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

static int set_own_option(int opt, struct invocation *in, command_fn *command)
{
	if (!has_own(command, opt))
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
	default:
		return unknown_option(argv);
	}
}

static void print_help(command_fn *command)
{
	const struct command *c = find_by_run(command);

	fputs(c && c->help ? c->help : usage_text, stdout);
}

/*
 * The options up to the first other word, or among all words of a command that
 * has options of its own. 0, an exit status, or -1: done.
 */
static int parse_options(
	int argc, char *argv[], struct invocation *in, struct settings *s)
{
	static const char in_front[] = "+:t:m:i:c:d:s:vqhV";
	const char *letters = in_front + has_own(s->command, 0);
	int opt, ret;

	opterr = 0;
	optind = 0;
	while ((opt = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (opt == 'h') {
			print_help(s->command);
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
	near = did_you_mean(word, names, LEN(names));
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

	if (optind == argc && (getenv("CHECKPOINTER_INSIDE") ||
				      sched_find()->reruns_script()))
		return cmd_script;
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

	s->command = named->run;
	in->args = argv + 1;
	if (!named->passes_on) {
		ret = parse_options(argc, argv, in, s);
		in->args = argv + optind;
		return ret;
	}
	if (strcmp(first, "-h") != 0 && strcmp(first, "--help") != 0)
		return 0;
	print_help(named->run);
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
	ret = named && named->loads_config ? 0 : load_config(in);
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
