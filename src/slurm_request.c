/* SPDX-License-Identifier: GPL-2.0-or-later */
/* slurm_request.c - the job that is, as a request for its successor */
#include <string.h>

#include "log.h"
#include "slurm_present.h"
#include "slurm_text.h"
#include "util.h"

/* --- what slurmctld tells --- */

/* The request does not change them. */
static char *lend(const char *text)
{
	return text && *text ? (char *)(uintptr_t)text : NULL;
}

/* A list of choices is only in the option; the job has one of them. */
static char *choice(const struct present *p, const char *name, const char *now)
{
	const char *given = present_option(p, name);

	return lend(given && *given ? given : now);
}

static void describe_identity(job_desc_msg_t *d, struct present *p)
{
	const slurm_job_info_t *j = p->info;

	d->user_id = j->user_id;
	d->group_id = j->group_id;
	d->account = lend(j->account);
	d->name = lend(j->name);
	d->partition = choice(p, "partition", j->partition);
	d->qos = choice(p, "qos", j->qos);
	d->reservation = lend(j->resv_name);
	/* "*" marks a default. */
	if (j->wckey && *j->wckey != '*')
		d->wckey = lend(j->wckey);
#if SLURM_SINCE(23, 2)
	d->extra = lend(j->extra);
#else
	d->extra = lend(present_option(p, "extra"));
#endif
	d->mail_type = j->mail_type;
	d->mail_user = lend(j->mail_user);
	d->nice = j->nice;
	d->requeue = j->requeue;
	if (present_option(p, "mcs-label"))
		d->mcs_label = lend(j->mcs_label);
	gethostname(p->host, sizeof(p->host) - 1);
	d->alloc_node = p->host;
	d->alloc_sid = (uint32_t)getsid(0);
}

static void describe_time(job_desc_msg_t *d, const struct present *p)
{
	const slurm_job_info_t *j = p->info;

	d->time_limit = j->time_limit;
	if (j->time_min)
		d->time_min = j->time_min;
	d->deadline = j->deadline;
	if (j->delay_boot)
		d->delay_boot = j->delay_boot;
	if (j->req_switch) {
		d->req_switch = j->req_switch;
		d->wait4switch = j->wait4switch;
	}
}

static bool is_set(uint16_t n)
{
	return n && n != NO_VAL16 && n != INFINITE16;
}

static void describe_nodes(job_desc_msg_t *d, const struct present *p)
{
	const slurm_job_info_t *j = p->info;
	const char *nodes = present_option(p, "nodes");
	uint32_t min, max;

	d->min_nodes = slurm_count_in(j->tres_req_str, "node");
	if (!d->min_nodes)
		d->min_nodes = 1;
	if (nodes && !slurm_nodes_option(nodes, &min, &max)) {
		d->min_nodes = min;
		d->max_nodes = max;
	} else if (!nodes && d->min_nodes > 1 && !p->submit_line) {
		d->max_nodes = d->min_nodes;
	}
	d->req_nodes = lend(j->req_nodes);
	d->exc_nodes = lend(j->exc_nodes);
	d->features = choice(p, "constraint", j->features);
	d->prefer = choice(p, "prefer", j->prefer);
	d->cluster_features = lend(j->cluster_features);
	d->batch_features = lend(j->batch_features);
	d->contiguous = j->contiguous;
	d->network = lend(j->network);
	if (is_set(j->core_spec))
		d->core_spec = j->core_spec;
}

static void describe_tasks(job_desc_msg_t *d, const struct present *p)
{
	const slurm_job_info_t *j = p->info;

	d->min_cpus = slurm_count_in(j->tres_req_str, "cpu");
	if (!d->min_cpus)
		d->min_cpus = 1;
	if ((j->bitflags & JOB_NTASKS_SET) || present_option(p, "ntasks"))
		d->num_tasks = j->num_tasks;
	if ((j->bitflags & JOB_CPUS_SET) || j->cpus_per_task > 1)
		d->cpus_per_task = j->cpus_per_task;
	if (is_set(j->ntasks_per_node))
		d->ntasks_per_node = j->ntasks_per_node;
	if (is_set(j->ntasks_per_socket))
		d->ntasks_per_socket = j->ntasks_per_socket;
	if (is_set(j->ntasks_per_core))
		d->ntasks_per_core = j->ntasks_per_core;
	if (is_set(j->ntasks_per_board))
		d->ntasks_per_board = j->ntasks_per_board;
	if (is_set(j->ntasks_per_tres))
		d->ntasks_per_tres = j->ntasks_per_tres;
	if (is_set(j->sockets_per_node))
		d->sockets_per_node = j->sockets_per_node;
	if (is_set(j->sockets_per_board))
		d->sockets_per_board = j->sockets_per_board;
	if (is_set(j->boards_per_node))
		d->boards_per_node = j->boards_per_node;
	if (is_set(j->cores_per_socket))
		d->cores_per_socket = j->cores_per_socket;
	if (is_set(j->threads_per_core))
		d->threads_per_core = j->threads_per_core;
	if (is_set(j->pn_min_cpus))
		d->pn_min_cpus = j->pn_min_cpus;
	d->cpu_freq_min = j->cpu_freq_min;
	d->cpu_freq_max = j->cpu_freq_max;
	d->cpu_freq_gov = j->cpu_freq_gov;
}

/* The flags that stand for what the user wanted, of the job's many. */
static uint64_t wanted_flags(uint64_t flags)
{
	uint64_t wanted = KILL_INV_DEP | NO_KILL_INV_DEP | GRES_ENFORCE_BIND |
			  SPREAD_JOB | USE_MIN_NODES | JOB_NTASKS_SET |
			  JOB_CPUS_SET;

#ifdef JOB_MEM_SET
	wanted |= JOB_MEM_SET;
#endif
#ifdef GRES_DISABLE_BIND
	wanted |= GRES_DISABLE_BIND;
#endif
#ifdef GRES_MULT_TASKS_PER_SHARING
	wanted |= GRES_MULT_TASKS_PER_SHARING | GRES_ONE_TASK_PER_SHARING;
#endif
#ifdef STEPMGR_ENABLED
	wanted |= STEPMGR_ENABLED;
#endif
	return flags & wanted;
}

static bool memory_is_wanted(const struct present *p)
{
#ifdef JOB_MEM_SET
	if (p->info->bitflags & JOB_MEM_SET)
		return true;
	return present_option(p, "mem") || present_option(p, "mem-per-cpu");
#else
	(void)p;
	return true;
#endif
}

static void describe_resources(job_desc_msg_t *d, const struct present *p)
{
	const slurm_job_info_t *j = p->info;

	if (memory_is_wanted(p))
		d->pn_min_memory = j->pn_min_memory;
	d->pn_min_tmp_disk = j->pn_min_tmp_disk;
	d->tres_per_job = lend(j->tres_per_job);
	d->tres_per_node = lend(j->tres_per_node);
	d->tres_per_socket = lend(j->tres_per_socket);
	d->tres_per_task = lend(j->tres_per_task);
	d->cpus_per_tres = lend(j->cpus_per_tres);
	d->mem_per_tres = lend(j->mem_per_tres);
	d->tres_bind = lend(j->tres_bind);
	d->tres_freq = lend(j->tres_freq);
	d->licenses = lend(j->licenses);
	d->burst_buffer = lend(j->burst_buffer);
	d->container = lend(j->container);
	d->profile = j->profile;
	d->bitflags = wanted_flags(j->bitflags);
#if SLURM_SINCE(24, 11)
	d->oom_kill_step = j->oom_kill_step;
#endif
	/* 1, to share, is what most partitions make of nothing. */
	if (j->shared != 1)
		d->shared = j->shared;
	else if (present_option(p, "oversubscribe"))
		d->shared = 1;
}

/* --- what only the options tell --- */

static void describe_signal(job_desc_msg_t *d, const struct present *p)
{
	const char *text = present_option(p, "signal");
	struct slurm_signal s;

	if (!text)
		return;
	if (slurm_signal_option(text, &s)) {
		log_warn("the job's option --signal=%s is not understood: its "
			 "successor goes without",
			text);
		return;
	}
	d->warn_signal = (uint16_t)s.number;
	d->warn_time = (uint16_t)s.seconds;
	if (s.to_batch)
		d->warn_flags |= KILL_JOB_BATCH;
	if (s.in_reservation)
		d->warn_flags |= KILL_JOB_RESV;
}

static void describe_distribution(job_desc_msg_t *d, const struct present *p)
{
	static const struct {
		const char *word;
		uint32_t bits;
	} level[3][4] = {
		{{"cyclic", SLURM_DIST_NODECYCLIC},
			{"block", SLURM_DIST_NODEBLOCK},
			{"arbitrary", SLURM_DIST_ARBITRARY},
			{"plane", SLURM_DIST_PLANE}},
		{{"cyclic", SLURM_DIST_SOCKCYCLIC},
			{"block", SLURM_DIST_SOCKBLOCK},
			{"fcyclic", SLURM_DIST_SOCKCFULL}, {"", 0}},
		{{"cyclic", SLURM_DIST_CORECYCLIC},
			{"block", SLURM_DIST_COREBLOCK},
			{"fcyclic", SLURM_DIST_CORECFULL}, {"", 0}},
	};
	const char *text = present_option(p, "distribution");
	uint32_t dist = 0;

	for (size_t i = 0; text && i < 3; i++) {
		size_t n = strcspn(text, ":,=");

		for (size_t w = 0; w < 4; w++)
			if (n && strlen(level[i][w].word) == n &&
				!strncasecmp(text, level[i][w].word, n))
				dist |= level[i][w].bits;
		if (text[n] == '=')
			d->plane_size =
				(uint16_t)strtoul(text + n + 1, NULL, 10);
		text = text[n] == ':' ? text + n + 1 : NULL;
	}
	text = present_option(p, "distribution");
	if (text && strcasestr(text, ",nopack"))
		dist |= SLURM_DIST_NO_PACK_NODES;
	else if (text && strcasestr(text, ",pack"))
		dist |= SLURM_DIST_PACK_NODES;
	if (dist)
		d->task_dist = dist;
}

static void describe_options(job_desc_msg_t *d, const struct present *p)
{
	const char *wait = present_option(p, "wait-all-nodes");
	const char *ports = present_option(p, "resv-ports");

	describe_signal(d, p);
	describe_distribution(d, p);
	if (present_option(p, "overcommit"))
		d->overcommit = 1;
	if (present_option(p, "no-kill"))
		d->kill_on_node_fail =
			!strcmp(present_option(p, "no-kill"), "off") ? 1 : 0;
	if (wait && *wait)
		d->wait_all_nodes = (uint16_t)strtoul(wait, NULL, 10);
	d->acctg_freq = lend(present_option(p, "acctg-freq"));
#if SLURM_SINCE(24, 5)
	if (ports)
		d->resv_port_cnt = *ports ? (uint16_t)strtoul(ports, NULL, 10)
					  : d->resv_port_cnt;
	if (present_option(p, "segment"))
		d->segment_size = (uint16_t)strtoul(
			present_option(p, "segment"), NULL, 10);
#else
	(void)ports;
#endif
}

/* --- what is the successor's own --- */

/* A name that is one, and no pattern. */
static char *escape(const char *name)
{
	char *escaped = xcalloc(strlen(name) + 1, 2), *to = escaped;

	for (; *name; name++) {
		if (*name == '%')
			*to++ = '%';
		*to++ = *name;
	}
	return escaped;
}

/* A pattern such as %j is filled in once: all legs write to the same file. */
static char *file_of(const slurm_job_info_t *info,
	void (*get)(char *buf, int size, job_info_t *job))
{
	char buf[4096] = "";

	get(buf, sizeof(buf), (job_info_t *)(uintptr_t)info);
	return *buf ? escape(buf) : NULL;
}

static void describe_files(job_desc_msg_t *d, struct present *p)
{
	const slurm_job_info_t *j = p->info;

	d->work_dir = lend(j->work_dir);
	d->std_out = p->out = file_of(j, slurm_get_job_stdout);
	if (j->std_err && *j->std_err)
		d->std_err = p->err = file_of(j, slurm_get_job_stderr);
	if (j->std_in && *j->std_in && strcmp(j->std_in, "/dev/null") != 0)
		d->std_in = p->in = file_of(j, slurm_get_job_stdin);
	d->open_mode = OPEN_MODE_APPEND;
	d->submit_line = p->submit_line;
}

/*
 * It starts when this leg is over, however long that takes; for a task of an
 * array that is this task alone. What else there was to wait for is over, but
 * for jobs of the same name.
 */
static void describe_dependency(job_desc_msg_t *d, struct present *p)
{
	const slurm_job_info_t *j = p->info;
	const char *given = present_option(p, "dependency");
	const char *more =
		given && strstr(given, "singleton") ? ",singleton" : "";

	if (j->array_task_id != NO_VAL) {
		p->depend = xasprintf("afterany:%u_%u%s", j->array_job_id,
			j->array_task_id, more);
		p->array = xasprintf("%u", j->array_task_id);
	} else {
		p->depend = xasprintf("afterany:%u%s", j->job_id, more);
	}
	d->dependency = p->depend;
	d->array_inx = p->array;
}

static uint32_t count(char *const *list)
{
	uint32_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static void describe_script(job_desc_msg_t *d, struct present *p)
{
	d->script = p->script;
	/* With --wrap there is no name, and nothing behind it. */
	if (*p->argv[0]) {
		d->argv = p->argv;
		d->argc = count(p->argv);
	}
	d->environment = p->new_env;
	d->env_size = count(p->new_env);
	d->spank_job_env = p->spank;
	d->spank_job_env_size = count(p->spank);
}

static void describe_leg(job_desc_msg_t *d, struct present *p)
{
	const struct successor *s = p->next;
	auto_free char *tag = slurm_tag(s->chain, s->leg, "submitted");

	p->comment = s->comment ? slurm_comment_with(p->info->comment, tag)
		     : p->info->comment ? xstrdup(p->info->comment)
					: NULL;
	d->comment = p->comment;
	if (!s->exclude)
		return;
	p->exclude = d->exc_nodes ? xasprintf("%s,%s", d->exc_nodes, s->exclude)
				  : xstrdup(s->exclude);
	d->exc_nodes = p->exclude;
}

void present_describe(job_desc_msg_t *d, struct present *p)
{
	slurm_init_job_desc_msg(d);
	describe_identity(d, p);
	describe_time(d, p);
	describe_nodes(d, p);
	describe_tasks(d, p);
	describe_resources(d, p);
	describe_options(d, p);
	describe_files(d, p);
	describe_dependency(d, p);
	describe_script(d, p);
	describe_leg(d, p);
}
