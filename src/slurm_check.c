/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "slurm_compat.h"
#include "slurm_site.h"
#include "util.h"

bool slurm_is_set_up(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		if (null >= 0)
			dup2(null, 2);
		slurm_init(NULL);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

static bool preempts(const partition_info_t *p)
{
	return p->preempt_mode & (PREEMPT_MODE_REQUEUE | PREEMPT_MODE_CANCEL);
}

static void check_partitions(struct findings *f)
{
	partition_info_msg_t *msg = NULL;

	if (slurm_load_partitions(0, &msg, SHOW_ALL))
		return;
	for (uint32_t i = 0; i < msg->record_count; i++) {
		const partition_info_t *p = &msg->partition_array[i];
		const struct slurm_partition plain = {
			.name = p->name ? p->name : "",
			.preempts = preempts(p),
			.grace = p->grace_time == NO_VAL ? 0 : p->grace_time,
		};

		slurm_partition_rule(f, &plain);
	}
	slurm_free_partition_info_msg(msg);
}

/* What `scontrol show config' prints: the same in all releases. Owned. */
static char *settings(slurm_conf_t *conf)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return xstrdup("");
	slurm_print_ctl_conf(out, conf);
	fclose(out);
	return text;
}

bool slurm_check(const struct config *cfg, struct findings *f)
{
	slurm_conf_t *conf = NULL;
	auto_free char *text = NULL;

	if (!slurm_is_set_up())
		return false;
	slurm_init(NULL);
	if (slurm_load_ctl_conf(0, &conf)) {
		finding_add(f, FINDING_PROBLEM, "slurm",
			"see whether slurmctld and munge run and can be "
			"reached from here, with 'scontrol ping'; without them "
			"no next leg can be submitted",
			"slurmctld does not answer: %s", slurm_strerror(errno));
		return true;
	}
	text = settings(conf);
	slurm_site_rules(f, cfg, text);
	if (slurm_site_preempts(text))
		check_partitions(f);
	/*
	 * conf is not released: the function for that has another name in some
	 * releases, and this process ends with its answer.
	 */
	return true;
}
