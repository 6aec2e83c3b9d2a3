/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_origin.h - where each value came from, and what the site locked */
#ifndef CONFIG_ORIGIN_H
#define CONFIG_ORIGIN_H

#include <stdbool.h>

#include "config.h"

enum layer {
	LAYER_NONE, /* not set yet */
	LAYER_BUILT_IN,
	LAYER_SITE,
	LAYER_USER,
	LAYER_ENVIRONMENT,
	LAYER_SETS,
};

struct origin {
	enum layer layer;
	char *where;
};

struct config_origin {
	struct origin *key;       /* of config_keys */
	struct origin *env;       /* of cfg->env */
	char *site_hook[N_HOOKS]; /* where these are from, or NULL */
	char *lock;               /* where the lock is, or NULL */
	char *locked; /* its names, with a blank around each, or NULL */
};

/* Has the site locked this key ("section.key"), this variable? */
bool origin_locks(const struct config_origin *origin, const char *name);
bool origin_locks_env(const struct config_origin *origin, const char *name);

#endif
