/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_parts.h - reading what status_of() has made */
#ifndef STATUS_PARTS_H
#define STATUS_PARTS_H

#include <jansson.h>
#include <string.h>

/* "" if there is none. */
static inline const char *text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

/* 0 if there is none. */
static inline double number_of(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

static inline bool is_state(const json_t *j, const char *state)
{
	return !strcmp(text_of(j, "state"), state);
}

static inline bool status_is_one_of(
	const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

#endif
