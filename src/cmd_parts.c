/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd_parts.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "chain_facts.h"
#include "log.h"
#include "util.h"

static int select_open(struct selection *s, const struct invocation *in)
{
	struct chain_facts facts;
	struct err err;

	s->first = 1;
	if (in->step && parse_count(in->step, &s->first, &err)) {
		log_error("--step: %s", err.text);
		return EX_USAGE;
	}
	if (chain_look(&s->chain, false, &facts, &err)) {
		log_error("chain %s: %s", s->chain.id, err.text);
		return EX_IOERR;
	}
	s->last = in->step ? s->first : facts.steps;
	s->many = facts.steps > 1;
	if (s->last <= facts.steps)
		return 0;
	log_error("chain %s has no step %u", s->chain.id, s->last);
	return EX_NOINPUT;
}

int select_steps(
	struct selection *s, const struct invocation *in, const char *id)
{
	struct err err;
	int ret;

	if (chain_open(&s->chain, in->cfg.dir, id, false, &err)) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	ret = select_open(s, in);
	if (ret)
		chain_close(&s->chain);
	return ret;
}

int select_generation(const char *text, unsigned *gen)
{
	struct err err;

	if (!parse_count(text, gen, &err))
		return 0;
	log_error("a generation is a number: %s", err.text);
	return EX_USAGE;
}

const char *damage_of(const struct err *err, unsigned gen)
{
	auto_free char *start = xasprintf("generation %u is damaged", gen);
	size_t n = strlen(start);

	if (strncmp(err->text, start, n) != 0)
		return NULL;
	return err->text + n + strspn(err->text + n, ": ");
}

uint64_t bytes_of(const struct store_reader *r)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < store_streams(r); i++)
		bytes += store_size(r, i);
	return bytes;
}

int print_for_programs(const json_t *j)
{
	if (j && !json_dumpf(j, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER) &&
		putchar('\n') != EOF && !fflush(stdout))
		return 0;
	log_error("cannot write JSON to standard output: %s",
		errno ? strerror(errno) : "out of memory");
	return EX_IOERR;
}
