/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "machine.h"
#include "util.h"

/*
 * What each event means in each state, written down from the words of
 * machine.h and not from machine.c. A pair that is not here is an event
 * without meaning.
 */
struct answer {
	bool ruled;
	enum state to;
	enum action action;
};

#define GO(to, action) {true, to, action}

/* Whatever ends the command or its keeper while it lives and is wanted. */
#define MORTAL                                                                 \
	[E_EXITED] = GO(S_FINISHED, A_FINISH), [E_LOST] = GO(S_FAILED, A_FAIL)

/* And of these, what is known to be as good as its last generation. */
#define MORTAL_AND_SAVED MORTAL, [E_KILLED] = GO(S_MOVING, A_SUBMIT)

static const struct answer wanted[N_STATES][N_EVENTS] = {
	[S_STARTING] =
		{
			[E_STARTED] = GO(S_RUNNING, A_WATCH),
			[E_START_FAILED] = GO(S_FAILED, A_FAIL),
			[E_LEAVE] = GO(S_STARTING, A_REMEMBER),
			[E_TERMINATE] = GO(S_ENDING, A_END),
			MORTAL,
		},
	[S_RUNNING] =
		{
			[E_SAVE] = GO(S_SAVING, A_SAVE),
			[E_LEAVE] = GO(S_LEAVING, A_LEAVE),
			[E_TERMINATE] = GO(S_ENDING, A_END),
			MORTAL_AND_SAVED,
		},
	/* A generation that fails, or kills its keeper, has older siblings. */
	[S_RESTORING] =
		{
			[E_PREPARED] = GO(S_RESTORING, A_RESTORE),
			[E_RESTORED] = GO(S_RESTORED, A_WATCH),
			[E_RESTORE_FAILED] = GO(S_RESTORING, A_OLDER),
			[E_LOST] = GO(S_RESTORING, A_OLDER),
			[E_START_FAILED] = GO(S_FAILED, A_FAIL),
			[E_MOVE] = GO(S_MOVING, A_SUBMIT),
			[E_LEAVE] = GO(S_RESTORING, A_REMEMBER),
			[E_TERMINATE] = GO(S_ENDING, A_END),
		},
	[S_RESTORED] =
		{
			[E_SAVE] = GO(S_SAVING, A_SAVE),
			[E_LEAVE] = GO(S_LEAVING, A_LEAVE),
			[E_TERMINATE] = GO(S_ENDING, A_END),
			MORTAL_AND_SAVED,
		},
	[S_SAVING] =
		{
			[E_PREPARED] = GO(S_SAVING, A_DUMP),
			[E_DUMPED] = GO(S_RUNNING, A_WATCH),
			[E_DUMP_FAILED] = GO(S_RUNNING, A_AGAIN),
			[E_LEAVE] = GO(S_SAVING, A_REMEMBER),
			[E_TERMINATE] = GO(S_ENDING, A_END),
			MORTAL_AND_SAVED,
		},
	[S_LEAVING] =
		{
			[E_PREPARED] = GO(S_LEAVING, A_DUMP),
			[E_DUMPED] = GO(S_SUBMITTING, A_SUBMIT),
			[E_DUMP_FAILED] = GO(S_RUNNING, A_AGAIN),
			[E_TERMINATE] = GO(S_ENDING, A_END),
			MORTAL_AND_SAVED,
		},
	/* The tree is stopped and saved: its end is noted, not repeated. */
	[S_SUBMITTING] =
		{
			[E_SUBMITTED] = GO(S_RESUBMITTED, A_KILL),
			[E_SUBMIT_FAILED] = GO(S_RUNNING, A_THAW),
			[E_STAY_DOWN] = GO(S_STOPPED, A_KILL),
			[E_EXITED] = GO(S_SUBMITTING, A_NOTE),
			[E_LOST] = GO(S_SUBMITTING, A_NOTE),
		},
	[S_MOVING] =
		{
			[E_SUBMITTED] = GO(S_RESUBMITTED, A_QUIT),
			[E_STAY_DOWN] = GO(S_STOPPED, A_QUIT),
			[E_SUBMIT_FAILED] = GO(S_FAILED, A_FAIL),
		},
	[S_RESUBMITTED] =
		{
			[E_EXITED] = GO(S_RESUBMITTED, A_QUIT),
			[E_LOST] = GO(S_RESUBMITTED, A_QUIT),
		},
	[S_STOPPED] =
		{
			[E_EXITED] = GO(S_STOPPED, A_QUIT),
			[E_LOST] = GO(S_STOPPED, A_QUIT),
		},
	/* What is there only now was not there to be asked before. */
	[S_ENDING] =
		{
			[E_STARTED] = GO(S_ENDING, A_END),
			[E_RESTORED] = GO(S_ENDING, A_END),
			[E_TERMINATE] = GO(S_ENDING, A_END),
			[E_START_FAILED] = GO(S_FAILED, A_FAIL),
			[E_RESTORE_FAILED] = GO(S_FAILED, A_FAIL),
			MORTAL,
		},
	/* S_FINISHED and S_FAILED are the end. */
};

static void test_every_pair(void **state)
{
	unsigned pairs = 0;

	(void)state;
	for (unsigned s = 0; s < N_STATES; s++)
		for (unsigned e = 0; e < N_EVENTS; e++) {
			struct answer w = wanted[s][e];
			struct transition t =
				machine_next((enum state)s, (enum event)e);

			if (!w.ruled)
				w = (struct answer){
					true, (enum state)s, A_IGNORE};
			if (t.to != w.to || t.action != w.action)
				fail_msg("%s (%u) on '%s': state %u, action "
					 "%u instead of %u, %u",
					machine_state_name((enum state)s), s,
					machine_event_name((enum event)e), t.to,
					t.action, w.to, w.action);
			pairs++;
		}
	assert_int_equal(pairs, sizeof(wanted) / sizeof(wanted[0][0]));
}

static void test_all_is_in_range(void **state)
{
	(void)state;
	for (unsigned s = 0; s < N_STATES; s++)
		for (unsigned e = 0; e < N_EVENTS; e++) {
			struct transition t =
				machine_next((enum state)s, (enum event)e);

			assert_in_range(t.to, 0, N_STATES - 1);
			assert_in_range(t.action, A_IGNORE, N_ACTIONS - 1);
			if (t.action == A_IGNORE || t.action == A_REMEMBER)
				assert_int_equal(t.to, s);
		}
}

/* A command that is gone, or may be, must not be waited for. */
static void test_the_end_of_the_command_counts(void **state)
{
	static const enum state alive[] = {S_STARTING, S_RUNNING, S_RESTORED,
		S_SAVING, S_LEAVING, S_SUBMITTING, S_RESUBMITTED, S_STOPPED,
		S_ENDING};

	(void)state;
	for (size_t i = 0; i < LEN(alive); i++) {
		assert_int_not_equal(
			machine_next(alive[i], E_EXITED).action, A_IGNORE);
		assert_int_not_equal(
			machine_next(alive[i], E_LOST).action, A_IGNORE);
	}
}

static void test_nothing_leaves_the_end(void **state)
{
	(void)state;
	for (unsigned e = 0; e < N_EVENTS; e++) {
		struct transition t = machine_next(S_FINISHED, (enum event)e);

		assert_int_equal(t.to, S_FINISHED);
		assert_int_equal(t.action, A_IGNORE);
		t = machine_next(S_FAILED, (enum event)e);
		assert_int_equal(t.to, S_FAILED);
		assert_int_equal(t.action, A_IGNORE);
	}
}

/* Promise 2: what is killed is saved, and its successor is accepted. */
static void test_killing_needs_a_generation(void **state)
{
	(void)state;
	for (unsigned s = 0; s < N_STATES; s++)
		for (unsigned e = 0; e < N_EVENTS; e++) {
			struct transition t =
				machine_next((enum state)s, (enum event)e);

			if (t.action == A_KILL) {
				assert_int_equal(s, S_SUBMITTING);
				assert_true(
					e == E_SUBMITTED || e == E_STAY_DOWN);
			}
			if (t.to == S_SUBMITTING && s != S_SUBMITTING)
				assert_int_equal(e, E_DUMPED);
			if (t.to == S_RESUBMITTED && s != S_RESUBMITTED)
				assert_int_equal(e, E_SUBMITTED);
		}
}

/* Who is asked before a dump is asked before each, and only there. */
static void test_a_dump_is_prepared(void **state)
{
	(void)state;
	for (unsigned s = 0; s < N_STATES; s++)
		for (unsigned e = 0; e < N_EVENTS; e++) {
			struct transition t =
				machine_next((enum state)s, (enum event)e);
			bool dumps = s == S_SAVING || s == S_LEAVING;

			if (t.to != s &&
				(t.to == S_SAVING || t.to == S_LEAVING))
				assert_true(t.action == A_SAVE ||
					    t.action == A_LEAVE);
			assert_int_equal(
				t.action == A_DUMP, dumps && e == E_PREPARED);
		}
	/* A refusal is a dump that failed. */
	assert_int_equal(machine_next(S_SAVING, E_DUMP_FAILED).action, A_AGAIN);
	assert_int_equal(
		machine_next(S_LEAVING, E_DUMP_FAILED).action, A_AGAIN);
}

static unsigned reachable(unsigned from)
{
	unsigned seen = from, before;

	do {
		before = seen;
		for (unsigned s = 0; s < N_STATES; s++)
			for (unsigned e = 0; e < N_EVENTS; e++)
				if (seen & 1U << s)
					seen |= 1U
						<< machine_next((enum state)s,
							   (enum event)e)
							   .to;
	} while (seen != before);
	return seen;
}

static void test_every_state_is_reached(void **state)
{
	const unsigned all = (1U << N_STATES) - 1;
	const unsigned restored = 1U << S_RESTORING | 1U << S_RESTORED;

	(void)state;
	assert_int_equal(reachable(1U << S_STARTING | 1U << S_RESTORING), all);
	/* A fresh start is no restore, and the other way round. */
	assert_int_equal(reachable(1U << S_STARTING), all & ~restored);
	assert_int_equal(
		reachable(1U << S_RESTORING), all & ~(1U << S_STARTING));
}

/* The end of a leg: an end state, or the action that ends it. */
static bool can_end(unsigned s)
{
	unsigned seen = reachable(1U << s);

	for (unsigned t = 0; t < N_STATES; t++)
		for (unsigned e = 0; e < N_EVENTS; e++)
			if ((seen & 1U << t) &&
				machine_next((enum state)t, (enum event)e)
						.action == A_QUIT)
				return true;
	return (seen & (1U << S_FINISHED | 1U << S_FAILED)) != 0;
}

static void test_every_state_can_end(void **state)
{
	(void)state;
	for (unsigned s = 0; s < N_STATES; s++)
		if (!can_end(s))
			fail_msg("no way out of %s",
				machine_state_name((enum state)s));
}

/* Ends whose action is the last one. */
static void test_ends_are_acted_upon(void **state)
{
	(void)state;
	for (unsigned s = 0; s < N_STATES; s++)
		for (unsigned e = 0; e < N_EVENTS; e++) {
			struct transition t =
				machine_next((enum state)s, (enum event)e);

			if (t.to != s && t.to == S_FINISHED)
				assert_int_equal(t.action, A_FINISH);
			if (t.to != s && t.to == S_FAILED)
				assert_int_equal(t.action, A_FAIL);
			if (t.action == A_FINISH)
				assert_int_equal(t.to, S_FINISHED);
			if (t.action == A_FAIL)
				assert_int_equal(t.to, S_FAILED);
		}
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned s = 0; s < N_STATES; s++) {
		const char *name = machine_state_name((enum state)s);

		assert_non_null(name);
		assert_true(*name);
		/* The journal and its readers tell states by their names. */
		for (unsigned t = 0; t < s; t++)
			if (s != S_LEAVING || t != S_SAVING)
				assert_string_not_equal(name,
					machine_state_name((enum state)t));
	}
	assert_string_equal(machine_state_name(S_SAVING), "dumping");
	assert_string_equal(machine_state_name(S_LEAVING), "dumping");
	assert_string_equal(machine_state_name(S_FINISHED), "finished");
	for (unsigned e = 0; e < N_EVENTS; e++) {
		const char *name = machine_event_name((enum event)e);

		assert_non_null(name);
		assert_true(*name);
		for (unsigned f = 0; f < e; f++)
			assert_string_not_equal(
				name, machine_event_name((enum event)f));
	}
}

static void test_is_running(void **state)
{
	(void)state;
	for (unsigned s = 0; s < N_STATES; s++)
		assert_int_equal(machine_is_running((enum state)s),
			s == S_RUNNING || s == S_RESTORED || s == S_SAVING ||
				s == S_ENDING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair),
		cmocka_unit_test(test_all_is_in_range),
		cmocka_unit_test(test_the_end_of_the_command_counts),
		cmocka_unit_test(test_nothing_leaves_the_end),
		cmocka_unit_test(test_killing_needs_a_generation),
		cmocka_unit_test(test_a_dump_is_prepared),
		cmocka_unit_test(test_every_state_is_reached),
		cmocka_unit_test(test_every_state_can_end),
		cmocka_unit_test(test_ends_are_acted_upon),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_is_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
