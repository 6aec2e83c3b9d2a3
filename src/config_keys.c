/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_keys.h"

#include <string.h>

#include "config_values.h"
#include "util.h"

#ifndef CRIU_BINARY
#define CRIU_BINARY "criu"
#endif

/* How a value is read and shown, and of what type its field is. */
enum kind {
	KIND_DIR, /* char *, owned, as those below */
	KIND_DIRS,
	KIND_PATHS,
	KIND_FILE,
	KIND_PROGRAM,
	KIND_SCRATCH,
	KIND_PORTS,
	KIND_COMMAND,
	KIND_LINES,
	KIND_TIME,      /* double */
	KIND_TIME0,     /* double, 0 where there is none */
	KIND_INTERVAL,  /* the same, or INTERVAL_AUTO */
	KIND_COUNT,     /* unsigned */
	KIND_NUMBER,    /* int */
	KIND_BYTES,     /* uint64_t */
	KIND_SIGNALS,   /* sigset_t */
	KIND_ISOLATION, /* an enum, as those below */
	KIND_NETWORK,
	KIND_OUTSIDE,
	KIND_IO_URING,
	KIND_LEVEL,
	KIND_METHOD,
	KIND_DEPENDENTS,
	KIND_COMPRESSION,
	KIND_ROLLBACK,
	KIND_SWITCH, /* unsigned, 0 or 1 */
};

/* --- texts --- */

static int set_text(void *field, char *text)
{
	if (!text)
		return -1;
	free(*(char **)field);
	*(char **)field = text;
	return 0;
}

/* --- numbers --- */

static int in_range(
	const struct key *key, double value, const char *text, struct err *err)
{
	if (value < key->min)
		return err_set(err, 0, "'%s' is less than %g", text, key->min);
	if (value > key->max)
		return err_set(
			err, 0, "'%s' is more than %.0f", text, key->max);
	return 0;
}

static int set_time(
	const struct key *key, const char *text, double *field, struct err *err)
{
	double seconds;

	if (parse_duration(text, &seconds, err) ||
		in_range(key, seconds, text, err))
		return -1;
	*field = seconds;
	return 0;
}

static int set_interval(
	const struct key *key, const char *text, double *field, struct err *err)
{
	if (!strcmp(text, "auto")) {
		*field = INTERVAL_AUTO;
		return 0;
	}
	return set_time(key, strcmp(text, "none") ? text : "0", field, err);
}

static char *show_time(double seconds)
{
	unsigned long long s = (unsigned long long)seconds;
	char *text;
	size_t n;

	if (s == 0 || seconds > (double)s) {
		text = xasprintf("%.9f", seconds);
		for (n = strlen(text); text[n - 1] == '0'; n--)
			;
		text[text[n - 1] == '.' ? n - 1 : n] = '\0';
		return text;
	}
	if (s % 86400 == 0)
		return xasprintf("%llud", s / 86400);
	if (s % 3600 == 0)
		return xasprintf("%lluh", s / 3600);
	if (s % 60 == 0 && s > 3600)
		return xasprintf("%lluh%llum", s / 3600, s % 3600 / 60);
	return s % 60 ? xasprintf("%llus", s) : xasprintf("%llum", s / 60);
}

static int set_count(const struct key *key, const char *text, unsigned *field,
	struct err *err)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long n;

	if (digits == 0 || text[digits])
		return err_set(err, 0, "'%s' is not a whole number", text);
	/* Too many digits give ULONG_MAX, which is above any maximum. */
	n = strtoul(text, NULL, 10);
	if (in_range(key, (double)n, text, err))
		return -1;
	*field = (unsigned)n;
	return 0;
}

/* As a count, but it may be below zero. */
static int set_number(
	const struct key *key, const char *text, int *field, struct err *err)
{
	const char *digits = text + (*text == '-');
	size_t n = strspn(digits, "0123456789");
	long value;

	if (n == 0 || digits[n])
		return err_set(err, 0, "'%s' is not a whole number", text);
	/* Here, too, too many digits give what is out of any range. */
	value = strtol(text, NULL, 10);
	if (in_range(key, (double)value, text, err))
		return -1;
	*field = (int)value;
	return 0;
}

static char *show_bytes(unsigned long long n)
{
	static const char *const unit[] = {"", "K", "M", "G", "T", "P", "E"};
	size_t i = 0;

	for (; n && n % 1024 == 0 && i < LEN(unit) - 1; i++)
		n /= 1024;
	return xasprintf("%llu%s", n, unit[i]);
}

/* --- signals --- */

/* A wish of the user's cannot come by a signal that means something else. */
static bool is_refused(int sig)
{
	return sig == SIGKILL || sig == SIGSTOP || sig == SIGCHLD ||
	       sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE ||
	       sig == SIGILL;
}

static int unknown_signal(const char *word, struct err *err)
{
	const char *near = near_signal(word);

	if (near)
		return err_set(err, 0,
			"unknown signal '%s' (did you mean '%s'? 'kill -l' "
			"shows all)",
			word, near);
	return err_set(err, 0,
		"unknown signal '%s' (examples: USR1, SIGINT, none; 'kill -l' "
		"shows all)",
		word);
}

static int set_signals(const char *text, sigset_t *field, struct err *err)
{
	auto_free char *copy = xstrdup(text);
	char *rest, *word = strtok_r(copy, SEPARATORS, &rest);
	sigset_t set;

	sigemptyset(&set);
	if (!word)
		return err_set(err, 0, "no signal is named (write 'none')");
	if (!strcmp(text, "none"))
		word = NULL;
	for (; word; word = strtok_r(NULL, SEPARATORS, &rest)) {
		int sig = parse_signal(word);

		if (sig < 0 || sigaddset(&set, sig) < 0)
			return unknown_signal(word, err);
		if (is_refused(sig))
			return err_set(
				err, 0, "%s cannot be used", signal_name(sig));
	}
	*field = set;
	return 0;
}

static char *show_signals(const sigset_t *set)
{
	char *text = xstrdup("");

	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		auto_free char *old = NULL;

		if (sigismember(set, sig) != 1)
			continue;
		old = text;
		text = xasprintf(
			"%s%s%s", old, *old ? " " : "", signal_name(sig));
	}
	if (*text)
		return text;
	free(text);
	return xstrdup("none");
}

/* --- one of several words --- */

static const char *const isolation_name[] = {
	[ISOLATION_AUTO] = "auto",
	[ISOLATION_USER] = "user",
	[ISOLATION_NONE] = "none",
};

static const char *const network_name[] = {
	[NETWORK_AUTO] = "auto",
	[NETWORK_PRIVATE] = "private",
	[NETWORK_HOST] = "host",
};

static const char *const outside_name[] = {
	[OUTSIDE_REFUSE] = "refuse",
	[OUTSIDE_CLOSE] = "close",
};

static const char *const io_uring_name[] = {
	[IO_URING_AUTO] = "auto",
	[IO_URING_ALLOW] = "allow",
	[IO_URING_DENY] = "deny",
};

static const char *const method_name[] = {
	[METHOD_SUBMIT] = "submit",
	[METHOD_REQUEUE] = "requeue",
};

static const char *const dependents_name[] = {
	[DEPENDENTS_MOVE] = "move",
	[DEPENDENTS_LEAVE] = "leave",
};

static const char *const compression_name[] = {
	[COMPRESSION_AUTO] = "auto",
	[COMPRESSION_NONE] = "none",
	[COMPRESSION_ZSTD] = "zstd",
};

static const char *const rollback_name[] = {
	[ROLLBACK_TRUNCATE] = "truncate",
	[ROLLBACK_KEEP] = "keep",
	[ROLLBACK_REFUSE] = "refuse",
};

static const char *const switch_name[] = {"no", "yes"};

const char *const config_hook_name[N_HOOKS] = {
	[HOOK_BEFORE_DUMP] = "before_dump",
	[HOOK_AFTER_DUMP] = "after_dump",
	[HOOK_BEFORE_RESTORE] = "before_restore",
	[HOOK_AFTER_RESTORE] = "after_restore",
	[HOOK_ON_FINISH] = "on_finish",
};

/* The words that a kind allows, by number. */
static const struct words {
	enum kind kind;
	const char *const *names;
	size_t n;
} words[] = {
	{KIND_ISOLATION, isolation_name, LEN(isolation_name)},
	{KIND_NETWORK, network_name, LEN(network_name)},
	{KIND_OUTSIDE, outside_name, LEN(outside_name)},
	{KIND_IO_URING, io_uring_name, LEN(io_uring_name)},
	{KIND_LEVEL, log_level_name, LOG_N_LEVELS},
	{KIND_METHOD, method_name, LEN(method_name)},
	{KIND_DEPENDENTS, dependents_name, LEN(dependents_name)},
	{KIND_COMPRESSION, compression_name, LEN(compression_name)},
	{KIND_ROLLBACK, rollback_name, LEN(rollback_name)},
	{KIND_SWITCH, switch_name, LEN(switch_name)},
};

/* Of a kind that has any. */
static const struct words *words_of(unsigned kind)
{
	size_t i = 0;

	while (i + 1 < LEN(words) && words[i].kind != kind)
		i++;
	return &words[i];
}

/* An enum without negative values is an unsigned int, see GCC's manual. */
static int set_word(const struct key *key, const char *text, unsigned *field,
	struct err *err)
{
	const struct words *w = words_of(key->kind);
	auto_free char *all = xstrdup("");
	const char *near;

	for (size_t i = 0; i < w->n; i++) {
		auto_free char *old = all;

		all = xasprintf("%s%s%s", old, *old ? ", " : "", w->names[i]);
		if (!strcmp(text, w->names[i])) {
			*field = (unsigned)i;
			return 0;
		}
	}
	near = did_you_mean(text, w->names, w->n);
	if (near)
		return err_set(err, 0,
			"'%s' is none of %s (did you mean '%s'?)", text, all,
			near);
	return err_set(err, 0, "'%s' is none of %s", text, all);
}

/* --- the table --- */

/* The range is that of a number; of sizes there is none. */
#define KEY(section, name, kind, field, standard, min, max)                    \
	{#section, #name, #section "." #name, KIND_##kind,                     \
		offsetof(struct config, field), standard, min, max}

/* clang-format off */
const struct key config_keys[] = {
	KEY(checkpoint, dir, DIR, dir, "~/.checkpointer", 0, 0),
	KEY(checkpoint, margin, TIME, margin, "10m", 0, 1e9),
	KEY(checkpoint, interval, INTERVAL, interval, "0", 0, 1e9),
	KEY(checkpoint, mtbf, TIME, mtbf, "7d", 1, 1e9),
	KEY(checkpoint, keep, COUNT, keep, "2", 1, 1e3),
	KEY(checkpoint, max_legs, COUNT, max_legs, "1000", 0, 1e6),
	KEY(checkpoint, look_after, TIME0, look_after, "1m", 0, 1e9),
	KEY(checkpoint, retry, TIME, retry, "30s", 0.1, 1e9),
	KEY(checkpoint, dump_timeout, TIME0, dump_timeout, "0", 0, 1e9),
	KEY(checkpoint, restore_timeout, TIME0, restore_timeout, "1h", 0, 1e9),
	KEY(checkpoint, restore_tries, COUNT, restore_tries, "3", 1, 1e3),
	KEY(checkpoint, max_moves, COUNT, max_moves, "3", 0, 1e3),
	KEY(checkpoint, max_time, TIME0, max_time, "0", 0, 1e9),
	KEY(checkpoint, compression, COMPRESSION, compression, "auto", 0, 0),
	KEY(checkpoint, compression_level, NUMBER, compression_level, "1", -7,
		19),
	KEY(checkpoint, threads, COUNT, threads, "0", 0, 64),
	KEY(checkpoint, full_every, COUNT, full_every, "32", 0, 1e6),
	KEY(checkpoint, max_size, BYTES, max_size, "0", 0, 0),
	KEY(signals, checkpoint, SIGNALS, checkpoint, "USR1", 0, 0),
	KEY(signals, save, SIGNALS, save, "USR2", 0, 0),
	KEY(signals, terminate, SIGNALS, terminate, "TERM", 0, 0),
	KEY(local, time_limit, TIME0, time_limit, "0", 0, 1e9),
	KEY(slurm, method, METHOD, method, "submit", 0, 0),
	KEY(slurm, dependents, DEPENDENTS, dependents, "move", 0, 0),
	KEY(slurm, comment, SWITCH, comment, "yes", 0, 0),
	KEY(slurm, exclude_failed_node, SWITCH, exclude_failed_node, "yes", 0,
		0),
	KEY(slurm, preemption_watch, TIME0, preemption_watch, "15s", 0, 1e9),
	KEY(capsule, isolation, ISOLATION, isolation, "auto", 0, 0),
	KEY(capsule, network, NETWORK, network, "auto", 0, 0),
	KEY(capsule, outside_connections, OUTSIDE, outside, "refuse", 0, 0),
	KEY(capsule, ports, PORTS, ports, "", 0, 0),
	KEY(capsule, private_dirs, DIRS, private_dirs, "/tmp /var/tmp /dev/shm",
		0, 0),
	KEY(capsule, scratch, SCRATCH, scratch, "auto", 0, 0),
	KEY(capsule, io_uring, IO_URING, io_uring, "auto", 0, 0),
	KEY(files, rollback, ROLLBACK, rollback, "truncate", 0, 0),
	KEY(files, snapshot_limit, BYTES, snapshot_limit, "64M", 0, 0),
	KEY(files, carry, SWITCH, carry, "yes", 0, 0),
	KEY(files, carry_limit, BYTES, carry_limit, "10G", 0, 0),
	KEY(files, shared_paths, PATHS, shared_paths, "", 0, 0),
	KEY(files, local_paths, PATHS, local_paths, "", 0, 0),
	KEY(criu, binary, PROGRAM, criu, CRIU_BINARY, 0, 0),
	KEY(criu, ghost_limit, BYTES, ghost_limit, "1G", 0, 0),
	KEY(criu, extra, LINES, criu_extra, "", 0, 0),
	KEY(hooks, before_dump, COMMAND, hook[HOOK_BEFORE_DUMP], "", 0, 0),
	KEY(hooks, after_dump, COMMAND, hook[HOOK_AFTER_DUMP], "", 0, 0),
	KEY(hooks, before_restore, COMMAND, hook[HOOK_BEFORE_RESTORE], "", 0,
		0),
	KEY(hooks, after_restore, COMMAND, hook[HOOK_AFTER_RESTORE], "", 0, 0),
	KEY(hooks, on_finish, COMMAND, hook[HOOK_ON_FINISH], "", 0, 0),
	KEY(hooks, timeout, TIME, hook_timeout, "10s", 0.1, 1e9),
	KEY(log, level, LEVEL, level, "info", 0, 0),
	KEY(log, file, FILE, log_file, "", 0, 0),
	KEY(log, timestamps, SWITCH, timestamps, "no", 0, 0),
};
/* clang-format on */

const size_t config_n_keys = LEN(config_keys);

const char *const config_sections[] = {"checkpoint", "signals", "local",
	"slurm", "capsule", "files", "criu", "hooks", "environment", "log",
	"site"};

const size_t config_n_sections = LEN(config_sections);

const struct key *key_find(const char *section, const char *name)
{
	for (const struct key *k = config_keys; k < config_keys + config_n_keys;
		k++)
		if (!strcmp(k->section, section) && !strcmp(k->name, name))
			return k;
	return NULL;
}

static void *field_of(const struct config *cfg, const struct key *key)
{
	return (char *)cfg + key->offset;
}

int key_set(struct config *cfg, const struct key *key, const char *text,
	struct err *err)
{
	void *field = field_of(cfg, key);

	switch ((enum kind)key->kind) {
	case KIND_DIR:
		return set_text(field, value_dir(text, err));
	case KIND_DIRS:
		return set_text(field, value_dirs(text, err));
	case KIND_PATHS:
		return set_text(field, value_paths(text, err));
	case KIND_FILE:
		if (*text)
			return set_text(field, value_file(text, err));
		key_release(cfg, key);
		return 0;
	case KIND_PROGRAM:
		return set_text(field, value_program(text, err));
	case KIND_SCRATCH:
		return set_text(field, value_scratch(text, err));
	case KIND_PORTS:
		return set_text(field, value_ports(text, err));
	case KIND_COMMAND:
		return set_text(field, xstrdup(text));
	case KIND_LINES:
		/*
		 * Blanks around a ';' go: in a file, a blank and a ';' open a
		 * comment, and what is read from elsewhere is to be printable
		 * as a file, too.
		 */
		return set_text(field, value_list(text, ";", ";"));
	case KIND_INTERVAL:
		return set_interval(key, text, field, err);
	case KIND_TIME0:
		text = strcmp(text, "none") ? text : "0";
		return set_time(key, text, field, err);
	case KIND_TIME:
		return set_time(key, text, field, err);
	case KIND_COUNT:
		return set_count(key, text, field, err);
	case KIND_NUMBER:
		return set_number(key, text, field, err);
	case KIND_BYTES:
		return parse_size(text, field, err);
	case KIND_SIGNALS:
		return set_signals(text, field, err);
	case KIND_ISOLATION:
	case KIND_NETWORK:
	case KIND_OUTSIDE:
	case KIND_IO_URING:
	case KIND_LEVEL:
	case KIND_METHOD:
	case KIND_DEPENDENTS:
	case KIND_COMPRESSION:
	case KIND_ROLLBACK:
	case KIND_SWITCH:
		return set_word(key, text, field, err);
	}
	return -1;
}

char *key_get(const struct config *cfg, const struct key *key)
{
	const void *field = field_of(cfg, key);
	const char *text;

	switch ((enum kind)key->kind) {
	case KIND_INTERVAL:
		if (*(const double *)field < 0)
			return xstrdup("auto");
		return show_time(*(const double *)field);
	case KIND_TIME:
	case KIND_TIME0:
		return show_time(*(const double *)field);
	case KIND_COUNT:
		return xasprintf("%u", *(const unsigned *)field);
	case KIND_NUMBER:
		return xasprintf("%d", *(const int *)field);
	case KIND_BYTES:
		return show_bytes(*(const uint64_t *)field);
	case KIND_SIGNALS:
		return show_signals(field);
	case KIND_ISOLATION:
	case KIND_NETWORK:
	case KIND_OUTSIDE:
	case KIND_IO_URING:
	case KIND_LEVEL:
	case KIND_METHOD:
	case KIND_DEPENDENTS:
	case KIND_COMPRESSION:
	case KIND_ROLLBACK:
	case KIND_SWITCH:
		return xstrdup(
			words_of(key->kind)->names[*(const unsigned *)field]);
	default:
		text = *(char *const *)field;
		return xstrdup(text ? text : "");
	}
}

int key_hook(const struct key *key)
{
	const size_t first = offsetof(struct config, hook);

	return key->kind == KIND_COMMAND
		       ? (int)((key->offset - first) / sizeof(char *))
		       : -1;
}

const sigset_t *key_signals(const struct config *cfg, const struct key *key)
{
	return key->kind == KIND_SIGNALS ? field_of(cfg, key) : NULL;
}

void key_release(struct config *cfg, const struct key *key)
{
	char **text = field_of(cfg, key);

	if (key->kind > KIND_LINES)
		return;
	free(*text);
	*text = NULL;
}
