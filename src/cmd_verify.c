/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_verify.c - are the checkpoints of a chain whole, to the last byte? */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "chain_facts.h"
#include "cmd.h"
#include "cmd_parts.h"
#include "log.h"
#include "util.h"

struct verify {
	unsigned wanted; /* generation, 0: all */
	unsigned seen, bad;
	json_t *list; /* NULL: each is printed when it is known */
};

/* A chain that runs may remove it at any time. */
static bool is_gone(int step, unsigned gen)
{
	return store_newest(step, gen + 1) != gen;
}

/* --- what is found, as JSON: it is printed as such, or as lines --- */

static json_t *found(
	unsigned number, unsigned gen, const char *state, const char *reason)
{
	return json_pack("{s:i, s:i, s:s, s:s*}", "step", (int)number,
		"generation", (int)gen, "state", state, "reason", reason);
}

static json_t *look_at(int step, unsigned number, unsigned gen)
{
	struct err err;
	struct store_reader *r = store_open(step, gen, &err);
	bool good = r && !store_verify(r, &err);
	const char *damage;
	json_t *j;

	if (good) {
		j = found(number, gen, "good", NULL);
		json_object_set_new(
			j, "bytes", json_integer((json_int_t)bytes_of(r)));
	} else if (is_gone(step, gen)) {
		j = found(number, gen, "removed", NULL);
	} else {
		damage = damage_of(&err, gen);
		j = found(number, gen, damage ? "damaged" : "unreadable",
			damage ? damage : err.text);
	}
	if (r)
		store_close(r);
	return j;
}

static void print(const json_t *j, bool many)
{
	const char *state = text_of(j, "state"), *reason = text_of(j, "reason");

	if (many)
		printf("step %d, ",
			(int)json_integer_value(json_object_get(j, "step")));
	printf("generation %d: ",
		(int)json_integer_value(json_object_get(j, "generation")));
	if (reason)
		printf("%s: %s\n",
			strcmp(state, "damaged") ? "cannot be read" : state,
			reason);
	else if (!strcmp(state, "good"))
		printf("good, %.1f MB\n",
			json_number_value(json_object_get(j, "bytes")) / 1e6);
	else
		printf("removed meanwhile\n");
	/* It may take a while to the next line. */
	fflush(stdout);
}

static void verify_generation(struct verify *v, const struct selection *s,
	int step, unsigned number, unsigned gen)
{
	json_t *j = look_at(step, number, gen);

	v->seen++;
	if (text_of(j, "reason"))
		v->bad++;
	if (!v->list)
		print(j, s->many);
	else if (json_array_append(v->list, j))
		v->bad++;
	json_decref(j);
}

static void verify_step(
	struct verify *v, const struct selection *s, unsigned number)
{
	auto_free struct store_info *all = NULL;
	struct err err;
	auto_close int step = chain_open_step(&s->chain, number, &err);
	size_t n = 0;

	/* A step that was never dumped need not have a directory. */
	if (step < 0 && err.num != ENOENT) {
		log_error("step %u: %s", number, err.text);
		v->bad++;
	}
	if (step >= 0)
		all = store_list(step, &n);
	for (size_t i = 0; i < n; i++)
		if (!v->wanted || all[i].gen == v->wanted)
			verify_generation(v, s, step, number, all[i].gen);
}

static int verify(struct verify *v, const struct selection *s)
{
	for (unsigned i = s->first; i <= s->last; i++)
		verify_step(v, s, i);
	if (v->list && print_for_programs(v->list))
		return EX_IOERR;
	if (v->bad)
		return EX_DATAERR;
	if (v->seen)
		return 0;
	if (v->wanted)
		log_error("chain %s has no generation %u", s->chain.id,
			v->wanted);
	else
		log_error("chain %s has no checkpoint", s->chain.id);
	return EX_NOINPUT;
}

const char cmd_verify_help[] =
	"Usage: checkpointer [OPTION]... verify CHAIN [GENERATION] [--step=N] [--json]\n"
	"\n"
	"Read the checkpoints of CHAIN, or the one that is named, and compare every\n"
	"page with its checksum: a line for each, good or damaged.\n"
	"\n"
	"      --step=N     only those of this step\n"
	"      --json       an array of objects for programs\n"
	"  -d, --dir=DIR    where its checkpoints are, if not at the usual place\n"
	"  -h, --help       print this\n"
	"\n"
	"The exit status is 65 if one is damaged. Example:\n"
	"  checkpointer verify fit\n";

int cmd_verify(struct invocation *in)
{
	struct verify v = {0};
	struct selection s;
	int ret;

	if (!in->args[0] || (in->args[1] && in->args[2])) {
		log_error("verify takes the name of a chain, and perhaps a "
			  "generation: checkpointer verify CHAIN [GENERATION]");
		return EX_USAGE;
	}
	if (in->args[1] && select_generation(in->args[1], &v.wanted))
		return EX_USAGE;
	ret = select_steps(&s, in, in->args[0]);
	if (ret)
		return ret;
	v.list = in->json ? json_array() : NULL;
	ret = verify(&v, &s);
	json_decref(v.list);
	chain_close(&s.chain);
	return ret;
}
