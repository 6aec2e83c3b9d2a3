/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "slurm_job.h"

#include <signal.h>
#include <slurm/slurmdb.h>
#include <string.h>
#include <sys/resource.h>

#include "log.h"
#include "proc.h"
#include "slurm_env.h"
#include "slurm_options.h"
#include "slurm_text.h"
#include "util.h"

/* What is known of the present job, and texts that the request refers to. */
struct present {
	const slurm_job_info_t *info;
	const struct successor *next;
	pid_t shell;
	char **env; /* of the batch shell, when it began */
	char *script;
	char *submit_line; /* or NULL */
	struct slurm_options *opt;
	char **argv; /* script and arguments */
	/* What is made for the request. */
	char **new_env, **spank;
	char *out, *err, *in, *array, *comment, *depend, *exclude, *mem_freq;
	char host[256];
};

/* --- what slurmctld does not tell --- */

static pid_t batch_shell(void)
{
	const char *pid = getenv("SLURM_TASK_PID");

	return pid ? (pid_t)strtol(pid, NULL, 10) : getpid();
}

static int read_script(struct present *p, struct err *err)
{
	size_t len = 0;
	FILE *f = open_memstream(&p->script, &len);
	int ret;

	if (!f)
		return err_set(err, errno, "open_memstream");
	ret = slurm_job_batch_script(f, job_name(p->info->job_id));
	if (fclose(f) || ret || !len) {
		err_set(err, 0, "get the batch script from slurmctld: %s",
			slurm_strerror(errno));
		if (err)
			err->num = errno;
		return -1;
	}
	return 0;
}

#if SLURM_SINCE(25, 11)
static char *read_submit_line(const slurm_job_info_t *info)
{
	return info->submit_line ? xstrdup(info->submit_line) : NULL;
}
#else
/* Only where there is accounting, and perhaps not just now. */
static char *ask_accounting(void *db, const slurm_job_info_t *info)
{
	slurm_selected_step_t step = {
		.array_task_id = NO_VAL, .het_job_offset = NO_VAL};
	slurmdb_job_cond_t cond = {.flags = JOBCOND_FLAG_NO_TRUNC,
		.db_flags = SLURMDB_JOB_FLAG_NOTSET,
		.usage_start = info->submit_time};
	slurmdb_job_rec_t *job;
	char *line = NULL;
	void *found;

	step.step_id.job_id = info->job_id;
	step.step_id.step_id = NO_VAL;
	step.step_id.step_het_comp = NO_VAL;
	cond.step_list = slurm_list_create(NULL);
	slurm_list_append(cond.step_list, &step);
	found = slurmdb_jobs_get(db, &cond);
	while (found && (job = slurm_list_pop(found))) {
		if (job->submit_line && job->jobid == info->job_id) {
			free(line);
			line = xstrdup(job->submit_line);
		}
		slurmdb_destroy_job_rec(job);
	}
	if (found)
		slurm_list_destroy(found);
	slurm_list_destroy(cond.step_list);
	return line;
}

static char *read_submit_line(const slurm_job_info_t *info)
{
	void *db = slurmdb_connection_get(NULL);
	char *line = db ? ask_accounting(db, info) : NULL;

	if (db)
		slurmdb_connection_close(&db);
	if (!line)
		log_debug("the options of sbatch's command line cannot be had "
			  "from the accounting");
	return line;
}
#endif

static void read_options(struct present *p)
{
	p->submit_line = read_submit_line(p->info);
	p->opt = slurm_options_new();
	slurm_options_add_script(p->opt, p->script);
	slurm_options_add_env(p->opt, p->env);
	if (p->submit_line)
		slurm_options_add_line(p->opt, p->submit_line);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* Behind the script's name in the shell's command line, until its exec. */
static char *const *shell_arguments(char *const *cmdline)
{
	for (size_t i = 0; cmdline && cmdline[i]; i++)
		if (ends_with(cmdline[i], "/slurm_script"))
			return cmdline + i + 1;
	return NULL;
}

static void read_arguments(struct present *p)
{
	char **cmdline = proc_arguments(p->shell, NULL);
	char *const *args = shell_arguments(cmdline);
	size_t n = 0;

	if (!args)
		args = slurm_options_script_args(p->opt);
	while (args && args[n])
		n++;
	p->argv = xcalloc(n + 2, sizeof(*p->argv));
	/* In some releases the command has the arguments, too. */
	p->argv[0] = xstrdup(p->info->command ? p->info->command : "");
	if (n)
		p->argv[0][strcspn(p->argv[0], " ")] = '\0';
	for (size_t i = 0; i < n; i++)
		p->argv[i + 1] = xstrdup(args[i]);
	proc_arguments_free(cmdline);
}

static const char *option(const struct present *p, const char *name)
{
	return slurm_option(p->opt, name);
}

static void make_environment(struct present *p)
{
	struct rlimit limits[RLIM_NLIMITS];
	struct slurm_env_facts facts = {.limits = limits,
		.propagate = option(p, "propagate"),
		.umask = proc_umask(p->shell)};

	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (prlimit(p->shell, (__rlimit_resource_t)i, NULL, &limits[i]))
			limits[i].rlim_cur = limits[i].rlim_max = RLIM_INFINITY;
	facts.priority = getpriority(PRIO_PROCESS, (id_t)p->shell);
	p->new_env = slurm_env_next(p->env, &facts);
	slurm_env_set(&p->new_env, SUCCESSOR_OF, p->next->chain);
	p->spank = slurm_env_spank(p->env);
}

static int read_present(struct present *p, struct err *err)
{
	p->shell = batch_shell();
	p->env = slurm_env_read(p->shell, err);
	if (!p->env)
		return -1;
	if (read_script(p, err))
		return -1;
	read_options(p);
	read_arguments(p);
	make_environment(p);
	return 0;
}

static void forget_present(struct present *p)
{
	slurm_env_free(p->env);
	slurm_env_free(p->new_env);
	slurm_env_free(p->spank);
	slurm_env_free(p->argv);
	slurm_options_free(p->opt);
	free(p->script);
	free(p->submit_line);
	free(p->out);
	free(p->err);
	free(p->in);
	free(p->array);
	free(p->comment);
	free(p->depend);
	free(p->exclude);
}

/* --- the request: what slurmctld tells --- */

/* The request does not change them. */
static char *lend(const char *text)
{
	return text && *text ? (char *)(uintptr_t)text : NULL;
}

/* A list of choices is only in the option; the job has one of them. */
static char *choice(const struct present *p, const char *name, const char *now)
{
	const char *given = option(p, name);

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
	d->extra = lend(option(p, "extra"));
#endif
	d->mail_type = j->mail_type;
	d->mail_user = lend(j->mail_user);
	d->nice = j->nice;
	d->requeue = j->requeue;
	if (option(p, "mcs-label"))
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
	const char *nodes = option(p, "nodes");
	uint32_t min, max;

	d->min_nodes = slurm_count_in(j->tres_req_str, "node");
	if (!d->min_nodes)
		d->min_nodes = 1;
	if (nodes && !slurm_nodes_option(nodes, &min, &max)) {
		d->min_nodes = min;
		d->max_nodes = max;
	} else if (!nodes && d->min_nodes > 1) {
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
	if ((j->bitflags & JOB_NTASKS_SET) || option(p, "ntasks"))
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
	return option(p, "mem") || option(p, "mem-per-cpu");
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
	else if (option(p, "oversubscribe"))
		d->shared = 1;
}

/* --- the request: what only the options tell --- */

static void describe_signal(job_desc_msg_t *d, const struct present *p)
{
	const char *text = option(p, "signal");
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
	const char *text = option(p, "distribution");
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
	text = option(p, "distribution");
	if (text && strcasestr(text, ",nopack"))
		dist |= SLURM_DIST_NO_PACK_NODES;
	else if (text && strcasestr(text, ",pack"))
		dist |= SLURM_DIST_PACK_NODES;
	if (dist)
		d->task_dist = dist;
}

static void describe_options(job_desc_msg_t *d, const struct present *p)
{
	const char *wait = option(p, "wait-all-nodes");
	const char *ports = option(p, "resv-ports");

	describe_signal(d, p);
	describe_distribution(d, p);
	if (option(p, "overcommit"))
		d->overcommit = 1;
	if (option(p, "no-kill"))
		d->kill_on_node_fail =
			!strcmp(option(p, "no-kill"), "off") ? 1 : 0;
	if (wait && *wait)
		d->wait_all_nodes = (uint16_t)strtoul(wait, NULL, 10);
	d->acctg_freq = lend(option(p, "acctg-freq"));
#if SLURM_SINCE(24, 5)
	if (ports)
		d->resv_port_cnt = *ports ? (uint16_t)strtoul(ports, NULL, 10)
					  : d->resv_port_cnt;
	if (option(p, "segment"))
		d->segment_size =
			(uint16_t)strtoul(option(p, "segment"), NULL, 10);
#else
	(void)ports;
#endif
}

/* --- the request: what is the successor's own --- */

/* A pattern such as %j is filled in once: all legs write to the same file. */
static char *file_of(const slurm_job_info_t *info,
	void (*get)(char *buf, int size, job_info_t *job))
{
	char buf[4096] = "";

	get(buf, sizeof(buf), (job_info_t *)(uintptr_t)info);
	return *buf ? xstrdup(buf) : NULL;
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
	const char *given = option(p, "dependency");
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

static void describe(job_desc_msg_t *d, struct present *p)
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

/* --- submission --- */

bool slurm_error_is_transient(int num)
{
	static const int transient[] = {EAGAIN, EINTR, ECONNREFUSED, ETIMEDOUT,
		EHOSTUNREACH, ENETUNREACH, ECONNRESET, EPIPE,
#if !SLURM_SINCE(26, 5)
		ESLURM_ERROR_ON_DESC_TO_RECORD_COPY,
#endif
		ESLURM_NODES_BUSY, ESLURM_PORTS_BUSY, ESLURM_IN_STANDBY_MODE,
		SLURM_COMMUNICATIONS_CONNECTION_ERROR,
		SLURM_COMMUNICATIONS_SEND_ERROR,
		SLURM_COMMUNICATIONS_RECEIVE_ERROR,
		SLURM_COMMUNICATIONS_SHUTDOWN_ERROR,
		SLURMCTLD_COMMUNICATIONS_CONNECTION_ERROR,
		SLURMCTLD_COMMUNICATIONS_SEND_ERROR,
		SLURMCTLD_COMMUNICATIONS_RECEIVE_ERROR,
		SLURMCTLD_COMMUNICATIONS_SHUTDOWN_ERROR,
#if SLURM_SINCE(24, 11)
		SLURMCTLD_COMMUNICATIONS_BACKOFF,
#endif
		SLURM_PROTOCOL_SOCKET_IMPL_TIMEOUT,
		SLURM_PROTOCOL_SOCKET_ZERO_BYTES_SENT};

	for (size_t i = 0; i < LEN(transient); i++)
		if (transient[i] == num)
			return true;
	return false;
}

/* What to do about a refusal, where that is not plain from its text. */
static const char *advice(int num)
{
	switch (num) {
	case ESLURM_ACCESS_DENIED:
	case ESLURM_USER_ID_MISSING:
		return " (may jobs be submitted from compute nodes? see "
		       "AllocNodes in slurm.conf; or set [slurm] method = "
		       "requeue)";
	case ESLURM_ACCOUNTING_POLICY:
	case ESLURM_QOS_THRES:
		return " (a limit on submitted jobs? [slurm] method = requeue "
		       "needs no second job)";
	default:
		return "";
	}
}

/* Messages of job_submit plugins have several lines. */
static void tell_user(const char *message)
{
	auto_free char *copy = message ? xstrdup(message) : NULL;
	char *rest;

	for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; line;
		line = strtok_r(NULL, "\n", &rest))
		log_info("slurmctld: %s", line);
}

static int send_request(job_desc_msg_t *d, uint32_t *id, struct err *err)
{
	submit_response_msg_t *r = NULL;
	int num = 0;

	if (slurm_submit_batch_job(d, &r))
		num = errno ? errno : SLURM_ERROR;
	if (r) {
		tell_user(r->job_submit_user_msg);
		*id = submitted_job(r);
		slurm_free_submit_response_response_msg(r);
	}
	if (!num && *id)
		return 0;
	err_set(err, 0, "submit the next job: %s%s", slurm_strerror(num),
		advice(num));
	if (err)
		err->num = num;
	return -1;
}

static bool is_alive(const slurm_job_info_t *j)
{
	uint32_t state = j->job_state & JOB_STATE_BASE;

	return state == JOB_PENDING || state == JOB_RUNNING ||
	       state == JOB_SUSPENDED;
}

/* Is the job there already, from a try whose answer was lost? */
static uint32_t find_successor(
	const job_info_msg_t *jobs, const struct successor *s)
{
	for (uint32_t i = 0; i < jobs->record_count; i++) {
		const slurm_job_info_t *j = &jobs->job_array[i];
		unsigned leg = 0;
		auto_free char *chain = slurm_chain_in(j->comment, &leg);

		if (chain && !strcmp(chain, s->chain) && leg == s->leg &&
			is_alive(j))
			return j->job_id;
	}
	return 0;
}

static int look_for_successor(const slurm_job_info_t *now,
	const struct successor *s, uint32_t *id, struct err *err)
{
	job_info_msg_t *jobs = NULL;

	if (slurm_load_job_user(&jobs, now->user_id, SHOW_ALL)) {
		err_set(err, 0, "look for the next job: %s",
			slurm_strerror(errno));
		if (err)
			err->num = errno;
		return -1;
	}
	*id = find_successor(jobs, s);
	slurm_free_job_info_msg(jobs);
	if (*id)
		log_info("job %u was accepted before", *id);
	return 0;
}

int slurm_job_submit(const slurm_job_info_t *now, const struct successor *s,
	uint32_t *id, struct err *err)
{
	struct present p = {.info = now, .next = s};
	job_desc_msg_t d;
	int ret = -1;

	*id = 0;
	if (s->look_first && look_for_successor(now, s, id, err))
		return -1;
	if (*id)
		return 0;
	if (!read_present(&p, err)) {
		describe(&d, &p);
		ret = send_request(&d, id, err);
	}
	forget_present(&p);
	return ret;
}

/* --- other jobs --- */

int slurm_job_set_comment(uint32_t id, const char *comment, struct err *err)
{
	job_desc_msg_t d;

	slurm_init_job_desc_msg(&d);
	name_job(&d, id);
	d.comment = lend(comment);
	if (slurm_update_job(&d))
		return err_set(err, 0, "set the comment of job %u: %s", id,
			slurm_strerror(errno));
	return 0;
}

static void move_dependent(
	const slurm_job_info_t *j, const char *from, const char *to)
{
	auto_free char *moved = slurm_dependency_moved(j->dependency, from, to);
	job_desc_msg_t d;

	if (!moved)
		return;
	slurm_init_job_desc_msg(&d);
	name_job(&d, j->job_id);
	d.dependency = moved;
	if (slurm_update_job(&d))
		log_warn("job %u waits for job %s, and cannot be made to wait "
			 "for job %s: %s",
			j->job_id, from, to, slurm_strerror(errno));
	else
		log_info("job %u waits for job %s now", j->job_id, to);
}

void slurm_job_move_dependents(const slurm_job_info_t *now, uint32_t id)
{
	auto_free char *from = now->array_task_id == NO_VAL
				       ? xasprintf("%u", now->job_id)
				       : xasprintf("%u_%u", now->array_job_id,
						 now->array_task_id);
	auto_free char *to = xasprintf("%u", id);
	job_info_msg_t *jobs = NULL;

	if (slurm_load_job_user(&jobs, now->user_id, SHOW_ALL)) {
		log_warn("cannot look for jobs that wait for this one: %s",
			slurm_strerror(errno));
		return;
	}
	for (uint32_t i = 0; i < jobs->record_count; i++) {
		const slurm_job_info_t *j = &jobs->job_array[i];

		if (j->dependency && j->job_id != id)
			move_dependent(j, from, to);
	}
	slurm_free_job_info_msg(jobs);
}
