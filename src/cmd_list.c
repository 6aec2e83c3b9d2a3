/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_list.c - which chains there are, and what their checkpoints take */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "chain.h"
#include "chain_facts.h"
#include "cmd_parts.h"
#include "log.h"
#include "store.h"
#include "trees.h"
#include "util.h"

/* --- what there is, as JSON: it is printed as such, or as a table --- */

static double time_of(int step, unsigned gen)
{
	json_t *m = store_manifest(step, gen, NULL);
	double t = json_number_value(json_object_get(m, "time"));

	json_decref(m);
	return t;
}

static json_t *describe_generation(
	int step, unsigned number, const struct store_info *g)
{
	return json_pack("{s:i, s:i, s:f, s:I, s:I, s:I, s:I}", "step",
		(int)number, "generation", (int)g->gen, "time",
		time_of(step, g->gen), "memory", (json_int_t)g->memory, "fresh",
		(json_int_t)g->fresh, "unique", (json_int_t)g->unique, "shared",
		(json_int_t)g->shared);
}

static json_t *describe_steps(const struct chain *c, unsigned steps)
{
	json_t *list = json_array();

	for (unsigned i = 1; i <= steps; i++) {
		auto_close int step = chain_open_step(c, i, NULL);
		auto_free struct store_info *g = NULL;
		size_t n = 0;

		if (step >= 0)
			g = store_list(step, &n);
		for (size_t k = 0; k < n; k++)
			json_array_append_new(
				list, describe_generation(step, i, &g[k]));
	}
	return list;
}

static json_t *describe(const struct chain *c, struct err *err)
{
	struct chain_facts f;

	if (chain_look(c, false, &f, err))
		return NULL;
	return json_pack("{s:s, s:s, s:i, s:i, s:f, s:I, s:o}", "chain", c->id,
		"state", chain_state_name[f.state], "legs", (int)f.legs,
		"steps", (int)f.steps, "last", f.last, "disk",
		(json_int_t)tree_bytes(c->dir), "generations",
		describe_steps(c, f.steps));
}

static int add_chain(json_t *list, const char *base, const char *id)
{
	struct chain chain;
	struct err err;
	json_t *j;

	if (chain_open(&chain, base, id, false, &err)) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	j = describe(&chain, &err);
	if (!j)
		log_error("chain %s: %s", id, err.text);
	chain_close(&chain);
	return j && !json_array_append_new(list, j) ? 0 : EX_IOERR;
}

static int add_all(json_t *list, const char *base)
{
	struct err err;
	char **names = chain_names(base, &err);
	int ret = 0, now;

	if (!names) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	for (size_t i = 0; names[i]; i++) {
		now = add_chain(list, base, names[i]);
		ret = ret ? ret : now;
	}
	chain_names_free(names);
	return ret;
}

/* --- tables --- */

static unsigned number_of(const json_t *j, const char *key)
{
	return (unsigned)json_integer_value(json_object_get(j, key));
}

static const char *size_of(const json_t *j, const char *key, char buf[32])
{
	json_int_t n = json_integer_value(json_object_get(j, key));

	return show_size((uint64_t)n, buf);
}

static const char *moment_of(const json_t *j, const char *key, char buf[32])
{
	time_t t = (time_t)json_number_value(json_object_get(j, key));
	struct tm tm;

	if (t <= 0 || !localtime_r(&t, &tm) ||
		!strftime(buf, 32, "%Y-%m-%d %H:%M", &tm))
		snprintf(buf, 32, "-");
	return buf;
}

/* What the generations would take as plain images. */
static const char *memory_of(const json_t *generations, char buf[32])
{
	json_int_t sum = 0;
	const json_t *g;
	size_t i;

	json_array_foreach(generations, i, g)
	{
		sum += json_integer_value(json_object_get(g, "memory"));
	}
	return show_size((uint64_t)sum, buf);
}

static void print_chains(const json_t *list)
{
	char memory[32], disk[32], last[32];
	int width = 5, n;
	const json_t *c;
	size_t i;

	json_array_foreach(list, i, c)
	{
		n = (int)strlen(text_of(c, "chain"));
		width = n > width ? n : width;
	}
	printf("%-*s  %-11s  %4s %5s %11s %8s %8s  %s\n", width, "chain",
		"state", "legs", "steps", "generations", "memory", "disk",
		"last change");
	json_array_foreach(list, i, c)
	{
		const json_t *g = json_object_get(c, "generations");

		printf("%-*s  %-11s  %4u %5u %11zu %8s %8s  %s\n", width,
			text_of(c, "chain"), text_of(c, "state"),
			number_of(c, "legs"), number_of(c, "steps"),
			json_array_size(g), memory_of(g, memory),
			size_of(c, "disk", disk), moment_of(c, "last", last));
	}
}

static void print_generation(const json_t *g)
{
	char memory[32], fresh[32], unique[32], shared[32], made[32];

	/* What an index that cannot be read is told as. */
	bool damaged = !json_integer_value(json_object_get(g, "memory"));

	printf("%4u %10u  %-16s %8s %8s %8s %8s%s\n", number_of(g, "step"),
		number_of(g, "generation"), moment_of(g, "time", made),
		size_of(g, "memory", memory), size_of(g, "fresh", fresh),
		size_of(g, "unique", unique), size_of(g, "shared", shared),
		damaged ? "  damaged" : "");
}

static void print_chain(const json_t *c)
{
	const json_t *generations = json_object_get(c, "generations"), *g;
	char disk[32], last[32];
	size_t i;

	printf("chain %s: %s since %s, legs %u, steps %u, %s on disk\n",
		text_of(c, "chain"), text_of(c, "state"),
		moment_of(c, "last", last), number_of(c, "legs"),
		number_of(c, "steps"), size_of(c, "disk", disk));
	if (json_array_size(generations) == 0)
		return;
	printf("%4s %10s  %-16s %8s %8s %8s %8s\n", "step", "generation",
		"made", "memory", "fresh", "unique", "shared");
	json_array_foreach(generations, i, g)
	{
		print_generation(g);
	}
}

const char cmd_list_help[] =
	"Usage: checkpointer [OPTION]... list [--json] [CHAIN]\n"
	"\n"
	"Show all chains with their states and what they take, or the checkpoints of\n"
	"CHAIN: how much memory each holds, and how much of that only it has.\n"
	"\n"
	"      --json       an array of objects for programs, in bytes and seconds\n"
	"  -d, --dir=DIR    where the chains are, if not at the usual place\n"
	"  -h, --help       print this\n"
	"\n"
	"Example:\n"
	"  checkpointer list fit\n";

int cmd_list(struct invocation *in)
{
	json_t *list = json_array();
	const char *id = in->args[0];
	int ret, printed;

	if (id && in->args[1]) {
		log_error("list takes the name of one chain, or none: "
			  "checkpointer list [CHAIN]");
		json_decref(list);
		return EX_USAGE;
	}
	ret = id ? add_chain(list, in->cfg.dir, id)
		 : add_all(list, in->cfg.dir);
	if (in->json) {
		printed = print_for_programs(list);
		ret = ret ? ret : printed;
	} else if (!id) {
		print_chains(list);
	} else if (!ret) {
		print_chain(json_array_get(list, 0));
	}
	json_decref(list);
	return ret;
}
