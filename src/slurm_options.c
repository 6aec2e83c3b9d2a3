/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_options.h"

#include <string.h>
#include <strings.h>

#include "slurm_option_table.h"
#include "util.h"

/* Of SPANK plugins: a job has few of them, a hostile script any number. */
#define MAX_FOREIGN 256

/* isspace() of the C locale, by which sbatch parts the words of #SBATCH. */
#define SPACES " \t\n\v\f\r"

struct words {
	char **v; /* ended by NULL */
	size_t n, room;
};

struct given {
	char *value; /* NULL: not given */
	bool by_env;
};

struct foreign {
	char *name, *value;
};

struct slurm_options {
	struct given *known; /* by the index in slurm_known_options */
	struct foreign *foreign;
	size_t n_foreign;
	char *wrapped;       /* what --wrap ran, according to the script */
	struct words *args;  /* NULL: not known */
	bool ends_with_wrap; /* what comes behind --wrap cannot be told from it
			      */
};

/* --- lists of words --- */

/* Takes over the word. */
static void add_word(struct words *w, char *word)
{
	if (w->n + 1 >= w->room) {
		size_t room = w->room ? 2 * w->room : 16;
		char **v = xcalloc(room, sizeof(*v));

		if (w->n)
			memcpy(v, w->v, w->n * sizeof(*v));
		free(w->v);
		w->v = v;
		w->room = room;
	}
	w->v[w->n++] = word;
	w->v[w->n] = NULL;
}

static void free_words(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->v[i]);
	free(w->v);
	*w = (struct words){0};
}

static char *copy(const char *s, size_t n)
{
	char *c = xcalloc(n + 1, 1);

	memcpy(c, s, n);
	return c;
}

/* --- the options that are given --- */

struct slurm_options *slurm_options_new(void)
{
	struct slurm_options *o = xcalloc(1, sizeof(*o));

	o->known = xcalloc(slurm_n_known_options, sizeof(*o->known));
	o->foreign = xcalloc(MAX_FOREIGN, sizeof(*o->foreign));
	return o;
}

static void forget_args(struct slurm_options *o)
{
	if (o->args)
		free_words(o->args);
	free(o->args);
	o->args = NULL;
}

void slurm_options_free(struct slurm_options *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < slurm_n_known_options; i++)
		free(o->known[i].value);
	for (size_t i = 0; i < o->n_foreign; i++) {
		free(o->foreign[i].name);
		free(o->foreign[i].value);
	}
	forget_args(o);
	free(o->wrapped);
	free(o->foreign);
	free(o->known);
	free(o);
}

/* The option of exactly this name, or NULL. */
static const struct slurm_known_option *known_option(const char *name)
{
	for (size_t i = 0; i < slurm_n_known_options; i++)
		if (!strcmp(slurm_known_options[i].name, name))
			return &slurm_known_options[i];
	return NULL;
}

/* Where the value of the option is, or of the one that it is a synonym of. */
static struct given *place(
	const struct slurm_options *o, const struct slurm_known_option *k)
{
	if (k->same)
		k = known_option(k->same);
	return &o->known[k - slurm_known_options];
}

static void clear(struct slurm_options *o, const struct slurm_known_option *k)
{
	const struct slurm_known_option *other =
		k->undoes ? known_option(k->undoes) : NULL;
	struct given *g = place(o, k);

	free(g->value);
	*g = (struct given){0};
	if (other) {
		g = place(o, other);
		free(g->value);
		*g = (struct given){0};
	}
}

static void set(struct slurm_options *o, const struct slurm_known_option *k,
	const char *value, bool by_env)
{
	char *text = xstrdup(value ? value : "");

	clear(o, k);
	*place(o, k) = (struct given){.value = text, .by_env = by_env};
}

static struct foreign *find_foreign(
	const struct slurm_options *o, const char *name)
{
	for (size_t i = 0; i < o->n_foreign; i++)
		if (!strcmp(o->foreign[i].name, name))
			return &o->foreign[i];
	return NULL;
}

static void set_foreign(
	struct slurm_options *o, const char *name, size_t n, const char *value)
{
	auto_free char *own = copy(name, n);
	struct foreign *f = find_foreign(o, own);

	if (!f && o->n_foreign == MAX_FOREIGN)
		return;
	if (!f) {
		f = &o->foreign[o->n_foreign++];
		f->name = xstrdup(own);
	}
	free(f->value);
	f->value = xstrdup(value);
}

/*
 * The ways to give memory exclude each other, and here sbatch lets the
 * environment give way not only to the command line but to the script, too
 * (_validate_memory_options() of common/slurm_opt.c).
 */
static bool overruled(const struct slurm_options *o, const struct given *g)
{
	static const char *const names[] = {
		"mem", "mem-per-cpu", "mem-per-gpu"};
	bool is_memory = false, other = false;

	for (size_t i = 0; i < LEN(names); i++) {
		const struct slurm_known_option *k = known_option(names[i]);
		const struct given *m = k ? place(o, k) : g;

		is_memory |= m == g;
		other |= m->value && !m->by_env;
	}
	return is_memory && other && g->by_env;
}

const char *slurm_option(const struct slurm_options *o, const char *long_name)
{
	const struct slurm_known_option *k = known_option(long_name);
	const struct foreign *f = k ? NULL : find_foreign(o, long_name);
	const struct given *g = k ? place(o, k) : NULL;

	if (g && !overruled(o, g))
		return g->value;
	return f ? f->value : NULL;
}

char *const *slurm_options_script_args(const struct slurm_options *o)
{
	return o->args ? o->args->v : NULL;
}

/* --- getopt_long(), without its global state and its messages --- */

/* More than one that begins so: an older option, if it is the only one. */
static const struct slurm_known_option *abbreviated(const char *name, size_t n)
{
	const struct slurm_known_option *found[2] = {0};
	size_t count[2] = {0};

	for (size_t i = 0; i < slurm_n_known_options; i++) {
		const struct slurm_known_option *k = &slurm_known_options[i];

		if (!n || strncmp(k->name, name, n) != 0)
			continue;
		if (!k->name[n])
			return k;
		found[k->recent] = k;
		count[k->recent]++;
	}
	if (count[0] == 1)
		return found[0];
	return !count[0] && count[1] == 1 ? found[1] : NULL;
}

static const struct slurm_known_option *by_letter(char letter)
{
	for (size_t i = 0; letter && i < slurm_n_known_options; i++)
		if (slurm_known_options[i].letter == letter)
			return &slurm_known_options[i];
	return NULL;
}

/* Either parse returns how many words behind this one it has used. */
static size_t take_long(struct slurm_options *o, char *const *word)
{
	const char *name = *word + 2, *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	const struct slurm_known_option *k = abbreviated(name, n);

	if (!k && equals && n > 0)
		set_foreign(o, name, n, equals + 1);
	if (!k)
		return 0;
	if (k->arg == ARG_NO)
		set(o, k, NULL, false);
	else if (equals || k->arg == ARG_MAYBE)
		set(o, k, equals ? equals + 1 : NULL, false);
	else if (word[1])
		set(o, k, word[1], false);
	return k->arg == ARG_YES && !equals && word[1];
}

static size_t take_short(struct slurm_options *o, char *const *word)
{
	for (const char *at = *word + 1; *at; at++) {
		const struct slurm_known_option *k = by_letter(*at);

		if (!k)
			continue;
		if (k->arg == ARG_NO) {
			set(o, k, NULL, false);
			continue;
		}
		if (at[1] || k->arg == ARG_MAYBE) {
			set(o, k, at + 1, false);
			return 0;
		}
		if (word[1])
			set(o, k, word[1], false);
		return !!word[1];
	}
	return 0;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1];
}

/*
 * Options up to the first word that is none, or to "--", or to the ":" behind
 * a component of a heterogeneous job. Returns where it stopped; behind "--".
 */
static char *const *take_options(struct slurm_options *o, char *const *word)
{
	while (*word && is_option(*word)) {
		if (!strcmp(*word, "--"))
			return word + 1;
		if (!strncmp(*word, "--", 2))
			word += 1 + take_long(o, word);
		else
			word += 1 + take_short(o, word);
		while (*word && o->ends_with_wrap && slurm_option(o, "wrap"))
			word++;
	}
	return word;
}

/* --- the script --- */

struct quoting {
	char quote; /* '\0': none */
	bool escaped;
};

/* One byte of a word; false at the end of the word. */
static bool word_byte(const char **at, struct quoting *q, char *word, size_t *n)
{
	char c = **at;

	if (!c || (!q->quote && strchr(SPACES, c)))
		return false;
	if (!q->escaped && c == '\\') {
		/* Of the spaces, only a blank can be escaped. */
		if ((*at)[1] == ' ')
			word[(*n)++] = *++*at;
		else
			q->escaped = true;
	} else if (!q->escaped && q->quote && c == q->quote) {
		q->quote = '\0';
	} else if (!q->escaped && !q->quote && (c == '"' || c == '\'')) {
		q->quote = c;
	} else if (!q->escaped && !q->quote && c == '#') {
		return false;
	} else {
		q->escaped = false;
		word[(*n)++] = c;
	}
	++*at;
	return true;
}

/*
 * The next word of an #SBATCH line, by the rules of get_argument() of
 * sbatch/opt.c; NULL at the end. An empty word is an end, too. The
 * room is for all that is left of the line.
 */
static char *next_word(const char **at, char *room)
{
	struct quoting q = {0};
	size_t n = 0;

	*at += strspn(*at, SPACES);
	while (word_byte(at, &q, room, &n))
		;
	return n ? copy(room, n) : NULL;
}

/* "hetjob", formerly "packjob": what follows is of another component. */
static bool begins_component(const char *directive)
{
	static const char *const names[] = {"hetjob", "packjob"};

	directive += strspn(directive, SPACES);
	for (size_t i = 0; i < LEN(names); i++) {
		size_t n = strlen(names[i]);

		if (!strncasecmp(directive, names[i], n) &&
			(!directive[n] || strchr(SPACES, directive[n])))
			return true;
	}
	return false;
}

/* Collect the words of one line; false if it is the last to be read. */
static bool take_script_line(struct words *w, const char *line)
{
	auto_free char *room = xcalloc(strlen(line) + 1, 1);
	const char *at = NULL;
	char *word;

	if (!strncmp(line, "#SBATCH", 7))
		at = line + 7;
	else if (!strncmp(line, "#SLURM", 6))
		at = line + 6;
	if (!at) {
		line += strspn(line, SPACES);
		return !*line || *line == '#';
	}
	if (begins_component(at))
		return false;
	while ((word = next_word(&at, room)) != NULL)
		add_word(w, word);
	return true;
}

/* What sbatch makes of --wrap: the command between a heading and a newline. */
static void note_wrapped(struct slurm_options *o, const char *text)
{
	static const char heading[] =
		"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n";
	size_t n = strlen(text), skip = sizeof(heading) - 1;

	if (n <= skip || strncmp(text, heading, skip) != 0 ||
		text[n - 1] != '\n')
		return;
	free(o->wrapped);
	o->wrapped = copy(text + skip, n - skip - 1);
}

void slurm_options_add_script(struct slurm_options *o, const char *text)
{
	struct words w = {0};
	const char *line = text;
	char *const *word;
	bool more = true;

	note_wrapped(o, text);
	while (more && *line) {
		size_t n = strcspn(line, "\n");
		auto_free char *own = copy(line, n);

		more = take_script_line(&w, own);
		line += n + (line[n] == '\n');
	}
	/* sbatch refuses words that are no options: there are none, or junk. */
	o->ends_with_wrap = false;
	for (word = w.v; word && *word; word += *word != NULL)
		word = take_options(o, word);
	free_words(&w);
}

/* --- the environment --- */

static const char *variable(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* slurm_process_option() of common/slurm_opt.c. */
static bool flag_is_set(const char *value)
{
	char *end;

	if (!*value || !strcasecmp(value, "yes"))
		return true;
	return strtol(value, &end, 10) != 0 && !*end;
}

void slurm_options_add_env(struct slurm_options *o, char *const *env)
{
	for (size_t i = 0; i < slurm_n_known_variables; i++) {
		const struct slurm_known_option *k =
			known_option(slurm_known_variables[i].option);
		const char *value =
			variable(env, slurm_known_variables[i].name);
		/* requeue was a flag before 25.11 gave it one argument. */
		bool flag = k->arg == ARG_NO ||
			    (!strcmp(k->name, "requeue") && value &&
				    strcasecmp(value, "expedite") != 0);

		if (!value)
			continue;
		if (!flag)
			set(o, k, value, true);
		else if (flag_is_set(value))
			set(o, k, NULL, true);
		else
			clear(o, k);
	}
}

/* --- the command line --- */

/*
 * Cut at each blank, as they were joined: an argument that was empty is empty
 * again, one that had newlines has them still.
 */
static void split(struct words *w, const char *text, size_t n)
{
	while (n > 0) {
		const char *blank = memchr(text, ' ', n);
		size_t len = blank ? (size_t)(blank - text) : n;

		add_word(w, copy(text, len));
		text += len + 1;
		n -= blank ? len + 1 : n;
		if (blank && !n)
			add_word(w, copy("", 0));
	}
}

/*
 * The argument of --wrap is a command line and looks like more options. The
 * script tells what it was: where is it in the line? NULL if it is not.
 */
static const char *find_wrapped(const struct slurm_options *o, const char *line)
{
	size_t n = o->wrapped ? strlen(o->wrapped) : 0;
	const char *at = line;

	while (n > 0 && (at = strstr(at, " --wrap")) != NULL) {
		at += strlen(" --wrap");
		if ((*at == '=' || *at == ' ') &&
			!strncmp(at + 1, o->wrapped, n) &&
			(at[1 + n] == ' ' || !at[1 + n]))
			return at + 1;
	}
	return NULL;
}

static void split_line(
	struct slurm_options *o, struct words *w, const char *line)
{
	const char *wrapped = find_wrapped(o, line);
	const char *rest;

	o->ends_with_wrap = !wrapped;
	if (!wrapped) {
		split(w, line, strlen(line));
		return;
	}
	rest = wrapped + strlen(o->wrapped);
	split(w, line, (size_t)(wrapped - line) - strlen(" --wrap="));
	add_word(w, xasprintf("--wrap=%s", o->wrapped));
	if (*rest)
		split(w, rest + 1, strlen(rest + 1));
}

/* Options that are not ours to keep: of the later components. */
static char *const *skip_components(char *const *word)
{
	struct slurm_options *other = slurm_options_new();

	while (*word && !strcmp(*word, ":"))
		word = take_options(other, word + 1);
	slurm_options_free(other);
	return word;
}

static char *const *take_line(struct slurm_options *o, char *const *words)
{
	char *const *word = skip_components(take_options(o, words));

	forget_args(o);
	if (*word && !slurm_option(o, "wrap")) {
		o->args = xcalloc(1, sizeof(*o->args));
		o->args->v = xcalloc(1, sizeof(*o->args->v));
		for (char *const *arg = word + 1; *arg; arg++)
			add_word(o->args, xstrdup(*arg));
	}
	return word;
}

void slurm_options_add_line(struct slurm_options *o, const char *submit_line)
{
	struct words w = {0};

	forget_args(o);
	split_line(o, &w, submit_line);
	if (w.n > 0)
		take_line(o, w.v + 1);
	free_words(&w);
}

char *const *slurm_options_add_words(
	struct slurm_options *o, char *const *words)
{
	o->ends_with_wrap = false;
	return take_line(o, words);
}
