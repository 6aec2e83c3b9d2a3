/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "chain_facts.h"
#include "tree.h"
#include "util.h"

/* A journal as short words: "L1 S1 s1=running +" is leg 1, step 1, ... */
static json_t *journal(const char *words)
{
	auto_free char *copy = xstrdup(words);
	json_t *lines = json_array();
	char *rest, *w;
	int leg = 0, t = 0;

	for (w = strtok_r(copy, " ", &rest); w;
		w = strtok_r(NULL, " ", &rest)) {
		json_t *j = json_pack("{s:i}", "t", ++t);
		char *state = strchr(w, '=');

		if (*w == 'L')
			leg = w[1] - '0';
		if (leg)
			json_object_set_new(j, "leg", json_integer(leg));
		if (*w == 'S' || *w == 's')
			json_object_set_new(
				j, "step", json_integer(w[1] - '0'));
		if (*w == 's')
			json_object_set_new(j, "state", json_string(state + 1));
		if (w[strlen(w) - 1] == '!') {
			json_object_set_new(j, "state", json_string("stopped"));
			json_object_set_new(j, "requeued", json_true());
		}
		json_object_set_new(j, "event",
			json_string(*w == 'L'   ? "leg"
				    : *w == 'S' ? "step"
				    : *w == 's' ? "state"
				    : *w == '+' ? "submitted"
						: "chain"));
		json_array_append_new(lines, j);
	}
	return lines;
}

static void test_states(void **state)
{
	static const struct {
		const char *journal;
		enum chain_state state;
	} known[] = {
		{"", CHAIN_EMPTY},
		{"chain", CHAIN_EMPTY},
		{"chain L1", CHAIN_EMPTY},
		{"chain L1 S1", CHAIN_DIED},
		{"chain L1 S1 s1=starting s1=running", CHAIN_DIED},
		{"chain L1 S1 s1=running s1=finished", CHAIN_FINISHED},
		{"chain L1 S1 s1=starting s1=failed", CHAIN_FAILED},
		{"chain L1 S1 s1=submitting s1=stopped", CHAIN_STOPPED},
		{"chain L1 S1 s1=dumping +", CHAIN_RESUBMITTED},
		{"chain L1 S1 s1=dumping + s1=resubmitted", CHAIN_RESUBMITTED},
		{"chain L1 S1 s1=moving +", CHAIN_RESUBMITTED},
		{"chain L1 S1 s1=stopped!", CHAIN_RESUBMITTED},
		/* The successor has come, and died before it could speak. */
		{"chain L1 S1 s1=resubmitted + L2", CHAIN_DIED},
		{"chain L1 S1 s1=stopped! L2 S1", CHAIN_STOPPED},
		{"chain L1 S1 s1=stopped! L2 S1 s1=running", CHAIN_DIED},
		{"chain L1 S1 s1=resubmitted + L2 S1 s1=restored "
		 "s1=finished",
			CHAIN_FINISHED},
		/* A later leg may be refused, and changes nothing. */
		{"chain L1 S1 s1=stopped L2", CHAIN_STOPPED},
		/* Steps that are done are passed over. */
		{"chain L1 S1 s1=finished S2 s2=resubmitted + L2 S1 S2 "
		 "s2=finished",
			CHAIN_FINISHED},
		{"chain L1 S1 s1=finished S2 s2=stopped", CHAIN_STOPPED},
		{"chain L1 S1 s1=failed S2 s2=stopped", CHAIN_FAILED},
		{"chain L1 S1 s1=failed S2 s2=running", CHAIN_DIED},
		{"chain L1 S1 s1=failed S2 s2=resubmitted +",
			CHAIN_RESUBMITTED},
	};

	(void)state;
	for (size_t i = 0; i < LEN(known); i++) {
		json_t *lines = journal(known[i].journal);
		struct chain_facts f = chain_facts(lines, false);

		if (f.state != known[i].state)
			fail_msg("'%s' is %s", known[i].journal,
				chain_state_name[f.state]);
		f = chain_facts(lines, true);
		assert_int_equal(f.state, CHAIN_RUNNING);
		json_decref(lines);
	}
}

static void test_numbers(void **state)
{
	json_t *lines = journal("chain L1 S1 s1=finished S2 + L2 S1 S2 S3");
	struct chain_facts f = chain_facts(lines, false);

	(void)state;
	assert_int_equal(f.legs, 2);
	assert_int_equal(f.steps, 3);
	assert_true(f.last == 10);
	json_decref(lines);
}

/* --- with a directory --- */

struct fixture {
	char path[64];
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	snprintf(f->path, sizeof(f->path), "/tmp/test_facts.XXXXXX");
	return mkdtemp(f->path) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int rc = remove_tree(f->path);

	free(f);
	return rc;
}

static struct chain open_chain(const struct fixture *f, const char *id)
{
	struct chain c;
	struct err err;

	if (chain_open(&c, f->path, id, true, &err))
		fail_msg("%s", err.text);
	return c;
}

static enum chain_state look(const struct chain *c, bool keep)
{
	struct chain_facts facts;
	struct err err;

	if (chain_look(c, keep, &facts, &err))
		fail_msg("%s", err.text);
	return facts.state;
}

static void test_look(void **state)
{
	struct fixture *f = *state;
	struct chain leg = open_chain(f, "t"), other = open_chain(f, "t");
	struct err err;

	assert_int_equal(look(&other, false), CHAIN_EMPTY);
	assert_int_equal(chain_take_leg(&leg, "1", "local", &err), 0);
	assert_int_equal(look(&other, false), CHAIN_RUNNING);
	assert_int_equal(look(&other, true), CHAIN_RUNNING);
	/* Whoever looks at one that runs has kept nothing. */
	assert_int_equal(flock(leg.journal, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(flock(leg.journal, LOCK_UN), 0);
	chain_close(&leg);
	assert_int_equal(look(&other, false), CHAIN_EMPTY);
	chain_close(&other);
}

static void test_keep(void **state)
{
	struct fixture *f = *state;
	struct chain keeper = open_chain(f, "t"), leg = open_chain(f, "t");
	struct err err;
	int status;
	pid_t pid;

	assert_int_equal(look(&keeper, true), CHAIN_EMPTY);
	/* A leg waits, and begins when the other lets go. */
	pid = fork();
	if (pid == 0) {
		/* A lock that it has inherited is the parent's, too. */
		chain_close(&keeper);
		_exit(chain_take_leg(&leg, "1", "local", &err) ? 1 : 0);
	}
	usleep(200000);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	chain_close(&keeper);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	chain_close(&leg);
}

static void test_names(void **state)
{
	struct fixture *f = *state;
	auto_free char *nothing = xasprintf("%s/nothing", f->path);
	auto_free char *file = xasprintf("%s/file", f->path);
	auto_free char *dir = xasprintf("%s/dir", f->path);
	static const char *const made[] = {"b", "a", "c.1", "B"};
	struct err err;
	char **names = chain_names(nothing, &err);

	assert_non_null(names);
	assert_null(names[0]);
	chain_names_free(names);
	for (size_t i = 0; i < LEN(made); i++) {
		struct chain c = open_chain(f, made[i]);

		chain_close(&c);
	}
	/* These are no chains. */
	assert_int_equal(mkdir(dir, 0700), 0);
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	names = chain_names(f->path, &err);
	assert_non_null(names);
	assert_string_equal(names[0], "B");
	assert_string_equal(names[1], "a");
	assert_string_equal(names[2], "b");
	assert_string_equal(names[3], "c.1");
	assert_null(names[4]);
	chain_names_free(names);
	assert_null(chain_names(file, &err));
	assert_non_null(strstr(err.text, "Not a directory"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_numbers),
		TEST(test_look),
		TEST(test_keep),
		TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
