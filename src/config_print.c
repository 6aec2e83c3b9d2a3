/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_print.c - the configuration in effect, as a file that says it again */
#include <string.h>

#include <ini.h>

#include "chain.h"
#include "config.h"
#include "config_keys.h"
#include "config_origin.h"
#include "util.h"

#define COMMENT_COLUMN 44

/* Whether an INI file can say this: "a ;b" would lose its end there. */
static bool is_sayable(const char *value)
{
	return *value != ';' && !strstr(value, " ;") && !strstr(value, "\t;");
}

static void print_pair(FILE *out, const char *name, const char *value,
	const struct origin *origin, bool locked)
{
	auto_free char *pair = xasprintf("%s = %s", name, value);
	auto_free char *comment =
		xasprintf("; %s%s", origin->where, locked ? ", locked" : "");
	size_t room = INI_MAX_LINE - 1;

	if (!is_sayable(value) || strlen(pair) > room)
		fprintf(out, "; %s\n%s, but no file can say it\n", pair,
			comment);
	else if (COMMENT_COLUMN + strlen(pair) + strlen(comment) > room)
		fprintf(out, "%s\n%s\n", comment, pair);
	else
		fprintf(out, "%-*s %s\n", COMMENT_COLUMN, pair, comment);
}

/* Not as a pair: the user's file, where it would be another one. */
static void print_site_hook(FILE *out, const struct config *cfg, int hook)
{
	if (hook >= 0 && cfg->site_hook[hook])
		fprintf(out, "; before that, the site's: %s\n; %s\n",
			cfg->site_hook[hook], cfg->origin->site_hook[hook]);
}

/* --- for programs --- */

static json_t *value_json(
	const char *value, const struct origin *origin, bool locked)
{
	json_t *j = json_object();

	json_object_set_new(j, "value", chain_string(value));
	json_object_set_new(j, "from", chain_string(origin->where));
	json_object_set_new(j, "locked", json_boolean(locked));
	return j;
}

static json_t *key_json(const struct config *cfg, size_t i)
{
	const struct config_origin *origin = cfg->origin;
	const struct key *key = &config_keys[i];
	auto_free char *value = key_get(cfg, key);
	int hook = key_hook(key);
	json_t *j = value_json(
		value, &origin->key[i], origin_locks(origin, key->full));

	if (hook < 0 || !cfg->site_hook[hook])
		return j;
	json_object_set_new(j, "site", chain_string(cfg->site_hook[hook]));
	json_object_set_new(
		j, "site_from", chain_string(origin->site_hook[hook]));
	return j;
}

/* The object of this section, made if there is none. */
static json_t *section_json(json_t *all, const char *name)
{
	if (!json_object_get(all, name))
		json_object_set_new(all, name, json_object());
	return json_object_get(all, name);
}

json_t *config_json(const struct config *cfg)
{
	json_t *all = json_object();

	for (size_t i = 0; i < config_n_keys; i++)
		json_object_set_new(section_json(all, config_keys[i].section),
			config_keys[i].name, key_json(cfg, i));
	for (size_t i = 0; i < cfg->n_env; i++)
		json_object_set_new(section_json(all, "environment"),
			cfg->env[i].name,
			value_json(cfg->env[i].value, &cfg->origin->env[i],
				origin_locks_env(
					cfg->origin, cfg->env[i].name)));
	return all;
}

/* --- for people, and as a file --- */

void config_print(const struct config *cfg, FILE *out)
{
	const struct config_origin *origin = cfg->origin;
	const char *section = NULL;

	for (size_t i = 0; i < config_n_keys; i++) {
		const struct key *key = &config_keys[i];
		auto_free char *value = key_get(cfg, key);

		if (!section || strcmp(section, key->section) != 0)
			fprintf(out, "%s[%s]\n", i ? "\n" : "", key->section);
		section = key->section;
		print_pair(out, key->name, value, &origin->key[i],
			origin_locks(origin, key->full));
		print_site_hook(out, cfg, key_hook(key));
	}
	if (cfg->n_env)
		fprintf(out, "\n[environment]\n");
	for (size_t i = 0; i < cfg->n_env; i++)
		print_pair(out, cfg->env[i].name, cfg->env[i].value,
			&origin->env[i],
			origin_locks_env(origin, cfg->env[i].name));
}
