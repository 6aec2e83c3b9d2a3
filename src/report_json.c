/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report_json.c - a chain's legs for programs */
#include <string.h>

#include "report.h"
#include "util.h"

/* NULL is null. */
static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *span_json(const struct span *s)
{
	static const char *const what[N_SPAN_KINDS] = {
		[SPAN_RUN] = "run",
		[SPAN_DUMP] = "dump",
		[SPAN_RESTORE] = "restore",
		[SPAN_OTHER] = "other",
		[SPAN_QUEUE] = "queue",
		[SPAN_PAUSED] = "paused",
		[SPAN_UNKNOWN] = "unknown",
	};
	json_t *j = json_pack("{s:s, s:f, s:f}", "what", what[s->kind], "from",
		s->from, "to", s->to);

	if (s->gen)
		json_object_update_new(
			j, json_pack("{s:i, s:f}", "generation", (int)s->gen,
				   "seconds", s->seconds));
	if (s->gen && s->kind == SPAN_DUMP)
		json_object_update_new(
			j, json_pack("{s:f, s:I, s:I, s:I}", "frozen",
				   s->frozen, "memory", (json_int_t)s->memory,
				   "fresh", (json_int_t)s->fresh, "bytes",
				   (json_int_t)s->bytes));
	if (s->reason)
		json_object_set_new(j, "reason", json_string(s->reason));
	return j;
}

static json_t *visit_json(
	const struct report *r, const struct leg *l, size_t at)
{
	const struct visit *v = &r->visits[at];
	json_t *spans = json_array(), *j;

	for (size_t i = l->spans; i < l->spans + l->n_spans; i++)
		if (r->spans[i].visit == at)
			json_array_append_new(spans, span_json(&r->spans[i]));
	j = json_pack("{s:i, s:f, s:f, s:s, s:b, s:b, s:i, s:o}", "step",
		(int)v->step, "from", v->from, "to", v->to, "state", v->state,
		"died", v->died, "moved", v->moved, "dumps", (int)v->dumps,
		"spans", spans);
	if (j && !strcmp(v->state, "finished"))
		json_object_set_new(j, "status", json_integer(v->status));
	if (v->reason)
		json_object_set_new(j, "reason", json_string(v->reason));
	return j;
}

static json_t *leg_json(const struct report *r, const struct leg *l)
{
	json_t *steps = json_array(), *waits = json_array();

	for (size_t i = l->spans; i < l->spans + l->n_spans; i++)
		if (r->spans[i].visit == NO_VISIT)
			json_array_append_new(waits, span_json(&r->spans[i]));
	for (size_t i = l->visits; i < l->visits + l->n_visits; i++)
		if (r->visits[i].state)
			json_array_append_new(steps, visit_json(r, l, i));
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:f, s:f, s:o, s:o}", "leg",
		(int)l->number, "host", text_or_null(l->host), "key",
		text_or_null(l->key), "scheduler", text_or_null(l->scheduler),
		"successor", text_or_null(l->successor), "from", l->from, "to",
		l->to, "waits", waits, "steps", steps);
}

static json_t *sums_json(const struct report_sums *s)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f,"
			 " s:f, s:i, s:i, s:i, s:i, s:i, s:i}",
		"total", s->total, "run", s->of[SPAN_RUN], "dump",
		s->of[SPAN_DUMP], "restore", s->of[SPAN_RESTORE], "other",
		s->of[SPAN_OTHER], "queue", s->of[SPAN_QUEUE], "paused",
		s->of[SPAN_PAUSED], "unknown", s->of[SPAN_UNKNOWN], "frozen",
		s->frozen, "lost", s->lost, "lost_at_most", s->lost_at_most,
		"dumps", (int)s->dumps, "failed_dumps", (int)s->failed_dumps,
		"restores", (int)s->restores, "failed_restores",
		(int)s->failed_restores, "moves", (int)s->moves, "deaths",
		(int)s->deaths);
}

json_t *report_json(const struct report *r)
{
	json_t *legs = json_array(), *steps = json_array();

	for (size_t i = 0; i < r->n_legs; i++)
		json_array_append_new(legs, leg_json(r, &r->legs[i]));
	for (size_t i = 1; i <= r->n_steps; i++)
		json_array_append_new(
			steps, json_pack("{s:i, s:O?, s:o}", "step", (int)i,
				       "argv", r->steps[i].argv, "cwd",
				       text_or_null(r->steps[i].cwd)));
	return json_pack("{s:s, s:s, s:f, s:i, s:o, s:o, s:o}", "chain", r->id,
		"state", chain_state_name[r->state], "now", r->now, "damaged",
		(int)r->damaged, "steps", steps, "sums", sums_json(&r->sums),
		"legs", legs);
}
