/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_verify.c - are the checkpoints of a chain whole, to the last byte? */
#include <stdio.h>
#include <sysexits.h>

#include "chain_facts.h"
#include "cmd.h"
#include "cmd_parts.h"
#include "log.h"
#include "util.h"

struct verify {
	unsigned wanted; /* generation, 0: all */
	unsigned seen, bad;
};

/* A chain that runs may remove it at any time. */
static bool is_gone(int step, unsigned gen)
{
	return store_newest(step, gen + 1) != gen;
}

static void verify_generation(struct verify *v, int step, unsigned gen)
{
	struct err err;
	struct store_reader *r = store_open(step, gen, &err);
	const char *damage;

	v->seen++;
	if (r && !store_verify(r, &err)) {
		printf("generation %u: good, %.1f MB\n", gen,
			(double)bytes_of(r) / 1e6);
	} else if (is_gone(step, gen)) {
		printf("generation %u: removed meanwhile\n", gen);
	} else {
		damage = damage_of(&err, gen);
		printf("generation %u: %s: %s\n", gen,
			damage ? "damaged" : "cannot be read",
			damage ? damage : err.text);
		v->bad++;
	}
	if (r)
		store_close(r);
	/* It may take a while to the next line. */
	fflush(stdout);
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
	for (size_t i = 0; i < n; i++) {
		if (v->wanted && all[i].gen != v->wanted)
			continue;
		if (s->many)
			printf("step %u, ", number);
		verify_generation(v, step, all[i].gen);
	}
}

static int verify(struct verify *v, const struct selection *s)
{
	for (unsigned i = s->first; i <= s->last; i++)
		verify_step(v, s, i);
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
	"Usage: checkpointer [OPTION]... verify CHAIN [GENERATION] [--step=N]\n"
	"\n"
	"Read the checkpoints of CHAIN, or the one that is named, and compare every\n"
	"page with its checksum: a line for each, good or damaged.\n"
	"\n"
	"      --step=N     only those of this step\n"
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
	ret = verify(&v, &s);
	chain_close(&s.chain);
	return ret;
}
