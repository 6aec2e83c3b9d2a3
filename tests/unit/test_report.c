/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "report.h"
#include "report_rows.h"
#include "tree.h"
#include "util.h"

/* --- journals --- */

/* "running/dump_failed#3!why": state, event, generation, reason */
static void fill_state(json_t *j, char *state)
{
	char *reason = strchr(state, '!'), *gen, *on;

	if (reason) {
		*reason++ = '\0';
		json_object_set_new(j, "reason", json_string(reason));
	}
	gen = strchr(state, '#');
	if (gen) {
		*gen++ = '\0';
		json_object_update_new(j,
			json_pack("{s:i, s:f, s:f, s:i, s:i, s:i}", "gen",
				atoi(gen), "seconds", 2.0, "frozen", 0.5,
				"bytes", 1000, "memory", 9000, "fresh", 3000));
	}
	on = strchr(state, '/');
	*on++ = '\0';
	for (char *p = on; *p; p++)
		*p = *p == '_' ? ' ' : *p;
	json_object_update_new(
		j, json_pack("{s:s, s:s, s:s, s:i}", "event", "state", "state",
			   state, "on", on, "status", 0));
}

/*
 * A journal as words, each with its second in front: 0:chain 10:L1@n1 (leg 1
 * on n1) 10:S1 (it reaches step 1) 12:1=running/started (step 1's state)
 * 30:+77 (submitted as job 77).
 */
static json_t *journal(const char *words)
{
	auto_free char *copy = xstrdup(words);
	json_t *lines = json_array();
	char *rest, *w;
	int leg = 0;

	for (w = strtok_r(copy, " ", &rest); w;
		w = strtok_r(NULL, " ", &rest)) {
		json_t *j = json_pack("{s:f}", "t", strtod(w, &w));
		const char *event = "chain";

		w++;
		if (*w == 'L') {
			event = "leg";
			leg = atoi(w + 1);
			json_object_set_new(
				j, "host", json_string(strchr(w, '@') + 1));
		} else if (*w == 'S') {
			event = "step";
			json_object_set_new(
				j, "step", json_integer(atoi(w + 1)));
			json_object_set_new(j, "argv",
				json_pack("[s, s]", "<script>alert(1)</script>",
					"it's \"x\" & y\x01"));
			json_object_set_new(j, "cwd", json_string("/a<b"));
		} else if (*w == '+') {
			event = "submitted";
			json_object_set_new(j, "job", json_string(w + 1));
		}
		json_object_set_new(j, "event", json_string(event));
		if (strchr(w, '=')) {
			json_object_set_new(j, "step", json_integer(atoi(w)));
			fill_state(j, strchr(w, '=') + 1);
		}
		if (leg)
			json_object_set_new(j, "leg", json_integer(leg));
		json_array_append_new(lines, j);
	}
	return lines;
}

static struct report read_words(const char *words, double now)
{
	struct report r;

	report_from(&r, journal(words), now > 0, now > 0 ? now : 10000);
	r.id = "t";
	return r;
}

static void same(double have, double want)
{
	if (have < want - 0.001 || have > want + 0.001)
		fail_msg("%f, not %f", have, want);
}

/* All time is told of. */
static void whole(const struct report *r)
{
	double sum = 0;

	for (int k = 0; k < N_SPAN_KINDS; k++)
		sum += r->sums.of[k];
	same(sum, r->sums.total);
}

/* fclose() as an argument confuses cppcheck. */
static void close_well(FILE *to)
{
	int rc = fclose(to);

	assert_int_equal(rc, 0);
}

/* --- what is in them --- */

#define FIRST                                                                  \
	"0:chain 10:L1@n1 10:S1 10:1=starting/started 12:1=running/started "
#define LEAVES                                                                 \
	FIRST "72:1=dumping/leave 75:1=submitting/dumped#1 76:+77 "            \
	      "76:1=resubmitted/submitted 77:1=resubmitted/command_ended "
#define SECOND "177:L2@n2 177:S1 177:1=restoring/started "

static void test_nothing(void **state)
{
	struct report r = read_words("", 0);

	(void)state;
	assert_int_equal(r.n_legs, 0);
	same(r.sums.total, 0);
	report_free(&r);
	r = read_words("0:chain 1:L1@n1", 0);
	assert_int_equal(r.n_legs, 1);
	assert_int_equal(r.n_visits, 0);
	report_free(&r);
}

static void test_one_leg(void **state)
{
	struct report r = read_words(FIRST "42:1=finished/command_ended", 0);
	char how[32];

	(void)state;
	assert_int_equal(r.n_legs, 1);
	assert_string_equal(r.legs[0].host, "n1");
	assert_string_equal(visit_end(&r.visits[0], how), "finished (0)");
	assert_string_equal(report_end(&r, how), "finished (0)");
	same(r.sums.total, 32);
	same(r.sums.of[SPAN_OTHER], 2);
	same(r.sums.of[SPAN_RUN], 30);
	same(r.sums.lost, 0);
	whole(&r);
	report_free(&r);
}

static void test_two_legs(void **state)
{
	struct report r = read_words(LEAVES SECOND
		"187:1=restored/restored#1 227:1=finished/command_ended",
		0);

	(void)state;
	assert_int_equal(r.n_legs, 2);
	assert_string_equal(r.legs[0].successor, "77");
	assert_null(r.legs[1].successor);
	same(r.sums.total, 217);
	same(r.sums.of[SPAN_RUN], 100);
	same(r.sums.of[SPAN_DUMP], 3);
	same(r.sums.of[SPAN_RESTORE], 10);
	same(r.sums.of[SPAN_QUEUE], 100);
	same(r.sums.of[SPAN_OTHER], 4);
	same(r.sums.frozen, 0.5);
	same(r.sums.lost_at_most, 0);
	assert_int_equal(r.sums.dumps, 1);
	assert_int_equal(r.sums.restores, 1);
	assert_int_equal(r.visits[0].dumps, 1);
	same(r.visits[0].bytes, 1000);
	same(r.visits[1].restore, 2);
	whole(&r);
	report_free(&r);
}

static void test_crash(void **state)
{
	/* It computes 60 s, is saved, and 20 s later it dies. */
	struct report r = read_words(FIRST
		"72:1=dumping/save 75:1=running/dumped#1 95:S1 " SECOND
		"187:1=restored/restored#1 227:1=finished/command_ended",
		0);
	char how[32];

	(void)state;
	assert_true(r.visits[0].died);
	assert_string_equal(visit_end(&r.visits[0], how), "died");
	assert_int_equal(r.sums.deaths, 1);
	same(r.sums.lost, 20);
	same(r.sums.lost_at_most, 102);
	same(r.sums.of[SPAN_RUN], 120);
	same(r.sums.of[SPAN_UNKNOWN], 82);
	whole(&r);
	report_free(&r);
}

static void test_crash_without_checkpoint(void **state)
{
	struct report r = read_words(FIRST "32:S1 177:L2@n2 177:S1 "
					   "177:1=starting/started "
					   "178:1=running/started "
					   "200:1=finished/command_ended",
		0);

	(void)state;
	same(r.sums.lost, 20);
	same(r.sums.lost_at_most, 165);
	report_free(&r);
}

/* Nobody goes on with it as yet. */
static void test_dead(void **state)
{
	struct report r = read_words(
		FIRST "72:1=dumping/save 75:1=running/dumped#1 95:S1", 0);
	char how[32];

	(void)state;
	assert_string_equal(report_end(&r, how), "died");
	same(r.sums.lost, 20);
	assert_int_equal(r.sums.deaths, 1);
	report_free(&r);
	r = read_words(FIRST "95:1=failed/keeper_lost!it_was_lost", 0);
	same(r.sums.lost, 83);
	assert_string_equal(r.visits[0].reason, "it_was_lost");
	assert_int_equal(r.sums.deaths, 0);
	report_free(&r);
}

static void test_running(void **state)
{
	struct report r = read_words(FIRST, 100);
	char how[32];

	(void)state;
	assert_false(r.visits[0].died);
	assert_string_equal(report_end(&r, how), "running");
	same(r.sums.of[SPAN_RUN], 88);
	same(r.sums.lost, 0);
	whole(&r);
	report_free(&r);
}

static void test_older_generation(void **state)
{
	struct report r = read_words(FIRST
		"72:1=dumping/save 75:1=running/dumped#1 "
		"105:1=dumping/leave 106:1=submitting/dumped#2 "
		"107:1=resubmitted/submitted " SECOND
		"180:1=restoring/restore_failed!damaged "
		"187:1=restored/restored#1 200:1=dumping/save "
		"203:1=running/dump_failed!io_uring "
		"227:1=finished/command_ended",
		0);
	const char *reasons[3] = {NULL, NULL, NULL};
	size_t n = 0;

	(void)state;
	same(r.sums.lost, 30);
	same(r.sums.lost_at_most, 30);
	assert_int_equal(r.sums.failed_restores, 1);
	assert_int_equal(r.sums.failed_dumps, 1);
	assert_int_equal(r.sums.dumps, 2);
	for (size_t i = 0; i < r.n_spans; i++)
		if (r.spans[i].reason)
			reasons[n++] = r.spans[i].reason;
	assert_int_equal(n, 2);
	assert_string_equal(reasons[0], "damaged");
	assert_string_equal(reasons[1], "io_uring");
	whole(&r);
	report_free(&r);
}

static void test_moved(void **state)
{
	struct report r = read_words(LEAVES SECOND
		"180:1=moving/cannot_restore_here!no_room 181:+78 "
		"181:1=resubmitted/submitted 281:L3@n3 281:S1 "
		"281:1=restoring/started 283:1=restored/restored#1 "
		"300:1=finished/command_ended",
		0);

	(void)state;
	assert_int_equal(r.sums.moves, 1);
	assert_true(r.visits[1].moved);
	assert_false(r.visits[1].died);
	same(r.sums.of[SPAN_QUEUE], 200);
	same(r.sums.lost, 0);
	whole(&r);
	report_free(&r);
}

/* Until a person says `restore'. */
static void test_stopped(void **state)
{
	struct report r = read_words(FIRST
		"72:1=dumping/leave 75:1=submitting/dumped#1 "
		"77:1=stopped/no_successor_wanted " SECOND
		"187:1=restored/restored#1 227:1=finished/command_ended",
		0);

	(void)state;
	same(r.sums.of[SPAN_PAUSED], 100);
	same(r.sums.of[SPAN_QUEUE], 0);
	whole(&r);
	report_free(&r);
}

/* A script has work of its own before, between and behind its steps. */
static void test_script(void **state)
{
	struct report r = read_words(
		"0:chain 10:L1@n1 20:S1 20:1=starting/started "
		"21:1=running/started 30:1=finished/command_ended 50:S2 "
		"50:2=starting/started 51:2=running/started "
		"60:2=finished/command_ended",
		0);

	(void)state;
	same(r.sums.total, 50);
	same(r.sums.of[SPAN_RUN], 18);
	same(r.sums.of[SPAN_OTHER], 32);
	whole(&r);
	report_free(&r);
}

static void test_steps(void **state)
{
	/* One after the other, then two side by side. */
	struct report r = read_words(FIRST
		"20:1=finished/command_ended 20:S2 "
		"20:2=starting/started 21:2=running/started 30:S3 "
		"30:3=starting/started 31:3=running/started "
		"60:2=dumping/leave 60:3=dumping/leave "
		"62:3=submitting/dumped#1 63:2=submitting/dumped#1 "
		"64:2=resubmitted/submitted 64:3=resubmitted/submitted "
		"100:L2@n1 100:S1 100:S2 100:S3 100:2=restoring/started "
		"100:3=restoring/started 110:2=restored/restored#1 "
		"110:3=restored/restored#1 120:2=finished/command_ended "
		"130:3=finished/command_ended",
		0);
	struct report_rows rows = report_rows(&r, 1);

	(void)state;
	assert_int_equal(r.n_steps, 3);
	assert_int_equal(r.n_visits, 6);
	/* Step 1 is passed over in leg 2, and no row. */
	assert_null(r.visits[3].state);
	assert_int_equal(rows.n, 5);
	same(r.sums.total, 120);
	same(r.sums.of[SPAN_RUN], 8 + 39 + 20);
	same(r.sums.of[SPAN_QUEUE], 36);
	whole(&r);
	free(rows.row);
	report_free(&r);
}

/* The second node's clock is behind. */
static void test_clocks(void **state)
{
	struct report r = read_words(LEAVES
		"50:L2@n2 50:S1 50:1=restoring/started "
		"52:1=restored/restored#1 80:1=finished/command_ended",
		0);

	(void)state;
	assert_int_equal(r.n_legs, 2);
	for (size_t i = 0; i < r.n_spans; i++)
		assert_true(r.spans[i].to >= r.spans[i].from);
	same(r.sums.total, 70);
	whole(&r);
	report_free(&r);
}

/* What is left of a leg that is past changes nothing. */
static void test_late_line(void **state)
{
	json_t *lines = journal(LEAVES SECOND "187:1=restored/restored#1");
	struct report r;

	(void)state;
	json_array_append_new(
		lines, json_pack("{s:f, s:s, s:i, s:i, s:s, s:s}", "t", 190.0,
			       "event", "state", "leg", 1, "step", 1, "state",
			       "failed", "on", "keeper lost"));
	report_from(&r, lines, true, 200);
	assert_int_equal(r.n_visits, 2);
	assert_string_equal(r.visits[0].state, "resubmitted");
	assert_int_equal(r.n_legs, 2);
	report_free(&r);
}

static void test_garbage(void **state)
{
	static const char *const odd[] = {
		"{}",
		"{\"t\":\"x\",\"event\":7,\"leg\":-1,\"step\":2}",
		"{\"t\":5,\"event\":\"state\",\"leg\":1,\"step\":1}",
		"{\"t\":6,\"event\":\"state\",\"leg\":3,\"step\":2,"
		"\"state\":\"odd\",\"on\":5,\"status\":\"x\"}",
		"{\"t\":1e300,\"event\":\"state\",\"leg\":3,\"step\":2,"
		"\"state\":\"dumping\",\"on\":\"save\"}",
		"{\"t\":7,\"event\":\"state\",\"leg\":3,\"step\":2,"
		"\"state\":\"running\",\"on\":\"dumped\"}",
		"{\"t\":7,\"event\":\"step\",\"leg\":3,\"step\":4,"
		"\"argv\":{\"a\":1},\"cwd\":1}",
	};
	json_t *lines = json_array();
	struct report r;
	char *page;
	size_t size;
	FILE *to = open_memstream(&page, &size);

	(void)state;
	for (size_t i = 0; i < LEN(odd); i++)
		json_array_append_new(lines, json_loads(odd[i], 0, NULL));
	report_from(&r, lines, false, 10);
	r.id = "t";
	report_table(&r, to);
	report_timeline(&r, 80, true, to);
	report_html(&r, to);
	json_decref(report_json(&r));
	report_free(&r);
	close_well(to);
	free(page);
}

/* --- with a directory --- */

static void test_torn(void **state)
{
	char path[] = "/tmp/test_report.XXXXXX";
	struct chain c;
	struct report r;
	struct err err;
	int rc;

	(void)state;
	assert_non_null(mkdtemp(path));
	if (chain_open(&c, path, "t", true, &err))
		fail_msg("%s", err.text);
	assert_true(
		dprintf(c.journal, "{\"t\":5,\"event\":\"leg\",\"leg\":1}\n"
				   "{\"t\":6,\"event\":\"state\",\"leg\":1,"
				   "\"step\":1,\"state\":\"running\",\"on\":"
				   "\"started\"}\n"
				   "{\"t\":7,\"event\":\"sta") > 0);
	rc = report_read(&r, &c, &err);
	assert_int_equal(rc, 0);
	assert_int_equal(r.damaged, 1);
	assert_int_equal(r.n_legs, 1);
	assert_true(r.visits[0].died);
	assert_string_equal(r.id, "t");
	report_free(&r);
	chain_close(&c);
	assert_int_equal(remove_tree(path), 0);
}

/* --- rows --- */

static void test_rows(void **state)
{
	struct report r = read_words(LEAVES
		"90000:L2@n2 90000:S1 90000:1=restoring/started "
		"90010:1=restored/restored#1 90040:1=finished/command_ended",
		0);
	struct report_rows rows = report_rows(&r, 1);

	(void)state;
	assert_int_equal(rows.n, 2);
	same(rows.row[1].waited, 90000 - 77);
	/* No longer than what it would dwarf. */
	same(rows.row[1].origin, 90000 - 67);
	same(rows.longest, 67 + 40);
	free(rows.row);
	rows = report_rows(&r, 7);
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.row[0].n_legs, 2);
	same(rows.longest, 90030);
	free(rows.row);
	report_free(&r);
}

/* --- texts --- */

static char *drawn(const struct report *r, unsigned width, bool colour)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	report_timeline(r, width, colour, to);
	close_well(to);
	return text;
}

static void test_timeline(void **state)
{
	struct report r = read_words(LEAVES SECOND
		"187:1=restored/restored#1 227:1=finished/command_ended",
		0);

	(void)state;
	for (unsigned width = 60; width <= 200; width += 35) {
		auto_free char *text = drawn(&r, width, false);
		char *rest, *line;
		unsigned rows = 0;

		assert_non_null(strstr(text, "waiting in the queue"));
		assert_null(strchr(text, '\033'));
		for (line = strtok_r(text, "\n", &rest); line;
			line = strtok_r(NULL, "\n", &rest)) {
			if (!strchr(line, '|'))
				continue;
			assert_int_equal(strlen(line), width);
			assert_non_null(strchr(line, '='));
			rows++;
		}
		assert_int_equal(rows, 2);
	}
	report_free(&r);
}

static void test_colour(void **state)
{
	struct report r = read_words(LEAVES, 0);
	auto_free char *text = drawn(&r, 80, true);

	(void)state;
	assert_non_null(strstr(text, "\033[0;32m="));
	report_free(&r);
}

static char *page_of(const struct report *r, size_t *size)
{
	char *page = NULL;
	FILE *to = open_memstream(&page, size);

	report_html(r, to);
	close_well(to);
	return page;
}

static void test_html(void **state)
{
	struct report r = read_words(LEAVES SECOND
		"180:1=restoring/restore_failed!<b>bad\"</b> "
		"187:1=restored/restored#1 227:1=finished/command_ended",
		0);
	size_t size;
	auto_free char *page = page_of(&r, &size);

	(void)state;
	assert_non_null(strstr(page, "id=\"leg-2\""));
	assert_non_null(strstr(page, "href=\"#leg-2\""));
	assert_null(strstr(page, "<script>"));
	assert_null(strstr(page, "<b>bad"));
	assert_null(strchr(page, '\x01'));
	assert_non_null(strstr(page, "&#39;&lt;script&gt;alert(1)&lt;/script"
				     "&gt;&#39; &#39;it&#39;\\&#39;&#39;s "
				     "&quot;x&quot; &amp; y&#xfffd;&#39;"));
	assert_non_null(strstr(page, "&lt;b&gt;bad&quot;&lt;/b&gt;"));
	assert_non_null(strstr(page, "a&lt;b"));
	assert_null(strstr(page, "://"));
	report_free(&r);
}

/* Legs of a chain, each with a checkpoint and a wait. */
static json_t *many(int n)
{
	json_t *lines = json_array();

	for (int i = 1; i <= n; i++) {
		static const char *const steps[][2] = {{"restoring", "started"},
			{"restored", "restored"}, {"dumping", "leave"},
			{"submitting", "dumped"}, {"resubmitted", "submitted"}};

		json_array_append_new(
			lines, json_pack("{s:i, s:s, s:i, s:s}", "t", i * 1000,
				       "event", "leg", "leg", i, "host", "n1"));
		for (int k = 0; k < (int)LEN(steps); k++)
			json_array_append_new(lines,
				json_pack("{s:i, s:s, s:i, s:i, s:s, s:s, s:i,"
					  " s:f}",
					"t", i * 1000 + k * 100, "event",
					"state", "leg", i, "step", 1, "state",
					steps[k][0], "on", steps[k][1], "gen",
					k == 1 ? i - 1 : i, "memory", 1e9));
	}
	return lines;
}

static void test_many_legs(void **state)
{
	struct report r;
	size_t size, rows = 0;
	char *page;

	(void)state;
	report_from(&r, many(10000), false, 2e7);
	r.id = "t";
	same(r.sums.of[SPAN_QUEUE], 9999 * 600);
	same(r.sums.lost, 0);
	page = page_of(&r, &size);
	assert_true(size < 4000000);
	for (const char *p = page; (p = strstr(p, "<a class=\"row")); p++)
		rows++;
	assert_true(rows > 100 && rows <= 300);
	assert_non_null(strstr(page, "id=\"leg-9999\""));
	free(page);
	report_free(&r);
}

static void test_json(void **state)
{
	struct report r = read_words(LEAVES SECOND
		"187:1=restored/restored#1 227:1=finished/command_ended",
		0);
	json_t *j = report_json(&r), *leg, *step;

	(void)state;
	assert_non_null(j);
	assert_string_equal(
		json_string_value(json_object_get(j, "state")), "finished");
	assert_int_equal(json_array_size(json_object_get(j, "legs")), 2);
	leg = json_array_get(json_object_get(j, "legs"), 1);
	step = json_array_get(json_object_get(leg, "steps"), 0);
	same(json_number_value(json_object_get(
		     json_array_get(json_object_get(step, "spans"), 0), "to")),
		187);
	same(json_number_value(
		     json_object_get(json_object_get(j, "sums"), "queue")),
		100);
	json_decref(j);
	report_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_one_leg),
		cmocka_unit_test(test_two_legs),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_crash_without_checkpoint),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_older_generation),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_script),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_late_line),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_html),
		cmocka_unit_test(test_many_legs),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
