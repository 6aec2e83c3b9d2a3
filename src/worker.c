/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "archives.h"
#include "connections.h"
#include "criu_log.h"
#include "files.h"
#include "look.h"
#include "proc.h"
#include "rollback.h"
#include "store.h"
#include "stream.h"
#include "sysv.h"
#include "timers.h"
#include "util.h"

/*
 * criu may only control a process that has no more capabilities than it has
 * itself, and looks into its caller's /proc: so the worker gives up all but
 * criu's. Reading what the command made unreadable in its private directories
 * takes others, which a child made before that keeps.
 */
struct archiver {
	pid_t pid;
	int go;          /* closed without a byte: not wanted */
	struct err *err; /* shared */
	double thawed;   /* when the tree could run on */
	struct rollback_survey survey;
	json_t *written; /* see rollback.h */
	int contents;    /* of those; -1: closed */
	json_t *threads; /* all of the tree, by number */
	json_t *pending; /* signals that came meanwhile, see timers.h */
	struct capture *capture;
	struct progress_meter meter;
	struct sysv_writer sysv;
	struct archives archives; /* on their way into the store */
	struct capture_extra extra[ARCHIVES_MAX + 1 + SYSV_STREAMS];
	size_t n_extra;
	const struct network *network;
	bool stop; /* the tree is to be left stopped by this, not by criu */
};

static _Noreturn void archive(struct archiver *a, const struct carry *c, int go)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(0);
	_exit(archives_write(
		      &a->archives, c, a->survey.root, a->survey.std, a->err)
			? 1
			: 0);
}

/* A stream of that name: what is written to *out goes into the store. */
static int make_pipe(
	struct archiver *a, const char *name, int *out, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	*out = fds[1];
	a->extra[a->n_extra++] = (struct capture_extra){name, fds[0]};
	return 0;
}

static int archiver_start(
	struct archiver *a, const struct carry *c, struct err *err)
{
	int fds[2];

	a->err = mmap(NULL, sizeof(*a->err), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a->err == MAP_FAILED || pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "make the archiver");
	if (archives_open(&a->archives, c, err))
		return -1;
	a->pid = fork();
	if (a->pid == 0) {
		close(fds[1]);
		archive(a, c, fds[0]);
	}
	close(fds[0]);
	archives_close(&a->archives);
	a->go = fds[1];
	if (a->pid < 0)
		return err_set(err, errno, "fork the archiver");
	/* Not before the fork, for the stream ends with its last writer. */
	return make_pipe(a, ROLLBACK_STREAM, &a->contents, err);
}

/* Their numbers must be free where they are restored, see keeper.c. */
static json_t *list_threads(pid_t root)
{
	struct int_list tree = proc_tree(root), threads = proc_threads(&tree);
	json_t *list = json_array();

	for (size_t i = 0; i < threads.n; i++)
		if (json_array_append_new(list, json_integer(threads.v[i])))
			threads.n = 0;
	free(tree.v);
	free(threads.v);
	return list;
}

/* What lies in criu's pipes is the tree's own memory, and no copy. */
static int before_change(void *arg)
{
	struct archiver *a = arg;

	return stream_drain(a->capture, a->err);
}

/* Called when all images are written and the tree is still frozen. */
static int while_frozen(void *arg)
{
	struct archiver *a = arg;
	int status = -1;

	a->written = rollback_survey(&a->survey, a->err);
	if (!a->written)
		return -1;
	a->threads = list_threads(a->survey.root);
	a->pending = timers_pending(a->survey.root);
	if (connections_are_whole(a->network, a->survey.root, a->err))
		return -1;
	if (a->stop)
		connections_stop(a->network, a->survey.root);
	if (before_change(a))
		return -1;
	if (rollback_snapshot(a->written, a->contents, a->err))
		return -1;
	release_fd(&a->contents);
	err_set(a->err, 0, "the archiver was killed");
	if (write_all(a->go, "", 1))
		return -1;
	while (waitpid(a->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		a->err->text[0] = '\0';
	if (status == 0 && sysv_writer_run(&a->sysv, a->err))
		status = -1;
	a->thawed = now_mono();
	return status ? -1 : 0;
}

static const char *isolation_text(const struct capsule *c)
{
	return c->isolation == ISOLATION_USER ? "user" : "none";
}

/* Takes over outside, and what the archiver has. */
static json_t *make_manifest(const struct worker_dump *d,
	const struct capsule *c, json_t *outside, const struct archiver *a)
{
	json_t *m = json_deep_copy(d->facts);
	struct utsname u;

	uname(&u);
	if (!m ||
		json_object_update_new(m,
			json_pack(
				"{s:f, s:b, s:b, s:s, s:s, s:s, s:i, s:i, s:O, "
				"s:o, s:o, s:o, s:o, s:o}",
				"time", now_wall(), "leave", d->leave,
				"deny_io_uring", d->deny_io_uring, "host",
				u.nodename, "kernel", u.release, "isolation",
				isolation_text(c), "pid", (int)d->root,
				"last_pid", (int)capsule_last_pid(), "network",
				c->network.record, "outside", outside,
				"written", a->written, "threads", a->threads,
				"pending", a->pending, "private",
				private_list(&c->private)))) {
		json_decref(m);
		return NULL;
	}
	return m;
}

/*
 * Dump into the store. What went wrong there, or with the archives, is the
 * reason for what criu says then.
 */
static int make_images(const struct engine *e, const struct worker_dump *d,
	struct store_writer *w, const json_t *outside, struct archiver *a,
	struct worker_result *r)
{
	const struct engine_calls calls = {while_frozen, before_change, a};
	double start = now_mono();
	struct err why;
	int ret;

	for (size_t i = 0; i < ARCHIVES_MAX; i++)
		if (a->archives.from[i] >= 0)
			a->extra[a->n_extra++] = (struct capture_extra){
				a->archives.name[i], a->archives.from[i]};
	a->n_extra += sysv_writer_streams(&a->sysv, &a->extra[a->n_extra]);
	a->capture = stream_capture(
		w, e->work, a->extra, a->n_extra, &a->meter, &r->err);
	if (!a->capture)
		return -1;
	ret = engine_dump(e, d->root, d->leave && !a->stop, outside, &calls,
		&r->criu_killed, &r->err);
	r->frozen = a->thawed - start;
	/* If it was not wanted, this ends it, and with it the archives. */
	release_fd(&a->go);
	sysv_writer_end(&a->sysv);
	release_fd(&a->contents);
	if (stream_captured(a->capture, &why)) {
		r->err = why;
		return -1;
	}
	if (ret && a->err->text[0])
		r->err = *a->err;
	if (!ret)
		progress_to_disk(&a->meter);
	return ret;
}

static int commit(const struct capsule *c, const struct worker_dump *d,
	struct store_writer *w, json_t *outside, const struct archiver *a,
	struct worker_result *r)
{
	json_t *m = make_manifest(d, c, outside, a);
	int ret;

	if (!m) {
		store_abandon(w);
		return err_set(&r->err, ENOMEM, "manifest");
	}
	if (d->before_commit && d->before_commit(d->arg, &r->err)) {
		json_decref(m);
		store_abandon(w);
		return -1;
	}
	ret = store_commit(w, m, &r->cost, &r->err);
	json_decref(m);
	return ret;
}

/* A good dump needs no explanation, but for those who ask for all. */
static void keep_log(const struct engine *e, const struct worker_dump *d)
{
	char name[32];

	if (!e->verbose)
		return;
	snprintf(name, sizeof(name), "%04u." ENGINE_DUMP_LOG, d->gen);
	criu_log_keep(e->work, ENGINE_DUMP_LOG, d->step, name);
}

static int fill(const struct engine *e, const struct capsule *c,
	const struct worker_dump *d, struct archiver *a, json_t *outside,
	struct worker_result *r)
{
	struct store_writer *w =
		store_begin(d->step, d->gen, &d->store, &r->err);

	if (!w) {
		json_decref(outside);
		return -1;
	}
	if (make_images(e, d, w, outside, a, r)) {
		json_decref(outside);
		store_abandon(w);
		return -1;
	}
	if (commit(c, d, w, outside, a, r))
		return -1;
	keep_log(e, d);
	return 0;
}

/* What the tree has in memory, and shares with nobody. */
static uint64_t memory_of(pid_t root)
{
	struct int_list tree = proc_tree(root);
	uint64_t sum = 0;

	for (size_t i = 0; i < tree.n; i++)
		sum += proc_anonymous(tree.v[i]);
	free(tree.v);
	return sum;
}

/* A number of the generation before, 0: there is none. */
static uint64_t last_time(const struct worker_dump *d, const char *key)
{
	unsigned before = store_newest(d->step, d->gen);
	json_t *m = before ? store_manifest(d->step, before, NULL) : NULL;
	json_int_t n = json_integer_value(json_object_get(m, key));

	json_decref(m);
	return n > 0 ? (uint64_t)n : 0;
}

/*
 * How much is to be read, about: what there is in memory, or what was read last
 * time, which was more where memory is shared or files are carried.
 */
static uint64_t guess_total(const struct worker_dump *d)
{
	uint64_t now = memory_of(d->root), last = last_time(d, "memory");

	return now > last ? now : last;
}

/*
 * What the generation will take at most, and at least. The first one is all
 * of the memory, later ones are taken to change as much as the last one; and
 * nothing is taken to shrink below an eighth.
 */
static void estimate(
	const struct worker_dump *d, uint64_t *most, uint64_t *least)
{
	uint64_t last = last_time(d, "bytes");

	*most = memory_of(d->root);
	if (last && last < *most)
		*most = last;
	*least = *most / 8;
}

/* Better now than when the disk is full: nothing is begun that cannot end. */
static int check_space(struct worker_dump *d, struct err *err)
{
	uint64_t most, least, room = UINT64_MAX;
	char need[32], have[32];
	struct statvfs fs;

	estimate(d, &most, &least);
	if (!fstatvfs(d->step, &fs))
		room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (least > room)
		return err_set(err, 0,
			"the checkpoint needs about %s, and the checkpoint "
			"directory is full but for %s: free some space, or "
			"name another one with [checkpoint] dir",
			show_size(most, need), show_size(room, have));
	if (d->store.room && least > d->store.room)
		return err_set(err, 0,
			"the checkpoint needs about %s, and [checkpoint] "
			"max_size leaves %s",
			show_size(most, need), show_size(d->store.room, have));
	if (d->store.room && d->store.room < room)
		room = d->store.room;
	if (most > room && d->store.compression == COMPRESSION_AUTO)
		d->store.compression = COMPRESSION_ZSTD;
	return 0;
}

/* Before the tree is stopped: is it too much, and how long may it take? */
static int look_ahead(
	const struct archiver *a, const struct carry *c, struct err *err)
{
	struct carry_list l;

	if (carry_find(c, a->survey.root, a->survey.std, &l, err))
		return -1;
	carry_tell(&l);
	carry_release(&l);
	return 0;
}

static int dump(const struct engine *e, const struct capsule *c,
	const struct worker_dump *d, struct worker_result *r)
{
	double start = now_mono();
	struct archiver a = {
		.survey = {.root = d->root,
			.capsule = c,
			.snapshot_limit = d->snapshot_limit},
		.contents = -1,
		.network = &c->network,
		.stop = d->leave && c->network.is_private,
	};
	json_t *outside = files_outside(d->root, &r->err);

	if (!outside)
		return -1;
	for (int i = 0; i < 3; i++)
		if (fstat(i, &a.survey.std[i]))
			a.survey.std[i].st_nlink = 0;
	progress_begin(&a.meter, d->step, false, guess_total(d), &d->listener);
	/* Before the archiver, which must not keep it from ending. */
	if (look_ahead(&a, &d->carry, &r->err) ||
		(c->isolation == ISOLATION_USER &&
			sysv_writer_start(
				&a.sysv, d->root, d->stopped, &r->err)) ||
		archiver_start(&a, &d->carry, &r->err) ||
		capsule_keep_criu_caps(c, &r->err)) {
		json_decref(outside);
		return -1;
	}
	if (fill(e, c, d, &a, outside, r))
		return -1;
	r->seconds = now_mono() - start;
	/* A last dump ends with the tree still stopped. */
	if (d->leave)
		r->frozen = r->seconds;
	return 0;
}

/*
 * What the supervisor has warned of may be mended by now; if it is not, there
 * is no need to stop the tree for a dump that fails. That there is a checkpoint
 * says as much.
 */
static int look_at_criu_again(const struct engine *e, const struct capsule *c,
	const struct worker_dump *d, struct err *err)
{
	if (!e->criu[0])
		return err_set(err, 0,
			"no dump is tried: there is no criu program; " CRIU_WANTED);
	if (store_newest(d->step, d->gen) ||
		!look_can_dump(e->criu, d->root, !e->unprivileged,
			c->isolation == ISOLATION_USER, err))
		return 0;
	return err_wrap(err, "no dump is tried");
}

/*
 * Who is filtered may not lift the filter of another process for a moment,
 * which only a privileged criu may: see PTRACE_O_SUSPEND_SECCOMP in ptrace(2).
 */
static bool lifts_filters(const struct engine *e, pid_t root)
{
	struct int_list tree = proc_tree(root);
	bool found = false;

	for (size_t i = 0; i < tree.n && !found; i++)
		found = proc_has_filter(tree.v[i]);
	free(tree.v);
	return found && !e->unprivileged;
}

void worker_dump(const struct engine *e, const struct capsule *c,
	const struct worker_dump *d, struct worker_result *r)
{
	struct worker_dump own = *d;
	struct engine engine = *e;
	struct rusage usage;

	prctl(PR_SET_NAME, "checkpt-worker");
	/* If it or criu dies, the command may die of it, too. */
	ignore_sent_signals();
	/* A limit on the size of files is told by write(2), too. */
	signal(SIGXFSZ, SIG_IGN);
	/* So is the end of a stream that could not be stored. */
	signal(SIGPIPE, SIG_IGN);
	engine.filtered = e->filtered && !lifts_filters(e, d->root);
	own.store.refused = engine_leavings(&engine);
	if (!look_at_criu_again(e, c, &own, &r->err) &&
		!connections_fit(&c->network, d->outside, d->root, &r->err) &&
		!check_space(&own, &r->err) && !dump(&engine, c, &own, r))
		r->ok = true;
	if (!getrusage(RUSAGE_SELF, &usage))
		r->rss = (uint64_t)usage.ru_maxrss * 1024;
	r->killed = r->criu_killed;
	_exit(!r->ok);
}
