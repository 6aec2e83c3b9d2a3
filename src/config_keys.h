/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_keys.h - the one table of keys, and how values are read and shown */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <signal.h>
#include <stddef.h>

#include "config.h"
#include "err.h"

/* What separates the words of a list. */
#define SEPARATORS ", \t"

struct key {
	const char *section, *name;
	const char *full;     /* "section.name" */
	unsigned kind;        /* how it is read and shown */
	size_t offset;        /* of the field in struct config */
	const char *standard; /* the built-in value */
	double min, max;      /* of numbers */
};

extern const struct key config_keys[];
extern const size_t config_n_keys;

/* All sections, those without fixed keys too. */
extern const char *const config_sections[];
extern const size_t config_n_sections;

const struct key *key_find(const char *section, const char *name);

/* Check text and, if it is right, replace the field's value. */
int key_set(struct config *cfg, const struct key *key, const char *text,
	struct err *err);

/* The value in the form that key_set() reads; the caller frees it. */
char *key_get(const struct config *cfg, const struct key *key);

/* The value of a key of signals, else NULL. */
const sigset_t *key_signals(const struct config *cfg, const struct key *key);

/* Of which hook this is the command, or -1. */
int key_hook(const struct key *key);

/* Free what the field owns. */
void key_release(struct config *cfg, const struct key *key);

/* The user's home directory, or NULL. */
const char *config_home(void);

#endif
