/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report_facts.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "chain_facts.h"
#include "util.h"

const char *const span_name[N_SPAN_KINDS] = {
	[SPAN_RUN] = "computing",
	[SPAN_DUMP] = "checkpoints",
	[SPAN_RESTORE] = "restoring",
	[SPAN_OTHER] = "everything else",
	[SPAN_QUEUE] = "waiting in the queue",
	[SPAN_PAUSED] = "waiting to be continued",
	[SPAN_UNKNOWN] = "not known",
};

/* The year 9999: a later time is a slip. */
#define LATEST 253402300799.0

/* --- lines --- */

static double number(const json_t *line, const char *key)
{
	return json_number_value(json_object_get(line, key));
}

/* Seconds or bytes; what nobody could mean is 0. */
static double amount(const json_t *line, const char *key)
{
	double n = number(line, key);

	return n > 0 && n < 1e18 ? n : 0;
}

static const char *text(const json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

/* A leg or a step, 0 if it is none. */
static unsigned count(const json_t *line, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(line, key));

	return n > 0 && n < 1000000 ? (unsigned)n : 0;
}

static bool is(const char *a, const char *b)
{
	return a && !strcmp(a, b);
}

/* --- growing --- */

/* An array of n with room for one more; it doubles when n is a power of 2. */
static void *with_room(void *array, size_t n, size_t size)
{
	void *more;

	if (n & (n - 1))
		return array;
	more = xcalloc(n ? 2 * n : 1, size);
	if (n)
		memcpy(more, array, n * size);
	free(array);
	return more;
}

static size_t add_span(struct report *r, enum span_kind kind, size_t visit,
	double from, double to)
{
	struct leg *l = &r->legs[r->n_legs - 1];

	r->spans = with_room(r->spans, r->n_spans, sizeof(*r->spans));
	r->spans[r->n_spans] = (struct span){
		.kind = kind, .visit = visit, .from = from, .to = to};
	l->n_spans++;
	return r->n_spans++;
}

static struct report_step *step_of(struct report *r, unsigned step)
{
	struct report_step *more;

	if (step > r->n_steps) {
		more = xcalloc(step + 1, sizeof(*more));
		if (r->steps)
			memcpy(more, r->steps,
				(r->n_steps + 1) * sizeof(*more));
		free(r->steps);
		r->steps = more;
		r->n_steps = step;
	}
	return &r->steps[step];
}

static size_t visit_of(struct report *r, struct leg *l, unsigned step, double t)
{
	for (size_t i = l->visits; i < r->n_visits; i++)
		if (r->visits[i].step == step)
			return i;
	r->visits = with_room(r->visits, r->n_visits, sizeof(*r->visits));
	r->visits[r->n_visits] = (struct visit){.leg = l->number,
		.step = step,
		.from = t,
		.to = t,
		.open = NO_VISIT};
	l->n_visits++;
	return r->n_visits++;
}

/* --- lost work --- */

/* The step goes on, or would, from where it had computed so much. */
static void go_back_to(struct report *r, struct report_step *s, double work)
{
	double lost = s->work > work ? s->work - work : 0;

	r->sums.lost += lost;
	r->sums.lost_at_most += lost + s->unsure;
	s->work = work;
	s->unsure = 0;
}

/* What was computed before this generation, 0: before the newest one. */
static double work_before(const struct report *r, unsigned step, unsigned gen)
{
	for (size_t i = r->n_spans; i-- > 0;) {
		const struct span *s = &r->spans[i];

		if (s->kind == SPAN_DUMP && s->gen &&
			r->visits[s->visit].step == step &&
			(!gen || s->gen == gen))
			return s->work;
	}
	return 0;
}

/* --- a change of state --- */

static void end_dump(struct report *r, struct span *s, const json_t *line)
{
	struct visit *v = &r->visits[s->visit];

	if (!is(text(line, "on"), "dumped")) {
		s->reason = text(line, "reason");
		r->sums.failed_dumps++;
		return;
	}
	s->work = r->steps[v->step].work;
	s->gen = count(line, "gen");
	s->seconds = v->dump = amount(line, "seconds");
	s->bytes = v->bytes = amount(line, "bytes");
	s->memory = amount(line, "memory");
	s->fresh = amount(line, "fresh");
	s->frozen = amount(line, "frozen");
	r->sums.frozen += s->frozen;
	r->sums.dumps++;
	v->dumps++;
}

static void end_restore(struct report *r, struct span *s, const json_t *line)
{
	struct visit *v = &r->visits[s->visit];

	if (!is(text(line, "on"), "restored")) {
		s->reason = text(line, "reason");
		r->sums.failed_restores++;
		return;
	}
	s->gen = count(line, "gen");
	s->seconds = v->restore = amount(line, "seconds");
	r->sums.restores++;
	go_back_to(r, &r->steps[v->step], work_before(r, v->step, s->gen));
}

/* With a line, that tells how it ended. */
static void end_span(
	struct report *r, struct span *s, double t, const json_t *line)
{
	s->to = t;
	if (s->kind == SPAN_RUN)
		r->steps[r->visits[s->visit].step].work += t - s->from;
	else if (s->kind == SPAN_DUMP && line)
		end_dump(r, s, line);
	else if (s->kind == SPAN_RESTORE && line)
		end_restore(r, s, line);
}

/* N_SPAN_KINDS: nothing goes on in it. */
static enum span_kind kind_in(const char *state)
{
	static const struct {
		const char *state;
		enum span_kind kind;
	} known[] = {
		{"starting", SPAN_OTHER},
		{"running", SPAN_RUN},
		{"restored", SPAN_RUN},
		{"ending", SPAN_RUN},
		{"dumping", SPAN_DUMP},
		{"restoring", SPAN_RESTORE},
		{"submitting", SPAN_OTHER},
		{"moving", SPAN_OTHER},
		{"resubmitted", SPAN_OTHER},
		{"stopped", SPAN_OTHER},
	};

	for (size_t i = 0; i < LEN(known); i++)
		if (!strcmp(state, known[i].state))
			return known[i].kind;
	return N_SPAN_KINDS;
}

static bool goes_on(const struct span *s, enum span_kind kind)
{
	return s->kind == kind && (kind == SPAN_RUN || kind == SPAN_OTHER);
}

static void change_span(
	struct report *r, size_t at, const json_t *line, double t)
{
	struct visit *v = &r->visits[at];
	enum span_kind kind = kind_in(v->state);
	struct span *s = v->open != NO_VISIT ? &r->spans[v->open] : NULL;

	if (s && goes_on(s, kind))
		return;
	if (s)
		end_span(r, s, t, line);
	v->open = NO_VISIT;
	if (!strcmp(v->state, "starting"))
		go_back_to(r, &r->steps[v->step], 0);
	if (kind != N_SPAN_KINDS)
		v->open = add_span(r, kind, at, t, t);
}

static void add_state(struct report *r, struct leg *l, size_t at,
	const json_t *line, double t)
{
	struct visit *v = &r->visits[at];
	const char *state = text(line, "state");

	v->to = t;
	if (!state)
		return;
	v->state = state;
	v->status = (int)json_integer_value(json_object_get(line, "status"));
	if (is(state, "failed"))
		v->reason = text(line, "reason");
	if (is(state, "moving") && is(text(line, "on"), "cannot restore here"))
		v->moved = true;
	if (is(state, "resubmitted") ||
		json_is_true(json_object_get(line, "requeued")))
		l->successor = l->successor ? l->successor : "";
	change_span(r, at, line, t);
}

/* --- legs --- */

/* Did it end, and say so? */
static bool has_ended(const struct visit *v)
{
	return is(v->state, "finished") || is(v->state, "failed") ||
	       is(v->state, "stopped") || is(v->state, "resubmitted");
}

/* Who reads this later knows no more than the last line. */
static bool close_visits(struct report *r, struct leg *l, bool died)
{
	bool any = false;

	for (size_t i = l->visits; i < r->n_visits; i++) {
		struct visit *v = &r->visits[i];
		bool open = v->state && !has_ended(v);

		if (v->open != NO_VISIT)
			end_span(r, &r->spans[v->open], open ? l->to : v->to,
				NULL);
		v->open = NO_VISIT;
		v->died = open && died;
		any |= v->died;
	}
	return any;
}

/* The leg died: each step that was at work may have worked on. */
static void add_unknown(struct report *r, struct leg *l, double until)
{
	bool any = false;
	size_t n = r->n_visits;

	for (size_t i = l->visits; i < n; i++) {
		if (!r->visits[i].died)
			continue;
		add_span(r, SPAN_UNKNOWN, i, l->to, until);
		r->steps[r->visits[i].step].unsure += until - l->to;
		any = true;
	}
	if (!any)
		add_span(r, SPAN_UNKNOWN, NO_VISIT, l->to, until);
}

/* What is between this leg and the next one? */
static enum span_kind gap_after(
	const struct report *r, const struct leg *l, bool died)
{
	enum span_kind kind = SPAN_UNKNOWN;

	if (l->successor)
		return SPAN_QUEUE;
	for (size_t i = l->visits; i < r->n_visits; i++)
		if (is(r->visits[i].state, "stopped") ||
			is(r->visits[i].state, "failed"))
			kind = SPAN_PAUSED;
	return died ? SPAN_UNKNOWN : kind;
}

static void begin_leg(struct report *r, unsigned n, double t)
{
	struct leg *last = r->n_legs ? &r->legs[r->n_legs - 1] : NULL;
	enum span_kind gap = SPAN_RUN;
	double ended = last ? last->to : t;

	if (last) {
		bool died = close_visits(r, last, true);

		gap = gap_after(r, last, died);
		if (gap == SPAN_UNKNOWN) {
			add_unknown(r, last, t);
			r->sums.deaths++;
		}
	}
	r->legs = with_room(r->legs, r->n_legs, sizeof(*r->legs));
	r->legs[r->n_legs++] = (struct leg){.number = n,
		.from = t,
		.to = t,
		.visits = r->n_visits,
		.spans = r->n_spans};
	if (gap == SPAN_QUEUE || gap == SPAN_PAUSED)
		add_span(r, gap, NO_VISIT, ended, t);
}

/* The leg of a line; NULL: none, or one that is past. */
static struct leg *leg_of(struct report *r, const json_t *line, double t)
{
	unsigned n = count(line, "leg");
	unsigned newest = r->n_legs ? r->legs[r->n_legs - 1].number : 0;

	if (n > newest)
		begin_leg(r, n, t);
	return n && n >= newest ? &r->legs[r->n_legs - 1] : NULL;
}

static void add_step(struct report *r, const json_t *line, unsigned n)
{
	struct report_step *s = step_of(r, n);
	const json_t *argv = json_object_get(line, "argv");

	if (!json_is_array(argv))
		return;
	s->argv = argv;
	s->cwd = text(line, "cwd");
}

static void add_line(struct report *r, const json_t *line, double t)
{
	const char *event = text(line, "event");
	unsigned step = count(line, "step");
	struct leg *l = leg_of(r, line, t);
	size_t visit;

	if (is(event, "chain"))
		r->program = text(line, "program");
	if (!l)
		return;
	l->to = t;
	if (is(event, "leg")) {
		l->host = text(line, "host");
		l->key = text(line, "key");
		l->scheduler = text(line, "scheduler");
	} else if (is(event, "submitted")) {
		l->successor = text(line, "job");
		l->successor = l->successor ? l->successor : "";
	}
	if (!step)
		return;
	step_of(r, step);
	visit = visit_of(r, l, step, t);
	r->visits[visit].to = t;
	if (is(event, "step"))
		add_step(r, line, step);
	else if (is(event, "state"))
		add_state(r, l, visit, line, t);
}

/* --- all of it --- */

/* Of a chain that nobody goes on with as yet, too. */
static void lose_after_end(struct report *r, const struct leg *l)
{
	for (size_t i = l->visits; i < r->n_visits; i++) {
		const struct visit *v = &r->visits[i];

		if (v->died || is(v->state, "failed"))
			go_back_to(r, &r->steps[v->step],
				work_before(r, v->step, 0));
	}
}

static void end_last_leg(struct report *r)
{
	struct leg *l = r->n_legs ? &r->legs[r->n_legs - 1] : NULL;

	if (!l)
		return;
	if (r->running && r->now > l->to)
		l->to = r->now;
	if (close_visits(r, l, !r->running))
		r->sums.deaths++;
	if (!r->running)
		lose_after_end(r, l);
	r->sums.total = l->to - r->legs[0].from;
}

/* How much time is in spans of these kinds? They are in order of time. */
static double covered(const struct span *s, size_t n, unsigned kinds)
{
	double sum = 0, end = 0;

	for (size_t i = 0; i < n; i++) {
		double from = s[i].from > end ? s[i].from : end;

		if (!(kinds & 1U << s[i].kind) || s[i].to <= from)
			continue;
		sum += s[i].to - from;
		end = s[i].to;
	}
	return sum;
}

/* Between and before its steps a script does work of its own. */
static void add_leg(
	struct report_sums *sums, const struct report *r, const struct leg *l)
{
	const struct span *s = r->spans + l->spans;
	double before = 0, now;

	for (unsigned k = SPAN_RUN; k < SPAN_OTHER; k++) {
		now = covered(s, l->n_spans, (2U << k) - 1);
		sums->of[k] += now - before;
		before = now;
	}
	sums->of[SPAN_OTHER] += l->to - l->from - before;
	for (unsigned k = SPAN_OTHER + 1; k < N_SPAN_KINDS; k++)
		sums->of[k] += covered(s, l->n_spans, 1U << k);
}

static void sum_up(struct report *r)
{
	for (size_t i = 0; i < r->n_legs; i++)
		add_leg(&r->sums, r, &r->legs[i]);
	for (size_t i = 0; i < r->n_visits; i++)
		r->sums.moves += r->visits[i].moved;
}

void report_from(struct report *r, json_t *lines, bool running, double now)
{
	double newest = 0, t;
	const json_t *line;
	size_t i;

	*r = (struct report){.running = running, .now = now, .lines = lines};
	json_array_foreach(lines, i, line)
	{
		/* The clocks of two nodes may differ, and time only goes on. */
		t = number(line, "t");
		newest = t > newest && t < LATEST ? t : newest;
		add_line(r, line, newest);
	}
	end_last_leg(r);
	sum_up(r);
	r->state = chain_facts(lines, running).state;
}

int report_read(struct report *r, const struct chain *c, struct err *err)
{
	struct chain_facts f;
	unsigned damaged;
	json_t *lines = chain_look_at(c, false, &f, &damaged, err);

	if (!lines)
		return -1;
	report_from(r, lines, f.state == CHAIN_RUNNING, now_wall());
	r->id = c->id;
	r->damaged = damaged;
	return 0;
}

void report_free(struct report *r)
{
	free(r->legs);
	free(r->visits);
	free(r->spans);
	free(r->steps);
	json_decref(r->lines);
	*r = (struct report){0};
}

const char *visit_end(const struct visit *v, char buf[32])
{
	if (v->died)
		snprintf(buf, 32, "died");
	else if (v->moved && is(v->state, "resubmitted"))
		snprintf(buf, 32, "moved");
	else if (!is(v->state, "finished"))
		snprintf(buf, 32, "%.31s", v->state ? v->state : "-");
	else if (WIFSIGNALED(v->status))
		snprintf(buf, 32, "finished (SIG%s)",
			signal_name(WTERMSIG(v->status)));
	else
		snprintf(buf, 32, "finished (%d)", WEXITSTATUS(v->status));
	return buf;
}

const char *report_end(const struct report *r, char buf[32])
{
	snprintf(buf, 32, "%s", chain_state_name[r->state]);
	for (size_t i = 0; r->state == CHAIN_FINISHED && i < r->n_visits; i++)
		if (r->visits[i].state)
			visit_end(&r->visits[i], buf);
	return buf;
}
