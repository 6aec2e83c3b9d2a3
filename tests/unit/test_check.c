/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "check_rules.h"
#include "interrupt.h"
#include "slurm_site.h"
#include "util.h"

#define ADMIN   (UINT64_C(1) << 21)
#define PTRACE  (UINT64_C(1) << 19)
#define SETPCAP (UINT64_C(1) << 8)
#define CR      (UINT64_C(1) << 40)

static int begin(void **state)
{
	static struct findings f;

	findings_begin(&f);
	*state = &f;
	return 0;
}

static int end(void **state)
{
	findings_end(*state);
	return 0;
}

static void forget(struct findings *f)
{
	findings_end(f);
	findings_begin(f);
}

/* Is there a finding of this level with this in its text or advice? */
static bool found(const struct findings *f, const char *level, const char *what)
{
	const json_t *j;
	size_t i;

	json_array_foreach(f->list, i, j)
	{
		const char *advice =
			json_string_value(json_object_get(j, "advice"));
		const char *text =
			json_string_value(json_object_get(j, "text"));

		if (!strcmp(level,
			    json_string_value(json_object_get(j, "level"))) &&
			(strstr(text, what) ||
				(advice && strstr(advice, what))))
			return true;
	}
	return false;
}

#define assert_found(f, level, what)                                           \
	do {                                                                   \
		if (!found(f, level, what))                                    \
			fail_msg("no %s with '%s'", level, what);              \
	} while (0)

/* --- findings --- */

static void test_advice_from_text(void **state)
{
	struct findings *f = *state;
	static const struct {
		const char *said, *text, *advice;
	} cases[] = {
		{"criu is old: install it", "criu is old", "install it"},
		{"open /x: no: do this", "open /x", "no: do this"},
		{"a (b) failed (free some)", "a (b) failed", "free some"},
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		const json_t *j;

		finding_add(f, FINDING_PROBLEM, "t", NULL, "%s", cases[i].said);
		j = json_array_get(f->list, i);
		assert_string_equal(cases[i].text,
			json_string_value(json_object_get(j, "text")));
		assert_string_equal(cases[i].advice,
			json_string_value(json_object_get(j, "advice")));
	}
	finding_add(f, FINDING_WARNING, "t", NULL, "nothing to do");
	assert_found(f, "warning", "--verbose");
	assert_int_equal(findings_count(f, FINDING_PROBLEM), 3);
	assert_int_equal(findings_count(f, FINDING_WARNING), 1);
}

static void test_print(void **state)
{
	struct findings *f = *state;
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	finding_ok(f, "a", "fine");
	finding_add(f, FINDING_WARNING, "b", "do this", "not so fine");
	findings_print(f, FINDING_OK, false, out);
	finding_ok(f, "c", "left out");
	finding_add(f, FINDING_PROBLEM, "d", "do that", "bad");
	findings_print(f, FINDING_WARNING, true, out);
	fclose(out);
	assert_string_equal(text,
		"ok       a: fine\n"
		"warning  b: not so fine; do this\n"
		"\033[1;31mproblem\033[0m  d: bad; do that\n");
	free(text);
}

static void say_two(struct findings *f, void *arg)
{
	finding_ok(f, "child", "%s", (const char *)arg);
	finding_add(f, FINDING_PROBLEM, "child", "so", "no");
}

static void say_nothing(struct findings *f, void *arg)
{
	(void)f;
	(void)arg;
	_exit(0);
}

static void block(struct findings *f, void *arg)
{
	(void)f;
	(void)arg;
	for (;;)
		pause();
}

static void test_from_child(void **state)
{
	struct findings *f = *state;
	char word[] = "word";

	assert_int_equal(findings_from(f, "child", 60, say_two, word), 0);
	assert_found(f, "ok", "word");
	assert_int_equal(findings_count(f, FINDING_PROBLEM), 1);
	assert_int_equal(findings_from(f, "child", 60, say_nothing, NULL), 0);
	assert_found(f, "problem", "ended without a word");
	assert_int_equal(findings_from(f, "child", 0.2, block, NULL), 0);
	assert_found(f, "problem", "no answer within 0.2 s");
}

/* --- criu --- */

static void test_caps_of_file(void **state)
{
	/* cap_checkpoint_restore,cap_setpcap+ep, revision 2 */
	static const unsigned char two[] = {0x01, 0, 0, 0x02, 0, 0x01, 0, 0, 0,
		0, 0, 0, 0, 0x01, 0, 0, 0, 0, 0, 0};
	/* cap_sys_admin+p, revision 1 */
	static const unsigned char one[] = {
		0, 0, 0, 0x01, 0, 0, 0x20, 0, 0, 0, 0, 0};
	uint64_t caps;
	bool effective;

	(void)state;
	caps_of_file(two, sizeof(two), &caps, &effective);
	assert_true(caps == (CR | SETPCAP) && effective);
	caps_of_file(one, sizeof(one), &caps, &effective);
	assert_true(caps == ADMIN && !effective);
	caps_of_file(two, 0, &caps, &effective);
	assert_true(caps == 0 && !effective);
	caps_of_file(two, 11, &caps, &effective);
	assert_true(caps == 0);
}

static void test_criu_caps(void **state)
{
	static const struct {
		struct criu_facts c;
		const char *level, *what;
	} cases[] = {
		{{.in_capsule = true}, NULL, NULL},
		{{.by_root = true}, NULL, NULL},
		{{.in_capsule = false}, "problem", "cap_checkpoint_restore"},
		{{.caps = CR | SETPCAP, .effective = true}, NULL, NULL},
		{{.caps = CR | SETPCAP}, "problem", "not effective"},
		{{.caps = CR, .effective = true}, "warning", "cap_setpcap"},
		{{.caps = SETPCAP, .effective = true}, "problem", "setcap"},
		{{.caps = CR | SETPCAP | ADMIN, .effective = true}, "warning",
			"cap_sys_admin"},
		{{.caps = PTRACE | CR | SETPCAP, .in_capsule = true}, "warning",
			"cap_sys_ptrace"},
		{{.caps = 1 | CR | SETPCAP, .in_capsule = true}, "warning",
			"more file"},
		{{.caps = CR | SETPCAP, .in_capsule = true}, NULL, NULL},
		{{.caps = CR, .in_capsule = true}, "problem", "setcap -r"},
		{{.setuid_root = true}, "warning", "chmod u-s"},
	};
	struct findings *f = *state;

	for (size_t i = 0; i < LEN(cases); i++) {
		struct criu_facts c = cases[i].c;

		c.path = "/x/criu";
		rule_criu_caps(f, &c);
		if (cases[i].level)
			assert_found(f, cases[i].level, cases[i].what);
		if (json_array_size(f->list) != !!cases[i].level)
			fail_msg("%zu: %zu findings", i,
				json_array_size(f->list));
		forget(f);
	}
}

/* --- the kernel --- */

static void test_isolation(void **state)
{
	const struct isolation_facts open = {.note = "",
		.kernel_has = true,
		.max = 1000,
		.clone = -1,
		.apparmor = -1};
	static const struct {
		int num;
		bool has;
		long max, clone, apparmor;
		const char *failure, *says;
	} cases[] = {
		{EINVAL, false, -1, -1, -1, "x", "CONFIG_USER_NS"},
		{ENOSPC, true, 0, -1, -1, "x",
			"user.max_user_namespaces=15000"},
		{EPERM, true, 9, 0, -1, "x", "unprivileged_userns_clone=1"},
		{EPERM, true, 9, 1, 1, "x", "userns"},
		{EPERM, true, 9, -1, 0, "capsule: mount /proc", "unmask=ALL"},
		{EPERM, true, 9, -1, -1, "x", "pivot_root"},
		{ENOSPC, true, 9, -1, -1, "x", "used up"},
		{0, true, 9, -1, -1, "x", "isolation = none"},
	};
	struct findings *f = *state;
	struct isolation_facts i = open;

	rule_isolation(f, &i);
	assert_found(f, "ok", "auto chooses user: user namespaces are open");
	i.note = "files are not seen";
	rule_isolation(f, &i);
	assert_found(f, "warning", "private_dirs");
	i.wanted = ISOLATION_NONE;
	rule_isolation(f, &i);
	assert_found(f, "ok", "none, as is set");
	for (size_t k = 0; k < LEN(cases); k++) {
		forget(f);
		i = open;
		i.num = cases[k].num;
		i.kernel_has = cases[k].has;
		i.max = cases[k].max;
		i.clone = cases[k].clone;
		i.apparmor = cases[k].apparmor;
		i.failure = cases[k].failure;
		rule_isolation(f, &i);
		assert_found(f, "warning", cases[k].says);
		assert_found(f, "warning", "auto chooses none");
		i.wanted = ISOLATION_USER;
		rule_isolation(f, &i);
		assert_found(f, "problem", cases[k].says);
	}
}

static void test_kernel(void **state)
{
	struct findings *f = *state;

	rule_ptrace(f, 0, 1);
	assert_found(f, "ok", "can be guarded");
	rule_ptrace(f, EPERM, 1);
	assert_found(f, "warning", "ptrace_scope is 1");
	assert_found(f, "warning", "ptrace_scope=0");
	rule_ptrace(f, EPERM, -1);
	assert_found(f, "warning", "container");
	forget(f);
	rule_pid_max(f, 32768, true);
	rule_pid_max(f, 4194304, false);
	assert_int_equal(findings_count(f, FINDING_OK), 2);
	rule_pid_max(f, 32768, false);
	assert_found(f, "warning", "without a capsule");
	rule_pid_max(f, 2000, true);
	assert_found(f, "warning", "begin at 1001");
}

/* --- the directory --- */

static void test_directory(void **state)
{
	struct findings *f = *state;

	assert_int_equal(sharing_of("nfs4"), SHARED_YES);
	assert_int_equal(sharing_of("xfs"), SHARED_NO);
	assert_int_equal(sharing_of("fuse.mine"), SHARED_UNKNOWN);
	rule_sharing(f, "/d", "ext4", false);
	rule_sharing(f, "/d", "lustre", true);
	assert_int_equal(findings_count(f, FINDING_OK), 2);
	rule_sharing(f, "/d", "ext4", true);
	assert_found(f, "warning", "one machine sees");
	assert_found(f, "warning", "[files] shared_paths");
	rule_sharing(f, "/d", "fuse.mine", true);
	assert_found(f, "warning", "may not see");
	rule_sharing(f, "/d", "tmpfs", false);
	assert_found(f, "warning", "in memory");
	forget(f);
	rule_owner(f, "/d", 7, 0700, 7);
	rule_owner(f, "/d", 0, 01777, 7);
	assert_int_equal(json_array_size(f->list), 0);
	rule_owner(f, "/d", 8, 0700, 7);
	assert_found(f, "warning", "belongs to user 8");
	rule_owner(f, "/d", 7, 0770, 7);
	assert_found(f, "warning", "chmod go-w /d");
	rule_owner(f, "/d", 0, 0777, 7);
	assert_found(f, "warning", "chmod +t /d");
}

static void test_room_and_speed(void **state)
{
	struct findings *f = *state;

	rule_room(f, "/d", UINT64_C(1) << 20, 5);
	rule_room(f, "/d", UINT64_C(1) << 40, 0);
	assert_int_equal(findings_count(f, FINDING_PROBLEM), 2);
	assert_found(f, "problem", "no further file");
	rule_room(f, "/d", UINT64_C(1) << 29, 5);
	assert_found(f, "warning", "only");
	rule_room(f, "/d", UINT64_C(1) << 31, 5);
	assert_int_equal(findings_count(f, FINDING_OK), 1);
	forget(f);
	rule_speed(f, "/d", 32e6, 0.032, 600);
	assert_found(f, "ok", "/s");
	rule_speed(f, "/d", 32e6, 0, 600);
	assert_int_equal(findings_count(f, FINDING_OK), 2);
	rule_speed(f, "/d", 32e6, 32, 600);
	assert_found(f, "warning", "margin");
}

/* --- Slurm --- */

static const char good[] =
	"Configuration data as of 2026-11-29T01:00:00\n"
	"AccountingStorageType   = accounting_storage/slurmdbd\n"
	"AuthInfo                = cred_expire=5\n"
	"ClusterName             = vc\n"
	"EnforcePartLimits       = ALL\n"
	"JobFileAppend           = 1\n"
	"JobRequeue              = 1\n"
	"KillWait                = 30 sec\n"
	"MinJobAge               = 300 sec\n"
	"OverTimeLimit           = 0 min\n"
	"PreemptMode             = REQUEUE\n"
	"PreemptParameters       = send_user_signal\n"
	"PreemptType             = preempt/partition_prio\n"
	"PreemptExemptTime       = 00:10:00\n"
	"ProctrackType           = proctrack/cgroup\n"
	"SLURM_VERSION           = 24.11.5\n"
	"\n"
	"Cgroup Support Configuration:\n"
	"SignalChildrenProcesses = no\n";

static void test_slurm_values(void **state)
{
	char *v = slurm_site_value(good, "ClusterName");

	(void)state;
	assert_string_equal(v, "vc");
	free(v);
	v = slurm_site_value(good, "SignalChildrenProcesses");
	assert_string_equal(v, "no");
	free(v);
	assert_null(slurm_site_value(good, "Kill"));
	assert_null(slurm_site_value("", "KillWait"));
	v = slurm_site_value("A =\nKillWait = 5", "A");
	assert_string_equal(v, "");
	free(v);
	assert_int_equal(slurm_site_number(good, "KillWait"), 30);
	assert_int_equal(slurm_site_number(good, "OverTimeLimit"), 0);
	assert_int_equal(slurm_site_number(good, "Nothing"), -1);
	assert_int_equal(slurm_site_number("A = INFINITE\n", "A"), 0);
}

static void test_slurm_rules(void **state)
{
	static const struct {
		const char *set, *says;
		enum method method;
	} cases[] = {
		{"KillWait = 5 sec\n", "KillWait=30", METHOD_SUBMIT},
		{"JobRequeue = 0\n", "JobRequeue=1", METHOD_SUBMIT},
		{"JobRequeue = 0\n", "does not work", METHOD_REQUEUE},
		{"AuthInfo = (null)\n", "cred_expire", METHOD_REQUEUE},
		{"ProctrackType = proctrack/linuxproc\n", "interval",
			METHOD_SUBMIT},
		{"SignalChildrenProcesses = yes\n", "cgroup.conf",
			METHOD_SUBMIT},
		{"AccountingStorageType = (null)\n", "#SBATCH", METHOD_SUBMIT},
		{"PreemptParameters = (null)\n", "send_user_signal",
			METHOD_SUBMIT},
		{"PreemptMode = GANG,SUSPEND\n", "take turns", METHOD_SUBMIT},
	};
	struct findings *f = *state;
	struct config cfg = {.method = METHOD_SUBMIT};

	slurm_site_rules(f, &cfg, good);
	assert_int_equal(findings_count(f, FINDING_WARNING), 0);
	assert_found(f, "ok", "cluster vc, Slurm 24.11.5");
	for (size_t i = 0; i < LEN(cases); i++) {
		/* The first one of a name counts. */
		char *text = xasprintf("%s%s", cases[i].set, good);

		forget(f);
		cfg.method = cases[i].method;
		slurm_site_rules(f, &cfg, text);
		assert_found(f, "warning", cases[i].says);
		assert_int_equal(findings_count(f, FINDING_WARNING), 1);
		free(text);
	}
	forget(f);
	slurm_site_rules(f, &cfg,
		"SLURM_VERSION = 25.11.0\nAccountingStorageType = (null)\n");
	assert_found(f, "ok", "slurmctld knows the options");
}

static void test_partitions(void **state)
{
	struct slurm_partition p = {.name = "low", .grace = 0};
	struct findings *f = *state;

	slurm_partition_rule(f, &p);
	assert_int_equal(json_array_size(f->list), 0);
	p.preempts = true;
	slurm_partition_rule(f, &p);
	assert_found(f, "warning", "GraceTime");
	p.grace = 60;
	slurm_partition_rule(f, &p);
	assert_found(f, "ok", "60 s");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_advice_from_text),
		TEST(test_print),
		TEST(test_from_child),
		TEST(test_caps_of_file),
		TEST(test_criu_caps),
		TEST(test_isolation),
		TEST(test_kernel),
		TEST(test_directory),
		TEST(test_room_and_speed),
		TEST(test_slurm_values),
		TEST(test_slurm_rules),
		TEST(test_partitions),
	};

	interrupt_hold(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
