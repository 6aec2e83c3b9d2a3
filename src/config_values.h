/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_values.h - the texts among the values: paths, programs, lists */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "err.h"

/* All return a text that the caller frees, or NULL with *err. */

/* The parts of a list, trimmed, none empty, with glue between them. */
char *value_list(const char *text, const char *separators, const char *glue);

/* A path, with a leading ~ expanded. */
char *value_file(const char *text, struct err *err);

/* An absolute path, with a leading ~ expanded. */
char *value_dir(const char *text, struct err *err);

/* The same, or a name without a slash, to be looked for in PATH. */
char *value_program(const char *text, struct err *err);

/* auto, memory, or an absolute path. */
char *value_scratch(const char *text, struct err *err);

/* Absolute paths; of directories that may be mounted over, or any. */
char *value_dirs(const char *text, struct err *err);
char *value_paths(const char *text, struct err *err);

/* 8888, or 8080:80 for one that has another number inside. */
char *value_ports(const char *text, struct err *err);

#endif
