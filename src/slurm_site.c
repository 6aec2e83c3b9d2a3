/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_site.h"

#include <ctype.h>
#include <string.h>

#include "util.h"

#define TOPIC "slurm"

char *slurm_site_value(const char *text, const char *name)
{
	size_t n = strlen(name);
	const char *line = text, *end;

	for (; line && *line; line = *end ? end + 1 : NULL) {
		end = line + strcspn(line, "\n");
		if (strncmp(line, name, n) != 0)
			continue;
		line += n + strspn(line + n, " \t");
		if (*line != '=')
			continue;
		line += 1 + strspn(line + 1, " \t");
		while (end > line && isspace((unsigned char)end[-1]))
			end--;
		return xasprintf("%.*s", (int)(end - line), line);
	}
	return NULL;
}

long slurm_site_number(const char *text, const char *name)
{
	auto_free char *value = slurm_site_value(text, name);

	if (!value)
		return -1;
	if (isdigit((unsigned char)*value))
		return strtol(value, NULL, 10);
	return strpbrk(value, "0123456789") ? -1 : 0;
}

/* Is the word in the value, be it in a list? */
static bool has(const char *text, const char *name, const char *word)
{
	auto_free char *value = slurm_site_value(text, name);

	return value && strcasestr(value, word);
}

/* --- how jobs end --- */

static void rule_kill_wait(struct findings *f, const char *text)
{
	long wait = slurm_site_number(text, "KillWait");
	long over = slurm_site_number(text, "OverTimeLimit");

	if (wait < 0)
		return;
	if (wait < 30)
		finding_add(f, FINDING_WARNING, TOPIC,
			"set KillWait=30 or more in slurm.conf, and see that "
			"[checkpoint] margin is long enough",
			"KillWait is %ld s: a job that is told of its end only "
			"by SIGTERM has no longer than that for a checkpoint",
			wait);
	else
		finding_ok(f, TOPIC,
			"KillWait is %ld s: so long has a job that is told of "
			"its end only by SIGTERM",
			wait);
	if (over > 0)
		finding_ok(f, TOPIC,
			"OverTimeLimit is %ld min: jobs may run longer than "
			"their limit; [checkpoint] margin counts from the "
			"limit",
			over);
}

/* Whom SIGTERM reaches at the end of a job. */
static void rule_signals(struct findings *f, const char *text)
{
	static const char advice[] =
		"set ProctrackType=proctrack/cgroup and leave out "
		"SignalChildrenProcesses; else give jobs a [checkpoint] "
		"interval, which limits what is lost";

	if (has(text, "ProctrackType", "linuxproc") ||
		has(text, "ProctrackType", "pgid"))
		finding_add(f, FINDING_WARNING, TOPIC, advice,
			"ProctrackType is not proctrack/cgroup: at the end of "
			"a job SIGTERM goes to every process, and the command "
			"may die of it before it is dumped");
	else if (has(text, "SignalChildrenProcesses", "yes"))
		finding_add(f, FINDING_WARNING, TOPIC, advice,
			"SignalChildrenProcesses is set in cgroup.conf: at the "
			"end of a job SIGTERM goes to every process, and the "
			"command may die of it before it is dumped");
	else
		finding_ok(f, TOPIC,
			"SIGTERM at the end of a job reaches checkpointer and "
			"not the command");
}

/* --- the next leg --- */

static void rule_requeue(
	struct findings *f, const struct config *cfg, const char *text)
{
	bool method = cfg->method == METHOD_REQUEUE;

	if (slurm_site_number(text, "JobRequeue") == 0)
		finding_add(f, FINDING_WARNING, TOPIC,
			"set JobRequeue=1 in slurm.conf, or submit with sbatch "
			"--requeue",
			"JobRequeue is 0: when a node dies, its jobs do not go "
			"on by themselves%s",
			method ? ", and [slurm] method = requeue does not work"
			       : "");
	else
		finding_ok(f, TOPIC,
			"JobRequeue is 1: when a node dies, its jobs go on "
			"from their last checkpoint");
	if (slurm_site_number(text, "JobFileAppend") == 0)
		finding_ok(f, TOPIC,
			"JobFileAppend is 0: Slurm empties the output of a "
			"requeued job, and checkpointer puts it back; sbatch "
			"--open-mode=append spares that");
	if (method && !has(text, "AuthInfo", "cred_expire"))
		finding_add(f, FINDING_WARNING, TOPIC,
			"set AuthInfo=cred_expire=30 in slurm.conf, or [slurm] "
			"method = submit",
			"AuthInfo has no cred_expire: with [slurm] method = "
			"requeue each leg waits for two minutes");
}

static void rule_limits(struct findings *f, const char *text)
{
	if (has(text, "EnforcePartLimits", "NO"))
		finding_ok(f, TOPIC,
			"EnforcePartLimits is NO: a job beyond the limits of "
			"its partition waits for ever; a next leg has the "
			"limits of the job before");
	if (slurm_site_number(text, "MinJobAge") >= 0)
		finding_ok(f, TOPIC,
			"MinJobAge is %ld s: so long can a leg that has ended "
			"still be seen with squeue and scontrol",
			slurm_site_number(text, "MinJobAge"));
}

/* Of the version, as year * 100 + month. */
static int version_of(const char *text)
{
	auto_free char *v = slurm_site_value(text, "SLURM_VERSION");
	int major, minor;

	return v && sscanf(v, "%d.%d", &major, &minor) == 2
		       ? major * 100 + minor
		       : 0;
}

static void rule_accounting(struct findings *f, const char *text)
{
	int version = version_of(text);
	bool dbd = has(text, "AccountingStorageType", "slurmdbd");

	if (version >= 2511)
		finding_ok(f, TOPIC,
			"slurmctld knows the options that a job was submitted "
			"with");
	else if (dbd)
		finding_ok(f, TOPIC,
			"slurmdbd knows the options that a job was submitted "
			"with");
	else
		finding_add(f, FINDING_WARNING, TOPIC,
			"write such options as #SBATCH lines, or run slurmdbd "
			"(AccountingStorageType=accounting_storage/slurmdbd)",
			"there is no slurmdbd: options that Slurm before 25.11 "
			"does not show, such as --signal, are lost from leg 2 "
			"on if they stand only on the command line of sbatch");
}

/* --- preemption --- */

bool slurm_site_preempts(const char *text)
{
	return has(text, "PreemptType", "preempt/") &&
	       !has(text, "PreemptType", "none");
}

static void rule_preemption(struct findings *f, const char *text)
{
	auto_free char *exempt = slurm_site_value(text, "PreemptExemptTime");

	if (!slurm_site_preempts(text))
		return;
	if (has(text, "PreemptMode", "GANG"))
		finding_add(f, FINDING_WARNING, TOPIC,
			"use PreemptMode=REQUEUE, or keep jobs that use "
			"checkpointer out of partitions that take turns",
			"PreemptMode has GANG: jobs that are suspended in turn "
			"may stay stopped until their time limit, and then no "
			"checkpoint can be made");
	if (has(text, "PreemptParameters", "send_user_signal"))
		finding_ok(f, TOPIC,
			"PreemptParameters has send_user_signal: a preempted "
			"job with --signal is warned at once");
	else
		finding_add(f, FINDING_WARNING, TOPIC,
			"set PreemptParameters=send_user_signal in slurm.conf",
			"PreemptParameters has no send_user_signal: that a job "
			"is preempted is only found out every [slurm] "
			"preemption_watch, or by SIGTERM");
	if (exempt)
		finding_ok(f, TOPIC,
			"PreemptExemptTime is %s: so long does a leg run "
			"before it may be preempted",
			exempt);
}

void slurm_partition_rule(struct findings *f, const struct slurm_partition *p)
{
	if (!p->preempts)
		return;
	if (p->grace < 30)
		finding_add(f, FINDING_WARNING, TOPIC,
			"give the partition a GraceTime that is long enough "
			"for a checkpoint",
			"jobs in partition %s may be preempted, and have %u s "
			"(GraceTime) and KillWait for a checkpoint",
			p->name, p->grace);
	else
		finding_ok(f, TOPIC,
			"jobs in partition %s may be preempted, and have %u s "
			"for a checkpoint",
			p->name, p->grace);
}

void slurm_site_rules(
	struct findings *f, const struct config *cfg, const char *text)
{
	auto_free char *version = slurm_site_value(text, "SLURM_VERSION");
	auto_free char *cluster = slurm_site_value(text, "ClusterName");

	finding_ok(f, TOPIC, "slurmctld answers: cluster %s, Slurm %s",
		cluster ? cluster : "(no name)", version ? version : "unknown");
	rule_kill_wait(f, text);
	rule_signals(f, text);
	rule_requeue(f, cfg, text);
	rule_limits(f, text);
	rule_accounting(f, text);
	rule_preemption(f, text);
}
