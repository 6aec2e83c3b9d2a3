/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "chain.h"
#include "util.h"

static const char prefix[] = "[checkpointer ";

/* --- comments --- */

char *slurm_tag(const char *chain, unsigned leg, const char *state)
{
	return xasprintf("%s%s leg %u %s]", prefix, chain, leg, state);
}

/* Where the tag is, and in *len how long; NULL if there is none. */
static const char *find_tag(const char *comment, size_t *len)
{
	const char *at = comment ? strstr(comment, prefix) : NULL;
	const char *end = at ? strchr(at, ']') : NULL;

	*len = end ? (size_t)(end + 1 - at) : 0;
	return end ? at : NULL;
}

char *slurm_tag_in(const char *comment)
{
	size_t len;
	const char *at = find_tag(comment, &len);

	return at ? xasprintf("%.*s", (int)len, at) : NULL;
}

char *slurm_chain_in(const char *comment, unsigned *leg)
{
	auto_free char *tag = slurm_tag_in(comment);
	char *chain;
	size_t n;

	if (!tag)
		return NULL;
	n = strcspn(tag + strlen(prefix), " ]");
	chain = xasprintf("%.*s", (int)n, tag + strlen(prefix));
	if (chain_id_is_valid(chain) &&
		sscanf(tag + strlen(prefix) + n, " leg %u", leg) == 1)
		return chain;
	free(chain);
	return NULL;
}

char *slurm_comment_with(const char *comment, const char *tag)
{
	size_t len;
	const char *at = find_tag(comment, &len);
	auto_free char *before = NULL;

	if (!comment || !*comment)
		return xstrdup(tag);
	if (at)
		return xasprintf("%.*s%s%s", (int)(at - comment), comment, tag,
			at + len);
	return xasprintf("%s %s", comment, tag);
}

/* --- dependencies --- */

static void append(char **text, const char *what, size_t n)
{
	auto_free char *old = *text;

	*text = xasprintf("%s%.*s", old, (int)n, what);
}

/* Job numbers stand between ':', and ',', '?', '+', '(' or the end. */
static bool is_job(const char *at, const char *from, size_t n)
{
	return strlen(from) == n && !strncmp(at, from, n);
}

char *slurm_dependency_moved(
	const char *dependency, const char *from, const char *to)
{
	char *moved = xstrdup("");
	bool found = false;
	size_t n;

	for (const char *p = dependency; *p; p += n) {
		if (*p == '(') {
			/* A remark, such as "(unfulfilled)". */
			n = strcspn(p, ")");
			n += p[n] == ')';
			continue;
		}
		if (isdigit((unsigned char)*p) && p > dependency &&
			p[-1] == ':') {
			n = strspn(p, "0123456789_*");
			if (is_job(p, from, n)) {
				append(&moved, to, strlen(to));
				found = true;
				continue;
			}
		} else {
			n = 1;
		}
		append(&moved, p, n);
	}
	if (found)
		return moved;
	free(moved);
	return NULL;
}

/* --- options --- */

int slurm_signal_option(const char *text, struct slurm_signal *s)
{
	size_t n = strcspn(text, ":");
	auto_free char *name = NULL;
	char *end;
	unsigned long seconds;

	*s = (struct slurm_signal){.seconds = 60};
	if (text[n]) {
		for (size_t i = 0; i < n; i++) {
			s->to_batch |= toupper((unsigned char)text[i]) == 'B';
			s->in_reservation |=
				toupper((unsigned char)text[i]) == 'R';
		}
		text += n + 1;
	}
	n = strcspn(text, "@");
	name = xasprintf("%.*s", (int)n, text);
	if (text[n]) {
		seconds = strtoul(text + n + 1, &end, 10);
		if (end == text + n + 1 || *end || seconds > 0xffff)
			return -1;
		s->seconds = (unsigned)seconds;
	}
	s->number = parse_signal(name);
	return s->number > 0 ? 0 : -1;
}

uint32_t slurm_count_in(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p && *p;
		p += strcspn(p, ","), p += *p == ',')
		if (!strncmp(p, name, n) && p[n] == '=')
			return (uint32_t)strtoul(p + n + 1, NULL, 10);
	return 0;
}

static const char *read_count(const char *text, uint32_t *n)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || v > 1000000)
		return NULL;
	if (*end == 'k' || *end == 'K') {
		v <<= 10;
		end++;
	} else if (*end == 'm' || *end == 'M') {
		v <<= 20;
		end++;
	}
	*n = (uint32_t)v;
	return end;
}

int slurm_nodes_option(const char *text, uint32_t *min, uint32_t *max)
{
	text = read_count(text, min);
	if (text && *text == '-')
		text = read_count(text + 1, max);
	else
		*max = *min;
	return text && !*text ? 0 : -1;
}
