/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "config_ini.h"
#include "config_keys.h"
#include "config_origin.h"
#include "util.h"

#define PREFIX "CHECKPOINTER_"

/* What is being loaded, and the value that is being looked at. */
struct load {
	struct config *cfg;
	int mistakes;
	bool signals_wrong; /* do not compare them */
	enum layer layer;
	const char *where;   /* for config_print() */
	const char *subject; /* for messages */
};

static void mistake(struct load *l, const char *fmt, ...) PRINTF(2, 3);

static void mistake(struct load *l, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mask_control(text);
	log_error("%s: %s", l->subject, text);
	l->mistakes++;
}

/* --- names that nobody knows --- */

/* A word that is none of these; hint is said if none of them is near. */
static void unknown(struct load *l, const char *what, const char *word,
	const char *const *words, size_t n, const char *hint)
{
	const char *near = did_you_mean(word, words, n);

	if (near)
		mistake(l, "unknown %s (did you mean '%s'?)", what, near);
	else
		mistake(l, "unknown %s%s", what, hint);
}

static bool is_section(const char *section)
{
	for (size_t i = 0; i < config_n_sections; i++)
		if (!strcmp(config_sections[i], section))
			return true;
	return false;
}

static void unknown_section(struct load *l, const char *section)
{
	auto_free char *what = xasprintf("section '%s'", section);

	unknown(l, what, section, config_sections, config_n_sections, "");
}

static void unknown_key(struct load *l, const char *section, const char *name)
{
	auto_free const char **words = xcalloc(config_n_keys, sizeof(*words));
	auto_free char *hint = xstrdup("");
	size_t n = 0;

	if (!strcmp(section, "site"))
		words[n++] = "lock";
	for (size_t i = 0; i < config_n_keys; i++) {
		const struct key *k = &config_keys[i];

		if (!strcmp(k->section, section)) {
			words[n++] = k->name;
		} else if (!strcmp(k->name, name)) {
			free(hint);
			hint = xasprintf(" (it belongs in [%s])", k->section);
		}
	}
	unknown(l, "key", name, words, n, hint);
}

/* --- one value --- */

bool origin_locks(const struct config_origin *origin, const char *name)
{
	auto_free char *word = xasprintf(" %s ", name);

	return origin->locked && strstr(origin->locked, word);
}

bool origin_locks_env(const struct config_origin *origin, const char *name)
{
	auto_free char *full = xasprintf("environment.%s", name);

	return origin_locks(origin, "environment") ||
	       origin_locks(origin, full);
}

/* Whether this layer may set it; if not, the reason is told. */
static bool may_set(struct load *l, const struct origin *before, bool locked)
{
	if (locked && l->layer > LAYER_SITE) {
		mistake(l, "locked by the site (%s)", l->cfg->origin->lock);
		return false;
	}
	if (before && before->layer == l->layer &&
		(l->layer == LAYER_SITE || l->layer == LAYER_USER)) {
		mistake(l, "already set (%s)", before->where);
		return false;
	}
	return true;
}

static void set_origin(struct origin *origin, const struct load *l)
{
	free(origin->where);
	origin->where = xstrdup(l->where);
	origin->layer = l->layer;
}

static void take_key(struct load *l, const struct key *key, const char *value)
{
	struct origin *origin = &l->cfg->origin->key[key - config_keys];
	struct err err;

	if (!may_set(l, origin, origin_locks(l->cfg->origin, key->full)))
		return;
	/* A wrong value, too, keeps the built-in one from being tried. */
	set_origin(origin, l);
	if (key_set(l->cfg, key, value, &err) < 0) {
		mistake(l, "%s", err.text);
		l->signals_wrong |= key_signals(l->cfg, key) != NULL;
	}
}

static bool is_variable(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_')
			return false;
	return true;
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

static void put_env(
	struct load *l, size_t i, const char *name, const char *value)
{
	struct config *cfg = l->cfg;

	if (i == cfg->n_env) {
		cfg->env = grow(cfg->env, i, sizeof(*cfg->env));
		cfg->origin->env =
			grow(cfg->origin->env, i, sizeof(*cfg->origin->env));
		cfg->env[i].name = xstrdup(name);
		cfg->n_env++;
	}
	free(cfg->env[i].value);
	cfg->env[i].value = xstrdup(value);
	set_origin(&cfg->origin->env[i], l);
}

static void take_env(struct load *l, const char *name, const char *value)
{
	const struct config *cfg = l->cfg;
	size_t i = 0;

	while (i < cfg->n_env && strcmp(cfg->env[i].name, name) != 0)
		i++;
	if (l->layer == LAYER_ENVIRONMENT)
		mistake(l, "[environment] is set by files and --set only");
	else if (!is_variable(name))
		mistake(l, "not the name of a variable");
	else if (!strncmp(name, PREFIX, strlen(PREFIX)))
		mistake(l, "variables with " PREFIX " are the program's own");
	else if (may_set(l, i < cfg->n_env ? &cfg->origin->env[i] : NULL,
			 origin_locks_env(cfg->origin, name)))
		put_env(l, i, name, value);
}

/* Is this something that can be locked? */
static void check_lock(struct load *l, const char *word)
{
	static const char env[] = "environment";
	size_t n = config_n_keys + 1;
	auto_free const char **words = xcalloc(n, sizeof(*words));
	auto_free char *what = xasprintf("name '%s'", word);

	words[0] = env;
	for (size_t i = 1; i < n; i++)
		words[i] = config_keys[i - 1].full;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(words[i], word))
			return;
	if (!strncmp(word, "environment.", sizeof(env)) &&
		is_variable(word + sizeof(env)))
		return;
	unknown(l, what, word, words, n,
		" (names are of the form section.key)");
}

static void take_site(struct load *l, const char *name, const char *value)
{
	struct config_origin *origin = l->cfg->origin;
	auto_free char *copy = xstrdup(value);
	char *rest;

	if (l->layer != LAYER_SITE) {
		mistake(l, "[site] is for the site's file only");
		return;
	}
	if (strcmp(name, "lock") != 0) {
		unknown_key(l, "site", name);
		return;
	}
	if (origin->lock) {
		mistake(l, "already set (%s)", origin->lock);
		return;
	}
	origin->lock = xstrdup(l->where);
	origin->locked = xstrdup(" ");
	for (char *word = strtok_r(copy, SEPARATORS, &rest); word;
		word = strtok_r(NULL, SEPARATORS, &rest)) {
		auto_free char *old = origin->locked;

		check_lock(l, word);
		origin->locked = xasprintf("%s%s ", old, word);
	}
}

/* Take one value of any layer. */
static void take(struct load *l, const char *section, const char *name,
	const char *value)
{
	const struct key *key = key_find(section, name);

	if (has_control(value))
		mistake(l, "control character in the value");
	else if (key)
		take_key(l, key, value);
	else if (!strcmp(section, "environment"))
		take_env(l, name, value);
	else if (!strcmp(section, "site"))
		take_site(l, name, value);
	else if (is_section(section))
		unknown_key(l, section, name);
	else
		unknown_section(l, section);
}

/* --- the layers --- */

static bool on_section(void *arg, const char *where, const char *section)
{
	struct load *l = arg;

	l->subject = where;
	if (!is_section(section))
		unknown_section(l, section);
	return is_section(section);
}

static void on_pair(void *arg, const char *where, const char *section,
	const char *name, const char *value)
{
	auto_free char *subject =
		xasprintf("%s: [%s] %s", where, section, name);
	struct load *l = arg;

	l->where = where;
	l->subject = subject;
	take(l, section, name, value);
}

static void on_wrong(void *arg, const char *where, const char *what)
{
	struct load *l = arg;

	l->subject = where;
	mistake(l, "%s", what);
}

static void take_file(struct load *l, const char *path, enum layer layer)
{
	struct ini_reader to = {on_section, on_pair, on_wrong, l};

	l->layer = layer;
	/* The site's word counts for all. */
	if (path)
		config_ini_read(path, layer == LAYER_SITE, &to);
}

/*
 * A variable that names no key. It is wrong if its first word is a section;
 * others are not ours to judge: sites and module files use the prefix, too.
 */
static void unknown_variable(
	struct load *l, const char *section, const char *name)
{
	/* What the program leaves to itself and to the job. */
	static const char *const own[] = {
		"chain", "leg", "step", "local", "cache", "bin"};
	const char *near =
		did_you_mean(section, config_sections, config_n_sections);

	for (size_t i = 0; i < LEN(own); i++)
		if (!strcmp(own[i], section))
			return;
	if (is_section(section))
		take(l, section, name, "");
	else if (near)
		log_warn("%s: ignored (did you mean the section '%s'?)",
			l->subject, near);
}

static void take_variable(struct load *l, const char *variable)
{
	size_t n = strcspn(variable, "=");
	auto_free char *name = xasprintf("%.*s", (int)n, variable);
	auto_free char *value = xstrdup(variable + n + !!variable[n]);
	auto_free char *subject = xasprintf("environment %s", name);
	char *section = name + strlen(PREFIX);
	char *key = strchr(section, '_');
	bool capitals = true;

	if (!variable[n] || !key || has_control(name))
		return;
	for (char *p = section; *p; p++) {
		capitals &= !islower((unsigned char)*p);
		*p = (char)tolower((unsigned char)*p);
	}
	*key++ = '\0';
	l->where = l->subject = subject;
	if (!key_find(section, key))
		unknown_variable(l, section, key);
	else if (capitals)
		take(l, section, key, trim(value));
	else
		log_warn("%s: ignored (write it in capitals)", subject);
}

/*
 * What the site wants done is done, whatever else the user may want: its
 * commands are put aside, for the layers above add to them.
 */
static void keep_site_hooks(struct load *l)
{
	struct config *cfg = l->cfg;

	for (size_t i = 0; i < config_n_keys; i++) {
		struct origin *origin = &cfg->origin->key[i];
		int hook = key_hook(&config_keys[i]);

		if (hook < 0 || !cfg->hook[hook] || !*cfg->hook[hook])
			continue;
		cfg->site_hook[hook] = cfg->hook[hook];
		cfg->origin->site_hook[hook] = origin->where;
		cfg->hook[hook] = origin->where = NULL;
		origin->layer = LAYER_NONE;
	}
}

static void take_environment(struct load *l)
{
	l->layer = LAYER_ENVIRONMENT;
	for (char **v = environ; v && *v; v++)
		if (!strncmp(*v, PREFIX, strlen(PREFIX)))
			take_variable(l, *v);
}

static void take_set(struct load *l, const char *text)
{
	auto_free char *copy = xstrdup(text);
	auto_free char *subject = xasprintf("--set %.200s", text);
	char *value = strchr(copy, '='), *name = strchr(copy, '.');

	/* The mistake comes last in the message, and is to be seen. */
	mask_control(subject);
	l->layer = LAYER_SETS;
	l->where = "--set";
	l->subject = subject;
	if (!value || !name || name > value) {
		mistake(l, "not of the form section.key=value");
		return;
	}
	*name++ = '\0';
	*value++ = '\0';
	take(l, trim(copy), trim(name), trim(value));
}

/* Built-in values come last: only then is it known which are needed. */
static void take_built_in(struct load *l)
{
	l->layer = LAYER_BUILT_IN;
	l->where = l->subject = "built-in";
	for (size_t i = 0; i < config_n_keys; i++)
		if (l->cfg->origin->key[i].layer == LAYER_NONE)
			take_key(l, &config_keys[i], config_keys[i].standard);
}

/* --- all of it --- */

/* No signal may have two meanings; who set the later layer's is told. */
static void check_pair(struct load *l, const struct key *a, const struct key *b)
{
	const struct origin *of = l->cfg->origin->key;
	bool a_is_late = of[a - config_keys].layer > of[b - config_keys].layer;
	const struct key *late = a_is_late ? a : b, *early = a_is_late ? b : a;
	auto_free char *subject = xasprintf(
		"%s: [signals] %s", of[late - config_keys].where, late->name);

	l->subject = subject;
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigismember(key_signals(l->cfg, a), sig) == 1 &&
			sigismember(key_signals(l->cfg, b), sig) == 1)
			mistake(l, "%s is in [signals] %s, too (%s)",
				signal_name(sig), early->name,
				of[early - config_keys].where);
}

static void check_signals(struct load *l)
{
	const struct key *end = config_keys + config_n_keys;

	for (const struct key *a = config_keys; a < end; a++)
		for (const struct key *b = a + 1; b < end; b++)
			if (key_signals(l->cfg, a) && key_signals(l->cfg, b))
				check_pair(l, a, b);
}

int config_load_files(struct config *cfg, const char *site, const char *user,
	const char *const *sets, size_t n_sets)
{
	struct load l = {.cfg = cfg};

	memset(cfg, 0, sizeof(*cfg));
	cfg->origin = xcalloc(1, sizeof(*cfg->origin));
	cfg->origin->key = xcalloc(config_n_keys, sizeof(*cfg->origin->key));
	take_file(&l, site, LAYER_SITE);
	keep_site_hooks(&l);
	take_file(&l, user, LAYER_USER);
	take_environment(&l);
	for (size_t i = 0; i < n_sets; i++)
		take_set(&l, sets[i]);
	take_built_in(&l);
	/* What a wrong value would have meant is not known. */
	if (!l.signals_wrong)
		check_signals(&l);
	return l.mistakes;
}

char *config_user_file(void)
{
	const char *dir = getenv("XDG_CONFIG_HOME");
	const char *home = config_home();

	/* The XDG specification has relative paths ignored. */
	if (dir && *dir == '/')
		return xasprintf("%s/checkpointer.ini", dir);
	return home ? xasprintf("%s/.config/checkpointer.ini", home) : NULL;
}

int config_load(struct config *cfg, const char *const *sets, size_t n_sets)
{
	auto_free char *user = config_user_file();

	return config_load_files(cfg, CONFIG_SITE_FILE, user, sets, n_sets);
}

double config_margin(const struct config *cfg, double limit)
{
	const struct key *key = key_find("checkpoint", "margin");
	const struct origin *origin = &cfg->origin->key[key - config_keys];
	double most = limit / 3 > 1 ? limit / 3 : 1;
	bool is_meant = origin->layer > LAYER_SITE ||
			origin_locks(cfg->origin, key->full);

	return limit > 0 && cfg->margin > most && !is_meant ? most
							    : cfg->margin;
}

static int export_setting(const char *setting)
{
	static const char own[] = "environment.";
	size_t n = strcspn(setting, "=");
	auto_free char *name = NULL;

	if (!setting[n])
		return 0;
	if (!strncmp(setting, own, strlen(own))) {
		name = xstrdup(setting + strlen(own));
		name[n - strlen(own)] = '\0';
		return setenv(name, setting + n + 1, 1);
	}
	name = xasprintf(PREFIX "%.*s", (int)n, setting);
	for (char *p = name; *p; p++)
		*p = (char)(*p == '.' ? '_' : toupper((unsigned char)*p));
	return setenv(name, setting + n + 1, 1);
}

int config_export(const char *const *sets, size_t n_sets)
{
	for (size_t i = 0; i < n_sets; i++)
		if (export_setting(sets[i]))
			return -1;
	return 0;
}

void config_free(struct config *cfg)
{
	struct config_origin *origin = cfg->origin;

	for (size_t i = 0; i < config_n_keys; i++) {
		key_release(cfg, &config_keys[i]);
		if (origin)
			free(origin->key[i].where);
	}
	for (size_t i = 0; i < cfg->n_env; i++) {
		free(cfg->env[i].name);
		free(cfg->env[i].value);
		if (origin)
			free(origin->env[i].where);
	}
	for (size_t i = 0; i < N_HOOKS; i++) {
		free(cfg->site_hook[i]);
		if (origin)
			free(origin->site_hook[i]);
	}
	if (origin) {
		free(origin->key);
		free(origin->env);
		free(origin->lock);
		free(origin->locked);
	}
	free(origin);
	free(cfg->env);
	memset(cfg, 0, sizeof(*cfg));
}
