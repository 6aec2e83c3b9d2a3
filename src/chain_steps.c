/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chain_steps.c - which step of the chain a command is */
#include "chain_parts.h"

#include <string.h>
#include <sys/file.h>

#include "log.h"
#include "util.h"

static bool is_text(const json_t *recorded, const char *bytes)
{
	json_t *now = chain_string(bytes);
	bool same = json_equal(recorded, now);

	json_decref(now);
	return same;
}

static bool same_argv(const json_t *recorded, char *const argv[])
{
	size_t i;

	for (i = 0; argv[i]; i++)
		if (!is_text(json_array_get(recorded, i), argv[i]))
			return false;
	return json_array_size(recorded) == i;
}

static bool same_program(const json_t *recorded, char *const argv[])
{
	return is_text(json_array_get(recorded, 0), argv[0]);
}

/* Arguments that can be used: at least one, and nothing but strings. */
static bool is_argv(const json_t *list)
{
	const json_t *a;
	size_t i;

	json_array_foreach(list, i, a)
	{
		if (!json_is_string(a))
			return false;
	}
	return json_array_size(list) > 0;
}

/* What the journal says of one step. */
struct known {
	const json_t *argv, *cwd;
	bool taken, finished;
	int status;
};

static struct known know_step(const json_t *lines, unsigned step, unsigned leg)
{
	struct known k = {0};
	const json_t *j;
	size_t i;

	json_array_foreach(lines, i, j)
	{
		const char *state =
			json_string_value(json_object_get(j, "state"));

		if (chain_number(j, "step") != step)
			continue;
		if (chain_is_event(j, "step")) {
			k.taken |= chain_number(j, "leg") == leg;
			if (!k.argv && is_argv(json_object_get(j, "argv")) &&
				json_is_string(json_object_get(j, "cwd"))) {
				k.argv = json_object_get(j, "argv");
				k.cwd = json_object_get(j, "cwd");
			}
		} else if (state && !strcmp(state, "finished")) {
			k.finished = true;
			k.status = (int)json_integer_value(
				json_object_get(j, "status"));
		}
	}
	return k;
}

static unsigned count_steps(const json_t *lines)
{
	unsigned n = 0;
	const json_t *j;
	size_t i;

	json_array_foreach(lines, i, j)
	{
		if (chain_is_event(j, "step") && chain_number(j, "step") > n)
			n = chain_number(j, "step");
	}
	return n;
}

static unsigned choose_step(const json_t *lines, unsigned n, unsigned leg,
	char *const argv[], bool (*fits)(const json_t *, char *const[]))
{
	for (unsigned i = 1; i <= n; i++) {
		struct known k = know_step(lines, i, leg);

		if (k.argv && !k.taken &&
			(argv ? fits(k.argv, argv) : !k.finished))
			return i;
	}
	return 0;
}

static json_t *pack_argv(char *const argv[])
{
	json_t *list = json_array();

	for (size_t i = 0; argv[i]; i++)
		if (json_array_append_new(list, chain_string(argv[i])))
			log_warn("memory is out: argument %zu is not recorded",
				i);
	return list;
}

static void fill_step(struct step *s, const struct known *k)
{
	size_t n = json_array_size(k->argv);

	s->finished = k->finished;
	s->status = k->status;
	s->cwd = k->cwd ? xstrdup(json_string_value(k->cwd)) : NULL;
	s->argv = xcalloc(n + 1, sizeof(*s->argv));
	for (size_t i = 0; i < n; i++) {
		const char *a = json_string_value(json_array_get(k->argv, i));

		s->argv[i] = xstrdup(a ? a : "");
	}
}

static int find_step(struct chain *c, char *const argv[], const char *cwd,
	struct step *s, struct err *err)
{
	json_t *lines = chain_read(c, NULL, err), *line;
	unsigned n;

	if (!lines)
		return -1;
	n = count_steps(lines);
	s->number = choose_step(lines, n, c->leg, argv, same_argv);
	if (!s->number && argv)
		s->number = choose_step(lines, n, c->leg, argv, same_program);
	if (!s->number && !argv) {
		json_decref(lines);
		return err_set(err, 0,
			"chain %s has no step that could be continued", c->id);
	}
	line = chain_line(c, "step");
	if (s->number) {
		struct known k = know_step(lines, s->number, c->leg);

		fill_step(s, &k);
	} else {
		s->number = n + 1;
	}
	json_object_set_new(line, "step", json_integer(s->number));
	json_object_set_new(line, "argv", pack_argv(argv ? argv : s->argv));
	json_object_set_new(line, "cwd", chain_string(argv ? cwd : s->cwd));
	json_decref(lines);
	return chain_write(c, line, false, err);
}

int chain_take_step(struct chain *c, char *const argv[], const char *cwd,
	struct step *s, struct err *err)
{
	auto_free char *path = NULL;
	char name[16];
	int ret;

	memset(s, 0, sizeof(*s));
	s->dir = -1;
	if (flock(c->journal, LOCK_EX))
		log_debug("cannot lock the journal: %s", strerror(errno));
	ret = find_step(c, argv, cwd, s, err);
	flock(c->journal, LOCK_UN);
	if (ret)
		return -1;
	snprintf(name, sizeof(name), "step-%u", s->number);
	path = xasprintf("%s/%s", c->path, name);
	s->dir = chain_private_dir(c->dir, name, path, true, err);
	return s->dir < 0 ? -1 : 0;
}

void step_free(struct step *s)
{
	release_fd(&s->dir);
	for (size_t i = 0; s->argv && s->argv[i]; i++)
		free(s->argv[i]);
	free(s->argv);
	free(s->cwd);
	memset(s, 0, sizeof(*s));
	s->dir = -1;
}
