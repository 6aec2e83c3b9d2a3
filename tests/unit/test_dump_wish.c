/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "dump_wish.h"
#include "util.h"

/* "state:on" as a line of leg 1, step 1; "*" begins a supervisor. */
static json_t *line(const char *word)
{
	const char *on = strchr(word, ':');
	bool begun = *word == '*';
	json_t *j = json_pack("{s:s, s:i, s:i, s:s#, s:s}", "event", "state",
		"leg", 1, "step", 1, "state", word + begun,
		(int)(on - word - begun), "on", on + 1);

	if (begun)
		json_object_update_new(
			j, json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:b}",
				   "pid", 4000000, "born", 7, "host", "n1",
				   "job", "12", "save", "USR2", "leave",
				   "SIG34", "by_shell", true));
	if (strstr(word, ":dumped"))
		json_object_update_new(
			j, json_pack("{s:i, s:i, s:f}", "gen", 3, "bytes", 5000,
				   "seconds", 1.5));
	if (strstr(word, "failed"))
		json_object_set_new(j, "reason", json_string("no room"));
	return j;
}

/* Words apart by ", ", before and after the wish; how it stands then. */
static struct dump_wish wish(
	json_t *lines, bool leave, const char *before, const char *after)
{
	auto_free char *first = xstrdup(before), *then = xstrdup(after);
	struct dump_wish w;
	char *rest;

	for (char *s = strtok_r(first, ",", &rest); s;
		s = strtok_r(NULL, ",", &rest))
		json_array_append_new(lines, line(s));
	if (!dump_wish_begin(&w, lines, 1, 1, leave))
		w.pid = 0;
	for (char *s = strtok_r(then, ",", &rest); s;
		s = strtok_r(NULL, ",", &rest)) {
		json_array_append_new(lines, line(s));
		dump_wish_follow(
			&w, json_array_get(lines, json_array_size(lines) - 1));
	}
	return w;
}

static void test_begin(void **state)
{
	static const struct {
		const char *before;
		bool at_work;
		enum wish is;
	} known[] = {
		{"", false, WISH_EARLY},
		{"*starting:started", true, WISH_EARLY},
		{"*starting:started,running:started", true, WISH_READY},
		{"*restoring:started", true, WISH_EARLY},
		{"*restoring:started,restored:restored", true, WISH_READY},
		{"*starting:started,running:started,dumping:save", true,
			WISH_HEARD},
		{"*starting:started,running:started,dumping:save,"
		 "running:dumped",
			true, WISH_READY},
		{"*starting:started,running:started,dumping:leave,"
		 "running:dump failed",
			true, WISH_READY},
		{"*starting:started,running:started,dumping:leave,"
		 "submitting:dumped",
			true, WISH_HEARD},
		{"*starting:started,running:started,dumping:leave,"
		 "submitting:dumped,running:submit failed",
			true, WISH_READY},
		{"*starting:started,finished:command ended", false,
			WISH_FAILED},
		{"*starting:started,dumping:leave,submitting:dumped,"
		 "resubmitted:submitted",
			false, WISH_FAILED},
		{"running:started", false, WISH_READY},
	};

	(void)state;
	for (size_t i = 0; i < LEN(known); i++) {
		for (int leave = 0; leave < 2; leave++) {
			json_t *lines = json_array();
			struct dump_wish w =
				wish(lines, leave, known[i].before, "");

			if ((w.pid > 0) != known[i].at_work ||
				(w.pid > 0 && w.is != known[i].is))
				fail_msg("'%s': %d, %d", known[i].before,
					(int)w.pid, (int)w.is);
			json_decref(lines);
		}
	}
}

static void test_who(void **state)
{
	json_t *lines = json_array();
	struct dump_wish w = wish(lines, false, "*starting:started", "");

	(void)state;
	assert_int_equal(w.pid, 4000000);
	assert_int_equal(w.born, 7);
	assert_string_equal(w.host, "n1");
	assert_string_equal(w.job, "12");
	assert_int_equal(w.sig, SIGUSR2);
	assert_true(w.by_shell);
	w = wish(lines, true, "", "");
	assert_int_equal(w.sig, 34);
	json_decref(lines);
}

static void test_outcome(void **state)
{
	static const char running[] = "*starting:started,running:started";
	static const struct {
		const char *before, *after;
		bool leave;
		enum wish is;
		const char *why; /* a part */
	} known[] = {
		{running, "", false, WISH_READY, ""},
		{running, "dumping:save", false, WISH_HEARD, ""},
		{running, "dumping:save,running:dumped", false, WISH_DONE, ""},
		{running, "dumping:save,running:dump failed", false,
			WISH_FAILED, "no room"},
		/* The last dump of the leg is as good. */
		{running, "dumping:leave,submitting:dumped", false, WISH_DONE,
			""},
		{running, "dumping:leave,running:dump failed", false,
			WISH_FAILED, "no room"},
		{running, "finished:command ended", false, WISH_FAILED,
			"has ended"},
		{running, "dumping:save,finished:command ended", false,
			WISH_FAILED, "has ended"},
		{running, "failed:keeper lost", false, WISH_FAILED, "no room"},
		{running, "ending:terminate", false, WISH_FAILED, "to end"},
		{running, "moving:command killed", false, WISH_FAILED, "lost"},
		{"*restoring:started", "restored:restored", false, WISH_READY,
			""},
		{"*restoring:started", "restoring:restore failed", false,
			WISH_EARLY, ""},
		/* One that leaves. */
		{running, "dumping:leave,submitting:dumped", true, WISH_HEARD,
			""},
		{running,
			"dumping:leave,submitting:dumped,"
			"resubmitted:submitted",
			true, WISH_DONE, ""},
		{running,
			"dumping:leave,submitting:dumped,"
			"stopped:no successor wanted",
			true, WISH_DONE, ""},
		{running,
			"dumping:leave,submitting:dumped,running:submit failed",
			true, WISH_FAILED, "no room"},
		{running, "dumping:leave,running:dump failed", true,
			WISH_FAILED, "no room"},
		/* What another dump comes to does not matter then. */
		{"*starting:started,running:started,dumping:save",
			"running:dump failed", true, WISH_READY, ""},
		{"*starting:started,running:started,dumping:save",
			"running:dumped", true, WISH_READY, ""},
		{"*starting:started,running:started,dumping:save",
			"running:dumped", false, WISH_DONE, ""},
	};

	(void)state;
	for (size_t i = 0; i < LEN(known); i++) {
		json_t *lines = json_array();
		struct dump_wish w = wish(
			lines, known[i].leave, known[i].before, known[i].after);

		if (w.is != known[i].is || !strstr(w.why, known[i].why))
			fail_msg("'%s' is %d: %s", known[i].after, (int)w.is,
				w.why);
		if (w.is == WISH_DONE) {
			assert_int_equal(w.made.gen, 3);
			assert_true(w.made.bytes == 5000);
			assert_true(w.made.seconds == 1.5);
		}
		json_decref(lines);
	}
}

/* Other steps, and other legs, are not this one. */
static void test_others(void **state)
{
	json_t *lines = json_array(), *other;
	struct dump_wish w =
		wish(lines, false, "*starting:started,running:started", "");
	static const char *const keys[] = {"leg", "step"};

	(void)state;
	for (size_t i = 0; i < LEN(keys); i++) {
		other = line("running:dumped");
		json_object_set_new(other, keys[i], json_integer(2));
		dump_wish_follow(&w, other);
		json_decref(other);
	}
	assert_int_equal(w.is, WISH_READY);
	json_decref(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begin),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_outcome),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
