/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "util.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif
#ifndef CRIU_BINARY
#define CRIU_BINARY "criu"
#endif

#define SITE_FILE      SYSCONFDIR "/checkpointer.ini"
#define PREFIX         "CHECKPOINTER_"
#define BLANKS         " \t"
#define SEPARATORS     ", \t"
#define LARGEST_FILE   (1 << 20)
#define COMMENT_COLUMN 44

/* Where inih was built to pass a line number, its handler has one more. */
_Static_assert(!INI_HANDLER_LINENO, "inih with INI_HANDLER_LINENO");

enum layer {
	LAYER_NONE, /* not set yet */
	LAYER_BUILT_IN,
	LAYER_SITE,
	LAYER_USER,
	LAYER_ENVIRONMENT,
	LAYER_SETS,
};

struct key;

/* How a kind of value is read and shown. */
struct type {
	/* Check text and, if it is right, replace the field's value. */
	int (*parse)(const struct key *key, const char *text, void *field,
		struct err *err);
	/* The value in the form that parse() reads; the caller frees it. */
	char *(*show)(const void *field);
	bool owns; /* the field is a char * from malloc() */
};

struct key {
	const char *name; /* "section.key" */
	const struct type *type;
	size_t offset; /* of the field in struct config */
	const char *standard;
	double min, max; /* of numbers */
};

/* Words. */

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, BLANKS);
	n = strlen(s);
	while (n > 0 && strchr(BLANKS, s[n - 1]))
		n--;
	s[n] = '\0';
	return s;
}

/* Bytes that would confuse a terminal, a log or an INI file. */
static bool has_control(const char *s)
{
	for (; *s; s++) {
		if (iscntrl((unsigned char)*s) && *s != '\t')
			return true;
	}
	return false;
}

/* What somebody wrote is quoted in messages, and may end on a terminal. */
static void mask_control(char *s)
{
	for (; *s; s++) {
		if (iscntrl((unsigned char)*s))
			*s = '?';
	}
}

/* The parts of a list, trimmed, none empty, with this between them. */
static char *rejoin(const char *text, const char *separators, const char *glue)
{
	auto_free char *copy = xstrdup(text);
	char *joined = xstrdup(""), *rest, *word;

	for (word = strtok_r(copy, separators, &rest); word;
		word = strtok_r(NULL, separators, &rest)) {
		auto_free char *old = joined;

		word = trim(word);
		joined =
			*word ? xasprintf("%s%s%s", old, *old ? glue : "", word)
			      : xstrdup(old);
	}
	return joined;
}

static int find_word(
	const char *text, const char *const *words, size_t n, struct err *err)
{
	auto_free char *all = xstrdup("");
	size_t i;

	for (i = 0; i < n; i++) {
		auto_free char *old = all;

		if (!strcmp(text, words[i])) {
			all = NULL;
			return (int)i;
		}
		all = xasprintf("%s%s%s", old, *old ? ", " : "", words[i]);
	}
	return err_set(err, 0, "'%s' is none of %s", text, all);
}

/* The types. */

static int set_text(void *field, char *text)
{
	free(*(char **)field);
	*(char **)field = text;
	return 0;
}

static char *show_text(const void *field)
{
	const char *text = *(char *const *)field;

	return xstrdup(text ? text : "");
}

static const char *home_dir(void)
{
	const char *home = getenv("HOME");
	const struct passwd *user;

	if (home && *home == '/')
		return home;
	user = getpwuid(getuid());
	return user && user->pw_dir && *user->pw_dir == '/' ? user->pw_dir
							    : NULL;
}

/* A path with a leading ~ expanded; the caller frees it. */
static char *expand_home(const char *text, struct err *err)
{
	const char *home;

	if (*text != '~')
		return xstrdup(text);
	home = home_dir();
	if (text[1] && text[1] != '/')
		err_set(err, 0, "'%s': only ~ and ~/ are understood", text);
	else if (!home)
		err_set(err, 0, "'%s': no home directory is known", text);
	else
		return xasprintf("%s%s", home, text + 1);
	return NULL;
}

static int parse_dir(
	const struct key *key, const char *text, void *field, struct err *err)
{
	char *path = expand_home(text, err);

	(void)key;
	if (!path)
		return -1;
	if (*path != '/') {
		free(path);
		return err_set(err, 0, "'%s' is not an absolute path", text);
	}
	return set_text(field, path);
}

static int parse_file(
	const struct key *key, const char *text, void *field, struct err *err)
{
	char *path;

	(void)key;
	if (!*text)
		return set_text(field, NULL);
	path = expand_home(text, err);
	return path ? set_text(field, path) : -1;
}

/* A name without a slash is looked for in PATH. */
static int parse_program(
	const struct key *key, const char *text, void *field, struct err *err)
{
	if (!*text)
		return err_set(err, 0, "empty");
	if (!strchr(text, '/') && *text != '~')
		return set_text(field, xstrdup(text));
	return parse_dir(key, text, field, err);
}

static int parse_scratch(
	const struct key *key, const char *text, void *field, struct err *err)
{
	if (!strcmp(text, "auto") || !strcmp(text, "memory"))
		return set_text(field, xstrdup(text));
	if (parse_dir(key, text, field, NULL) == 0)
		return 0;
	return err_set(
		err, 0, "'%s' is none of auto, memory, an absolute path", text);
}

/* Each is mounted over, which must not hit the root or go astray by "..". */
static int parse_dirs(
	const struct key *key, const char *text, void *field, struct err *err)
{
	auto_free char *copy = xstrdup(text);
	char *rest, *word;

	(void)key;
	for (word = strtok_r(copy, SEPARATORS, &rest); word;
		word = strtok_r(NULL, SEPARATORS, &rest)) {
		if (*word != '/')
			return err_set(
				err, 0, "'%s' is not an absolute path", word);
		if (word[strspn(word, "/")] == '\0')
			return err_set(err, 0,
				"'%s': the root cannot be private", word);
		if (strstr(word, "/../") || strstr(word, "/./") ||
			!strcmp(strrchr(word, '/'), "/..") ||
			!strcmp(strrchr(word, '/'), "/."))
			return err_set(
				err, 0, "'%s' has a '.' or '..' in it", word);
	}
	return set_text(field, rejoin(text, SEPARATORS, " "));
}

/*
 * Blanks around a ';' go: in a file, a blank and a ';' open a comment, and
 * what is read from elsewhere is to be printable as a file, too.
 */
static int parse_lines(
	const struct key *key, const char *text, void *field, struct err *err)
{
	(void)key;
	(void)err;
	return set_text(field, rejoin(text, ";", ";"));
}

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

static int parse_time(
	const struct key *key, const char *text, void *field, struct err *err)
{
	double seconds;

	if (parse_duration(text, &seconds, err) < 0 ||
		in_range(key, seconds, text, err) < 0)
		return -1;
	*(double *)field = seconds;
	return 0;
}

/* A time whose absence has a meaning. */
static int parse_time_or_none(
	const struct key *key, const char *text, void *field, struct err *err)
{
	return parse_time(key, strcmp(text, "none") ? text : "0", field, err);
}

static char *show_time(const void *field)
{
	double seconds = *(const double *)field;
	unsigned long long s = (unsigned long long)seconds;
	char *text;
	size_t n;

	if (seconds < 1 || seconds > (double)s) {
		text = xasprintf("%.9f", seconds);
		for (n = strlen(text); text[n - 1] == '0'; n--)
			text[n - 1] = '\0';
		if (text[n - 1] == '.')
			text[n - 1] = '\0';
		return text;
	}
	if (s % 86400 == 0)
		return xasprintf("%llud", s / 86400);
	if (s % 3600 == 0)
		return xasprintf("%lluh", s / 3600);
	if (s % 60 == 0 && s < 3600)
		return xasprintf("%llum", s / 60);
	if (s % 60 == 0)
		return xasprintf("%lluh%llum", s / 3600, s % 3600 / 60);
	return xasprintf("%llus", s);
}

static int parse_count(
	const struct key *key, const char *text, void *field, struct err *err)
{
	unsigned long n;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || text[digits])
		return err_set(err, 0, "'%s' is not a whole number", text);
	/* Too many digits give ULONG_MAX, which is above any maximum. */
	n = strtoul(text, NULL, 10);
	if (in_range(key, (double)n, text, err) < 0)
		return -1;
	*(unsigned *)field = (unsigned)n;
	return 0;
}

static char *show_count(const void *field)
{
	return xasprintf("%u", *(const unsigned *)field);
}

static int parse_bytes(
	const struct key *key, const char *text, void *field, struct err *err)
{
	uint64_t bytes;

	(void)key;
	if (parse_size(text, &bytes, err) < 0)
		return -1;
	*(uint64_t *)field = bytes;
	return 0;
}

static char *show_bytes(const void *field)
{
	static const char *const unit[] = {"", "K", "M", "G", "T", "P", "E"};
	unsigned long long n = *(const uint64_t *)field;
	size_t i = 0;

	while (n && n % 1024 == 0 && i < LEN(unit) - 1) {
		n /= 1024;
		i++;
	}
	return xasprintf("%llu%s", n, unit[i]);
}

/* A wish of the user's cannot come by a signal that means something else. */
static bool refused_signal(int sig)
{
	static const int refused[] = {
		SIGKILL, SIGSTOP, SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	size_t i;

	for (i = 0; i < LEN(refused); i++) {
		if (sig == refused[i])
			return true;
	}
	return false;
}

static int parse_signals(
	const struct key *key, const char *text, void *field, struct err *err)
{
	auto_free char *copy = xstrdup(text);
	char *rest, *word;
	sigset_t set;
	int n = 0;

	(void)key;
	sigemptyset(&set);
	if (!strcmp(text, "none"))
		goto done;
	for (word = strtok_r(copy, SEPARATORS, &rest); word;
		word = strtok_r(NULL, SEPARATORS, &rest)) {
		int sig = parse_signal(word);

		if (sig < 0 || sigaddset(&set, sig) < 0)
			return err_set(err, 0,
				"unknown signal '%s' (examples: USR1, SIGINT, "
				"none)",
				word);
		if (refused_signal(sig))
			return err_set(
				err, 0, "%s cannot be used", signal_name(sig));
		n++;
	}
	if (n == 0)
		return err_set(err, 0, "no signal is named (write 'none')");
done:
	*(sigset_t *)field = set;
	return 0;
}

static char *show_signals(const void *field)
{
	const sigset_t *set = field;
	char *text = xstrdup("");
	int sig;

	for (sig = 1; sig <= SIGRTMAX; sig++) {
		auto_free char *old = NULL;

		if (sigismember(set, sig) != 1)
			continue;
		old = text;
		text = xasprintf(
			"%s%s%s", old, *old ? " " : "", signal_name(sig));
	}
	if (!*text) {
		free(text);
		return xstrdup("none");
	}
	return text;
}

static const char *const isolation_name[] = {
	[ISOLATION_AUTO] = "auto",
	[ISOLATION_USER] = "user",
	[ISOLATION_NONE] = "none",
};

static int parse_isolation(
	const struct key *key, const char *text, void *field, struct err *err)
{
	int i = find_word(text, isolation_name, LEN(isolation_name), err);

	(void)key;
	if (i < 0)
		return -1;
	*(enum isolation *)field = (enum isolation)i;
	return 0;
}

static char *show_isolation(const void *field)
{
	return xstrdup(isolation_name[*(const enum isolation *)field]);
}

static int parse_level(
	const struct key *key, const char *text, void *field, struct err *err)
{
	int i = find_word(text, log_level_name, LOG_N_LEVELS, err);

	(void)key;
	if (i < 0)
		return -1;
	*(enum log_level *)field = (enum log_level)i;
	return 0;
}

static char *show_level(const void *field)
{
	return xstrdup(log_level_name[*(const enum log_level *)field]);
}

static const struct type type_dir = {parse_dir, show_text, true};
static const struct type type_dirs = {parse_dirs, show_text, true};
static const struct type type_file = {parse_file, show_text, true};
static const struct type type_program = {parse_program, show_text, true};
static const struct type type_scratch = {parse_scratch, show_text, true};
static const struct type type_lines = {parse_lines, show_text, true};
static const struct type type_time = {parse_time, show_time, false};
static const struct type type_time0 = {parse_time_or_none, show_time, false};
static const struct type type_count = {parse_count, show_count, false};
static const struct type type_bytes = {parse_bytes, show_bytes, false};
static const struct type type_signals = {parse_signals, show_signals, false};
static const struct type type_isolation = {
	parse_isolation, show_isolation, false};
static const struct type type_level = {parse_level, show_level, false};

/* The keys. parse_duration() has its own maximum. */

#define KEY(name, type, field, standard, ...)                                  \
	{                                                                      \
		name, &type, offsetof(struct config, field), standard,         \
			__VA_ARGS__                                            \
	}

static const struct key keys[] = {
	KEY("checkpoint.dir", type_dir, dir, "~/.checkpointer", 0, 0),
	KEY("checkpoint.margin", type_time, margin, "10m", 0, 1e9),
	KEY("checkpoint.interval", type_time0, interval, "0", 0, 1e9),
	KEY("checkpoint.keep", type_count, keep, "2", 1, 1e3),
	KEY("checkpoint.max_legs", type_count, max_legs, "1000", 0, 1e6),
	KEY("checkpoint.look_after", type_time0, look_after, "1m", 0, 1e9),
	KEY("checkpoint.retry", type_time, retry, "30s", 0.1, 1e9),
	KEY("checkpoint.dump_timeout", type_time0, dump_timeout, "0", 0, 1e9),
	KEY("checkpoint.restore_tries", type_count, restore_tries, "3", 1, 1e3),
	KEY("signals.checkpoint", type_signals, checkpoint, "USR1", 0, 0),
	KEY("signals.save", type_signals, save, "USR2", 0, 0),
	KEY("signals.terminate", type_signals, terminate, "TERM", 0, 0),
	KEY("local.time_limit", type_time0, time_limit, "0", 0, 1e9),
	KEY("capsule.isolation", type_isolation, isolation, "auto", 0, 0),
	KEY("capsule.private_dirs", type_dirs, private_dirs,
		"/tmp /var/tmp /dev/shm", 0, 0),
	KEY("capsule.scratch", type_scratch, scratch, "auto", 0, 0),
	KEY("criu.binary", type_program, criu, CRIU_BINARY, 0, 0),
	KEY("criu.ghost_limit", type_bytes, ghost_limit, "1G", 0, 0),
	KEY("criu.extra", type_lines, criu_extra, "", 0, 0),
	KEY("log.level", type_level, level, "info", 0, 0),
	KEY("log.file", type_file, log_file, "", 0, 0),
};

static const char *const sections[] = {"checkpoint", "signals", "local",
	"capsule", "criu", "environment", "log", "site"};

struct origin {
	enum layer layer;
	char *where;
	bool locked;
};

struct config_origin {
	struct origin key[LEN(keys)];
	struct origin *env; /* of cfg->env */
	char **locked_env;  /* names that the site locked */
	size_t n_locked_env;
	bool env_locked; /* the whole section */
	char *lock;      /* where the lock is, or NULL */
};

struct load {
	struct config *cfg;
	int mistakes;
	bool signals_wrong; /* do not compare them */
};

/* Where a value stands: for messages, and for config_print(). */
struct place {
	enum layer layer;
	const char *where;
	const char *subject;
};

static void mistake(struct load *load, const char *subject, const char *fmt,
	...) PRINTF(3, 4);

static void mistake(
	struct load *load, const char *subject, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mask_control(text);
	log_error("%s: %s", subject, text);
	load->mistakes++;
}

static void *field_of(const struct config *cfg, const struct key *key)
{
	return (char *)cfg + key->offset;
}

static const char *short_name(const struct key *key)
{
	return strchr(key->name, '.') + 1;
}

static size_t section_length(const struct key *key)
{
	return strcspn(key->name, ".");
}

static bool in_section(const struct key *key, const char *section)
{
	size_t n = section_length(key);

	return !strncmp(key->name, section, n) && !section[n];
}

/* The index of a key, or -1. */
static int find_key(const char *section, const char *name)
{
	size_t i;

	for (i = 0; i < LEN(keys); i++) {
		if (in_section(&keys[i], section) &&
			!strcmp(short_name(&keys[i]), name))
			return (int)i;
	}
	return -1;
}

static bool known_section(const char *section)
{
	size_t i;

	for (i = 0; i < LEN(sections); i++) {
		if (!strcmp(sections[i], section))
			return true;
	}
	return false;
}

static void unknown_section(
	struct load *load, const char *subject, const char *section)
{
	const char *near = did_you_mean(section, sections, LEN(sections));

	if (near)
		mistake(load, subject,
			"unknown section '%s' (did you mean '%s'?)", section,
			near);
	else
		mistake(load, subject, "unknown section '%s'", section);
}

static void unknown_key(struct load *load, const char *subject,
	const char *section, const char *name)
{
	const char *words[LEN(keys)], *near;
	const struct key *elsewhere = NULL;
	size_t n = 0, i;

	if (!strcmp(section, "site"))
		words[n++] = "lock";
	for (i = 0; i < LEN(keys); i++) {
		if (in_section(&keys[i], section))
			words[n++] = short_name(&keys[i]);
		else if (!strcmp(short_name(&keys[i]), name))
			elsewhere = &keys[i];
	}
	near = did_you_mean(name, words, n);
	if (near)
		mistake(load, subject, "unknown key (did you mean '%s'?)",
			near);
	else if (elsewhere)
		mistake(load, subject, "unknown key (it belongs in [%.*s])",
			(int)section_length(elsewhere), elsewhere->name);
	else
		mistake(load, subject, "unknown key");
}

/* Whether a layer may set this; if not, the reason is told. */
static bool may_set(struct load *load, const struct place *place,
	const struct origin *origin, bool locked)
{
	if (locked && place->layer > LAYER_SITE) {
		mistake(load, place->subject, "locked by the site (%s)",
			load->cfg->origin->lock);
		return false;
	}
	if (origin && origin->layer == place->layer &&
		(place->layer == LAYER_SITE || place->layer == LAYER_USER)) {
		mistake(load, place->subject, "already set (%s)",
			origin->where);
		return false;
	}
	return true;
}

static void set_origin(struct origin *origin, const struct place *place)
{
	free(origin->where);
	origin->where = xstrdup(place->where);
	origin->layer = place->layer;
}

static void take_key(struct load *load, const struct place *place,
	const struct key *key, const char *value)
{
	struct origin *origin = &load->cfg->origin->key[key - keys];
	struct err err;

	if (!may_set(load, place, origin, origin->locked))
		return;
	/* A wrong value, too, keeps the built-in one from being tried. */
	set_origin(origin, place);
	if (key->type->parse(key, value, field_of(load->cfg, key), &err) < 0) {
		mistake(load, place->subject, "%s", err.text);
		if (key->type == &type_signals)
			load->signals_wrong = true;
	}
}

static bool good_name(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	for (; *name; name++) {
		if (!isalnum((unsigned char)*name) && *name != '_')
			return false;
	}
	return true;
}

static bool env_locked(const struct config_origin *origin, const char *name)
{
	size_t i;

	for (i = 0; i < origin->n_locked_env; i++) {
		if (!strcmp(origin->locked_env[i], name))
			return true;
	}
	return origin->env_locked;
}

/* Room for one more of what the array holds, zeroed. */
static void *grow(void *old, size_t n, size_t size)
{
	void *new = xcalloc(n + 1, size);

	if (n)
		memcpy(new, old, n * size);
	free(old);
	return new;
}

static void put_env(struct config *cfg, const struct place *place, size_t i,
	const char *name, const char *value)
{
	if (i == cfg->n_env) {
		cfg->env = grow(cfg->env, i, sizeof(*cfg->env));
		cfg->origin->env =
			grow(cfg->origin->env, i, sizeof(*cfg->origin->env));
		cfg->env[i].name = xstrdup(name);
		cfg->n_env++;
	}
	free(cfg->env[i].value);
	cfg->env[i].value = xstrdup(value);
	set_origin(&cfg->origin->env[i], place);
}

static void take_env(struct load *load, const struct place *place,
	const char *name, const char *value)
{
	struct config *cfg = load->cfg;
	size_t i = 0;

	while (i < cfg->n_env && strcmp(cfg->env[i].name, name) != 0)
		i++;
	if (place->layer == LAYER_ENVIRONMENT)
		mistake(load, place->subject,
			"[environment] is set by files and --set only");
	else if (!good_name(name))
		mistake(load, place->subject, "not the name of a variable");
	else if (!strncmp(name, PREFIX, strlen(PREFIX)))
		mistake(load, place->subject,
			"variables with " PREFIX " are the program's own");
	else if (may_set(load, place,
			 i < cfg->n_env ? &cfg->origin->env[i] : NULL,
			 env_locked(cfg->origin, name)))
		put_env(cfg, place, i, name, value);
}

/* Lock what one word of [site] lock names. */
static int lock_word(
	struct config_origin *origin, const char *word, struct err *err)
{
	static const char section[] = "environment.";
	const char *words[LEN(keys) + 1] = {"environment"}, *near;
	const char *name = word + strlen(section);
	size_t i;

	for (i = 0; i < LEN(keys); i++) {
		words[i + 1] = keys[i].name;
		if (!strcmp(keys[i].name, word)) {
			origin->key[i].locked = true;
			return 0;
		}
	}
	if (!strcmp(word, "environment")) {
		origin->env_locked = true;
		return 0;
	}
	if (!strncmp(word, section, strlen(section)) && good_name(name)) {
		origin->locked_env = grow(origin->locked_env,
			origin->n_locked_env, sizeof(*origin->locked_env));
		origin->locked_env[origin->n_locked_env++] = xstrdup(name);
		return 0;
	}
	near = did_you_mean(word, words, LEN(words));
	if (near)
		return err_set(err, 0, "unknown name '%s' (did you mean '%s'?)",
			word, near);
	return err_set(err, 0,
		"unknown name '%s' (names are of the form section.key)", word);
}

static void take_site(struct load *load, const struct place *place,
	const char *name, const char *value)
{
	struct config_origin *origin = load->cfg->origin;
	auto_free char *copy = xstrdup(value);
	char *rest, *word;
	struct err err;

	if (place->layer != LAYER_SITE) {
		mistake(load, place->subject,
			"[site] is for the site's file only");
		return;
	}
	if (strcmp(name, "lock") != 0) {
		unknown_key(load, place->subject, "site", name);
		return;
	}
	if (origin->lock) {
		mistake(load, place->subject, "already set (%s)", origin->lock);
		return;
	}
	origin->lock = xstrdup(place->where);
	for (word = strtok_r(copy, SEPARATORS, &rest); word;
		word = strtok_r(NULL, SEPARATORS, &rest)) {
		if (lock_word(origin, word, &err) < 0)
			mistake(load, place->subject, "%s", err.text);
	}
}

/* Take one value of any layer. */
static void take(struct load *load, const struct place *place,
	const char *section, const char *name, const char *value)
{
	int key = find_key(section, name);

	if (has_control(value))
		mistake(load, place->subject, "control character in the value");
	else if (key >= 0)
		take_key(load, place, &keys[key], value);
	else if (!strcmp(section, "environment"))
		take_env(load, place, name, value);
	else if (!strcmp(section, "site"))
		take_site(load, place, name, value);
	else if (known_section(section))
		unknown_key(load, place->subject, section, name);
	else
		unknown_section(load, place->subject, section);
}

/* Files. */

struct file {
	struct load *load;
	enum layer layer;
	const char *path;
	FILE *in;
	char *text; /* the line, of getline() */
	size_t size;
	int line;
	bool want_pair;  /* the line has yet to arrive at take_pair() */
	bool in_unknown; /* the section is unknown, as was reported */
};

static void wrong_line(struct file *file, const char *what)
{
	auto_free char *subject = xasprintf("%s:%d", file->path, file->line);

	mistake(file->load, subject, "%s", what);
}

static void check_header(struct file *file, const char *line)
{
	const char *end = strchr(line, ']'), *rest;
	auto_free char *section = NULL, *subject = NULL;

	if (!end) {
		wrong_line(file, "'[' without ']'");
		return;
	}
	section = strndup(line + 1, (size_t)(end - line - 1));
	rest = end + 1 + strspn(end + 1, BLANKS);
	file->in_unknown = !section || !known_section(section);
	if (file->in_unknown) {
		subject = xasprintf("%s:%d", file->path, file->line);
		unknown_section(file->load, subject, section ? section : "");
	}
	if (*rest && *rest != ';' && *rest != '#')
		wrong_line(file, "text behind a [section]");
}

/*
 * What inih is to see of a line that was read: all of it, or nothing if it is
 * a comment, or if inih would take it for something else than its writer. To
 * inih, an indented line goes on with the value before it, which is more often
 * a trap than a wish: no line reaches it with its indentation.
 */
static const char *usable(struct file *file, size_t n, size_t room)
{
	static const char bom[] = "\xef\xbb\xbf";
	char *line = file->text;

	if (strlen(line) != n) {
		wrong_line(file, "NUL byte");
		return "";
	}
	line[strcspn(line, "\r\n")] = '\0';
	if (file->line == 1 && !strncmp(line, bom, strlen(bom)))
		line += strlen(bom);
	line = trim(line);
	if (!*line || *line == ';' || *line == '#')
		return "";
	if (has_control(line)) {
		wrong_line(file, "control character");
		return "";
	}
	if (strlen(line) >= room) {
		auto_free char *what =
			xasprintf("longer than %zu bytes", room - 1);

		wrong_line(file, what);
		return "";
	}
	if (*line == '[')
		check_header(file, line);
	else
		file->want_pair = true;
	return line;
}

/* inih tells its first bad line only: find each by what did not arrive. */
static void check_last(struct file *file)
{
	if (file->want_pair)
		wrong_line(file, "not 'key = value' and not a [section]");
	file->want_pair = false;
}

/* The reader of inih: as fgets(), but counts lines. */
static char *next_line(char *buf, int size, void *arg)
{
	struct file *file = arg;
	ssize_t n;

	check_last(file);
	n = getline(&file->text, &file->size, file->in);
	if (n < 0)
		return NULL;
	file->line++;
	snprintf(
		buf, (size_t)size, "%s", usable(file, (size_t)n, (size_t)size));
	return buf;
}

/* The handler of inih. */
static int take_pair(
	void *arg, const char *section, const char *name, const char *value)
{
	struct file *file = arg;
	auto_free char *where = xasprintf("%s:%d", file->path, file->line);
	auto_free char *subject = NULL;
	struct place place = {.layer = file->layer, .where = where};

	/* Without a name, check_last() is to find it. */
	file->want_pair = !*name;
	if (!*name || file->in_unknown)
		return 1;
	if (!*section) {
		subject = xasprintf("%s: %s", where, name);
		mistake(file->load, subject,
			"missing section (a line such as [checkpoint] above)");
		return 1;
	}
	subject = xasprintf("%s: [%s] %s", where, section, name);
	place.subject = subject;
	take(file->load, &place, section, name, value);
	return 1;
}

/* The site's word counts for all: nobody else may have written it. */
static void check_site_mode(
	struct load *load, const char *path, const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		mistake(load, path,
			"owned by user %ju and not by root: chown root %s",
			(uintmax_t)st->st_uid, path);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		mistake(load, path, "writable by others: chmod go-w %s", path);
}

/* Open a file that may be absent; NULL then, or if it cannot be used. */
static FILE *open_file(struct load *load, const char *path, enum layer layer)
{
	/* Not to hang on a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int before = load->mistakes;
	struct stat st;
	FILE *in = NULL;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return NULL;
	if (fd < 0 || fstat(fd, &st) < 0)
		mistake(load, path, "cannot be read: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		mistake(load, path, "not a regular file");
	else if (st.st_size > LARGEST_FILE)
		mistake(load, path, "too large");
	else if (layer == LAYER_SITE)
		check_site_mode(load, path, &st);
	if (load->mistakes == before) {
		in = fdopen(fd, "r");
		if (!in)
			mistake(load, path, "%s", strerror(errno));
	}
	if (!in && fd >= 0)
		close(fd);
	return in;
}

static void take_file(struct load *load, const char *path, enum layer layer)
{
	auto_file FILE *in = open_file(load, path, layer);
	struct file file = {
		.load = load, .layer = layer, .path = path, .in = in};
	int before = load->mistakes;
	int bad;

	if (!in)
		return;
	bad = ini_parse_stream(next_line, &file, take_pair, &file);
	free(file.text);
	if (ferror(in)) {
		mistake(load, path, "cannot be read");
	} else if (bad != 0 && load->mistakes == before) {
		/* What only inih finds wrong. */
		file.line = bad > 0 ? bad : file.line;
		wrong_line(&file, "cannot be understood");
	}
}

/* The other layers. */

/* "CHECKPOINT_MARGIN" to the index of checkpoint.margin, or -1. */
static int find_variable(const char *name)
{
	size_t i, j;

	for (i = 0; i < LEN(keys); i++) {
		const char *key = keys[i].name;

		for (j = 0; key[j] && name[j]; j++) {
			char c = key[j] == '.' ? '_' : key[j];

			if (toupper((unsigned char)c) != name[j])
				break;
		}
		if (!key[j] && !name[j])
			return (int)i;
	}
	return -1;
}

/*
 * A variable that names no key. It is wrong if its first word is a section;
 * others are not ours to judge: sites and module files use the prefix, too.
 */
static void unknown_variable(
	struct load *load, const struct place *place, const char *name)
{
	/* What the program leaves to itself and to the job. */
	static const char *const own[] = {
		"CHAIN", "LEG", "STEP", "LOCAL", "CACHE", "BIN"};
	size_t n = strcspn(name, "_"), i;
	auto_free char *word = strndup(name, n);
	auto_free char *rest = NULL;
	const char *near;
	char *p;

	if (!word || !name[n])
		return;
	for (i = 0; i < LEN(own); i++) {
		if (!strcmp(own[i], word))
			return;
	}
	rest = xstrdup(name + n + 1);
	for (p = word; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	for (p = rest; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	near = did_you_mean(word, sections, LEN(sections));
	if (find_key(word, rest) >= 0)
		log_warn("%s: ignored (write it in capitals)", place->subject);
	else if (known_section(word))
		take(load, place, word, rest, "");
	else if (near)
		log_warn("%s: ignored (did you mean the section '%s'?)",
			place->subject, near);
}

static void take_variable(struct load *load, const char *variable)
{
	const char *value = strchr(variable, '=');
	auto_free char *name = NULL, *subject = NULL, *trimmed = NULL;
	struct place place = {.layer = LAYER_ENVIRONMENT};
	int key;

	if (!value)
		return;
	name = strndup(variable, (size_t)(value - variable));
	if (!name || has_control(name))
		return;
	subject = xasprintf("environment %s", name);
	place.where = place.subject = subject;
	key = find_variable(name + strlen(PREFIX));
	if (key < 0) {
		unknown_variable(load, &place, name + strlen(PREFIX));
		return;
	}
	trimmed = xstrdup(value + 1);
	if (has_control(trimmed))
		mistake(load, subject, "control character in the value");
	else
		take_key(load, &place, &keys[key], trim(trimmed));
}

static void take_environment(struct load *load)
{
	char **variable;

	for (variable = environ; variable && *variable; variable++) {
		if (!strncmp(*variable, PREFIX, strlen(PREFIX)))
			take_variable(load, *variable);
	}
}

static void take_set(struct load *load, const char *text)
{
	struct place place = {.layer = LAYER_SETS, .where = "--set"};
	auto_free char *copy = xstrdup(text), *subject = NULL;
	char *value = strchr(copy, '='), *name = strchr(copy, '.');

	/* The mistake comes last in the message, and is to be seen. */
	subject = xasprintf("--set %.*s", 200, text);
	mask_control(subject);
	place.subject = subject;
	if (!value || !name || name > value) {
		mistake(load, subject, "not of the form section.key=value");
		return;
	}
	*name++ = '\0';
	*value++ = '\0';
	take(load, &place, trim(copy), trim(name), trim(value));
}

/* Built-in values come last: only then is it known which are needed. */
static void take_built_in(struct load *load)
{
	size_t i;

	for (i = 0; i < LEN(keys); i++) {
		auto_free char *subject = NULL;
		struct place place = {
			.layer = LAYER_BUILT_IN, .where = "built-in"};

		if (load->cfg->origin->key[i].layer != LAYER_NONE)
			continue;
		subject = xasprintf("built-in: [%.*s] %s",
			(int)section_length(&keys[i]), keys[i].name,
			short_name(&keys[i]));
		place.subject = subject;
		take_key(load, &place, &keys[i], keys[i].standard);
	}
}

/* No signal may have two meanings; who set the later layer's is told. */
static void check_pair(struct load *load, size_t a, size_t b)
{
	const struct origin *origin = load->cfg->origin->key;
	const sigset_t *set_a = field_of(load->cfg, &keys[a]);
	const sigset_t *set_b = field_of(load->cfg, &keys[b]);
	auto_free char *subject = NULL;
	size_t late = origin[a].layer > origin[b].layer ? a : b;
	size_t early = late == a ? b : a;
	int sig;

	subject = xasprintf("%s: [signals] %s", origin[late].where,
		short_name(&keys[late]));
	for (sig = 1; sig <= SIGRTMAX; sig++) {
		if (sigismember(set_a, sig) == 1 &&
			sigismember(set_b, sig) == 1)
			mistake(load, subject,
				"%s is in [signals] %s, too (%s)",
				signal_name(sig), short_name(&keys[early]),
				origin[early].where);
	}
}

static void check_signals(struct load *load)
{
	size_t a, b;

	/* What a wrong value would have meant is not known. */
	if (load->signals_wrong)
		return;
	for (a = 0; a < LEN(keys); a++) {
		for (b = a + 1; b < LEN(keys); b++) {
			if (keys[a].type == &type_signals &&
				keys[b].type == &type_signals)
				check_pair(load, a, b);
		}
	}
}

int config_load_files(struct config *cfg, const char *site, const char *user,
	const char *const *sets, size_t n_sets)
{
	struct load load = {.cfg = cfg};
	size_t i;

	memset(cfg, 0, sizeof(*cfg));
	cfg->origin = xcalloc(1, sizeof(*cfg->origin));
	if (site)
		take_file(&load, site, LAYER_SITE);
	if (user)
		take_file(&load, user, LAYER_USER);
	take_environment(&load);
	for (i = 0; i < n_sets; i++)
		take_set(&load, sets[i]);
	take_built_in(&load);
	check_signals(&load);
	return load.mistakes;
}

/* The user's file, or NULL if there is no home to look in. */
static char *user_file(void)
{
	const char *dir = getenv("XDG_CONFIG_HOME");
	const char *home = home_dir();

	/* The XDG specification has relative paths ignored. */
	if (dir && *dir == '/')
		return xasprintf("%s/checkpointer.ini", dir);
	return home ? xasprintf("%s/.config/checkpointer.ini", home) : NULL;
}

int config_load(struct config *cfg, const char *const *sets, size_t n_sets)
{
	auto_free char *user = user_file();

	return config_load_files(cfg, SITE_FILE, user, sets, n_sets);
}

/* Whether an INI file can say this: "a ;b" would lose its end there. */
static bool printable(const char *value)
{
	const char *p;

	for (p = strchr(value, ';'); p; p = strchr(p + 1, ';')) {
		if (p == value || strchr(BLANKS, p[-1]))
			return false;
	}
	return true;
}

static void print_pair(FILE *out, const char *name, const char *value,
	const struct origin *origin, bool locked)
{
	auto_free char *pair = xasprintf("%s = %s", name, value);
	auto_free char *comment =
		xasprintf("; %s%s", origin->where, locked ? ", locked" : "");
	size_t room = INI_MAX_LINE - 1;

	if (!printable(value) || strlen(pair) > room)
		fprintf(out, "; %s\n%s, but no file can say it\n", pair,
			comment);
	else if (COMMENT_COLUMN + strlen(pair) + strlen(comment) > room)
		fprintf(out, "%s\n%s\n", comment, pair);
	else
		fprintf(out, "%-*s %s\n", COMMENT_COLUMN, pair, comment);
}

void config_print(const struct config *cfg, FILE *out)
{
	const struct config_origin *origin = cfg->origin;
	const char *section = "";
	size_t i;

	for (i = 0; i < LEN(keys); i++) {
		const struct key *key = &keys[i];
		auto_free char *value = key->type->show(field_of(cfg, key));
		size_t n = section_length(key);

		if (strncmp(section, key->name, n + 1) != 0)
			fprintf(out, "%s[%.*s]\n", i ? "\n" : "", (int)n,
				key->name);
		section = key->name;
		print_pair(out, short_name(key), value, &origin->key[i],
			origin->key[i].locked);
	}
	if (cfg->n_env)
		fprintf(out, "\n[environment]\n");
	for (i = 0; i < cfg->n_env; i++)
		print_pair(out, cfg->env[i].name, cfg->env[i].value,
			&origin->env[i], env_locked(origin, cfg->env[i].name));
}

static void free_origin(struct config_origin *origin, size_t n_env)
{
	size_t i;

	for (i = 0; i < LEN(keys); i++)
		free(origin->key[i].where);
	for (i = 0; i < n_env; i++)
		free(origin->env[i].where);
	for (i = 0; i < origin->n_locked_env; i++)
		free(origin->locked_env[i]);
	free(origin->env);
	free(origin->locked_env);
	free(origin->lock);
	free(origin);
}

void config_free(struct config *cfg)
{
	size_t i;

	for (i = 0; i < LEN(keys); i++) {
		if (keys[i].type->owns)
			free(*(char **)field_of(cfg, &keys[i]));
	}
	for (i = 0; i < cfg->n_env; i++) {
		free(cfg->env[i].name);
		free(cfg->env[i].value);
	}
	free(cfg->env);
	if (cfg->origin)
		free_origin(cfg->origin, cfg->n_env);
	memset(cfg, 0, sizeof(*cfg));
}
