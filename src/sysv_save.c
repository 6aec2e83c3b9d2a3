/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sysv_save.c - a dump: what there is of System V IPC goes into two streams */
#include <fcntl.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "sysv.h"
#include "sysv_maps.h"
#include "util.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

/* For semctl(2); who calls it has to say what it is. */
union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

struct survey {
	struct sysv_segments segments;
	FILE *messages; /* their bytes, one behind the other */
	char *text;
	size_t size;
	json_t *facts;
};

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "list System V IPC");
}

/* --- memory --- */

static uint64_t whole_pages(uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/* Pages that mincore(2) is asked about at once. */
#define WINDOW 65536

/* [[offset, bytes], ...] of what exists; the rest was never written to. */
static int add_runs(
	json_t *runs, const char *at, uint64_t size, bool all, struct err *err)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), begin = 0;
	auto_free unsigned char *in = xcalloc(WINDOW, 1);
	bool open = false;

	for (uint64_t i = 0; i <= size / page; i++) {
		uint64_t left = size - i * page;
		bool there;

		if (left && i % WINDOW == 0 &&
			mincore((void *)(uintptr_t)(at + i * page),
				left < WINDOW * page ? left : WINDOW * page,
				in))
			return err_set(err, errno, "mincore");
		there = left && (all || (in[i % WINDOW] & 1));
		if (there && !open)
			begin = i * page;
		if (open && !there &&
			json_array_append_new(
				runs, json_pack("[I, I]", (json_int_t)begin,
					      (json_int_t)(i * page - begin))))
			return no_memory(err);
		open = there;
	}
	return 0;
}

/*
 * Only the pages that exist: to read another one makes it. Which are swapped
 * out mincore(2) does not tell.
 */
static json_t *list_runs(const struct sysv_segment *s, struct err *err)
{
	json_t *runs = json_array();
	char *at;
	int ret;

	if (!s->rss && !s->swap)
		return runs;
	at = shmat(s->id, NULL, SHM_RDONLY);
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	if (at == (char *)-1) {
		json_decref(runs);
		err_set(err, errno, "attach shared memory segment %d", s->id);
		return NULL;
	}
	ret = add_runs(runs, at, whole_pages(s->size), s->swap > 0, err);
	shmdt(at);
	if (!ret)
		return runs;
	json_decref(runs);
	return NULL;
}

static json_t *survey_memory(struct survey *v, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->segments.n; i++) {
		const struct sysv_segment *s = &v->segments.v[i];
		json_t *runs = list_runs(s, err);

		if (runs &&
			!json_array_append_new(list,
				json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:o}",
					"key", s->key, "id", s->id, "mode",
					(int)s->mode, "uid", (int)s->uid, "gid",
					(int)s->gid, "size",
					(json_int_t)s->size, "runs", runs)))
			continue;
		if (runs)
			no_memory(err);
		json_decref(list);
		return NULL;
	}
	return list;
}

static int write_run(const char *at, const json_t *run, int out)
{
	json_int_t from, size;

	return json_unpack((json_t *)run, "[I, I]", &from, &size) ||
			       write_all(out, at + from, (size_t)size)
		       ? -1
		       : 0;
}

static int write_memory(const json_t *list, int out, struct err *err)
{
	const json_t *s, *run;
	size_t i, j;

	json_array_foreach(list, i, s)
	{
		const json_t *runs = json_object_get(s, "runs");
		int id = (int)json_integer_value(json_object_get(s, "id"));
		char *at;
		int ret = 0;

		if (!json_array_size(runs))
			continue;
		at = shmat(id, NULL, SHM_RDONLY);
		/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
		if (at == (char *)-1)
			return err_set(err, errno,
				"attach shared memory segment %d", id);
		json_array_foreach(runs, j, run) ret =
			ret ? ret : write_run(at, run, out);
		if (ret)
			err_set(err, errno, "write shared memory segment %d",
				id);
		shmdt(at);
		if (ret)
			return -1;
	}
	return 0;
}

/* --- semaphores --- */

static json_t *list_values(int id, unsigned n, struct err *err)
{
	auto_free unsigned short *v = xcalloc(n ? n : 1, sizeof(*v));
	union semun arg = {.array = v};
	json_t *list;

	if (semctl(id, 0, GETALL, arg) < 0) {
		err_set(err, errno, "read semaphore set %d", id);
		return NULL;
	}
	list = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_integer(v[i]));
	return list;
}

/* A line of /proc/sysvipc/sem; the first one has no numbers. */
static int add_semaphores(
	const char *line, struct survey *v, json_t *list, struct err *err)
{
	unsigned mode, n, uid, gid;
	int key, id;
	json_t *values;

	(void)v;
	if (sscanf(line, "%d %d %o %u %u %u", &key, &id, &mode, &n, &uid,
		    &gid) != 6)
		return 0;
	values = list_values(id, n, err);
	if (!values)
		return -1;
	return json_array_append_new(list,
		       json_pack("{s:i, s:i, s:i, s:i, s:i, s:o}", "key", key,
			       "id", id, "mode", (int)mode, "uid", (int)uid,
			       "gid", (int)gid, "values", values))
		       ? no_memory(err)
		       : 0;
}

/* --- messages --- */

/* What is waiting is copied, and stays where it is. */
static json_t *list_messages(
	struct survey *v, int id, size_t room, struct err *err)
{
	auto_free struct msgbuf *m = xcalloc(1, sizeof(*m) + room);
	json_t *list = json_array();
	ssize_t n;

	for (long i = 0;; i++) {
		n = msgrcv(id, m, room, i, MSG_COPY | IPC_NOWAIT);
		if (n < 0 && errno == ENOMSG)
			return list;
		if (n < 0)
			break;
		if (fwrite(m->mtext, 1, (size_t)n, v->messages) != (size_t)n)
			break;
		json_array_append_new(
			list, json_pack("[I, I]", (json_int_t)m->mtype,
				      (json_int_t)n));
	}
	err_set(err, errno, "copy the messages of System V queue %d", id);
	json_decref(list);
	return NULL;
}

/* A line of /proc/sysvipc/msg. */
static int add_queue(
	const char *line, struct survey *v, json_t *list, struct err *err)
{
	unsigned long long bytes;
	unsigned mode, uid, gid;
	struct msqid_ds ds;
	int key, id;
	json_t *messages;

	if (sscanf(line, "%d %d %o %llu %*u %*u %*u %u %u", &key, &id, &mode,
		    &bytes, &uid, &gid) != 6)
		return 0;
	if (msgctl(id, IPC_STAT, &ds))
		return err_set(err, errno, "look at message queue %d", id);
	messages = list_messages(v, id, (size_t)bytes, err);
	if (!messages)
		return -1;
	return json_array_append_new(list,
		       json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:o}", "key",
			       key, "id", id, "mode", (int)mode, "uid",
			       (int)uid, "gid", (int)gid, "room",
			       (json_int_t)ds.msg_qbytes, "messages", messages))
		       ? no_memory(err)
		       : 0;
}

/* --- all of it --- */

static json_t *each_line(const char *path, struct survey *v,
	int (*add)(const char *, struct survey *, json_t *, struct err *),
	struct err *err)
{
	auto_file FILE *f = fopen(path, "re");
	auto_free char *line = NULL;
	json_t *list = json_array();
	size_t room = 0;
	int ret = f ? 0 : err_set(err, errno, "open %s", path);

	while (f && !ret && getline(&line, &room, f) > 0)
		ret = add(line, v, list, err);
	if (!ret)
		return list;
	json_decref(list);
	return NULL;
}

/* Takes over the list; an empty one is nothing. */
static int put(json_t *facts, const char *name, json_t *list)
{
	if (!list)
		return -1;
	if (json_array_size(list))
		return json_object_set_new(facts, name, list);
	json_decref(list);
	return 0;
}

/*
 * semop(2) gives up at any stop, and is never begun again by the kernel: see
 * signal(7). A restored process can be made to.
 */
static json_t *list_waits(const struct int_list *tree)
{
	struct int_list threads = proc_threads(tree);
	json_t *list = json_array();
	uint64_t call[5];

	for (size_t i = 0; i < threads.n; i++) {
		auto_free char *path =
			xasprintf("/proc/%d/syscall", threads.v[i]);
		auto_free char *text =
			read_file_at(AT_FDCWD, path, 4096, NULL, NULL);

		if (text && sysv_parse_wait(text, call))
			json_array_append_new(
				list, json_pack("[i, I, I, I, I, I]",
					      threads.v[i], (json_int_t)call[0],
					      (json_int_t)call[1],
					      (json_int_t)call[2],
					      (json_int_t)call[3],
					      (json_int_t)call[4]));
	}
	free(threads.v);
	return list;
}

static json_t *list_stopped(const struct int_list *stopped)
{
	json_t *list = json_array();

	for (size_t i = 0; i < stopped->n; i++)
		json_array_append_new(list, json_integer(stopped->v[i]));
	return list;
}

static int survey(struct survey *v, pid_t root, const struct int_list *stopped,
	struct err *err)
{
	struct int_list tree = proc_tree(root);
	int ret = -1;

	v->facts = json_object();
	if (!sysv_list_segments(&v->segments, err) &&
		!put(v->facts, "attached",
			sysv_attachments(&tree, &v->segments, err)) &&
		!put(v->facts, "memory", survey_memory(v, err)) &&
		!put(v->facts, "semaphores",
			each_line(
				"/proc/sysvipc/sem", v, add_semaphores, err)) &&
		!put(v->facts, "queues",
			each_line("/proc/sysvipc/msg", v, add_queue, err)))
		ret = 0;
	if (!ret && json_object_size(v->facts))
		ret = put(v->facts, "waits", list_waits(&tree));
	if (!ret && json_object_size(v->facts))
		ret = put(v->facts, "stopped", list_stopped(stopped));
	free(tree.v);
	return ret;
}

static int write_facts(const json_t *facts, int out, struct err *err)
{
	auto_free char *text = json_dumps(facts, JSON_COMPACT);

	if (!text)
		return no_memory(err);
	return write_all(out, text, strlen(text))
		       ? err_set(err, errno, "write " SYSV_FACTS)
		       : 0;
}

static int write_messages(const struct survey *v, int out, struct err *err)
{
	return write_all(out, v->text, v->size)
		       ? err_set(err, errno, "write messages")
		       : 0;
}

static int save(pid_t root, const struct int_list *stopped,
	const int out[SYSV_STREAMS], struct err *err)
{
	struct survey v = {0};
	int ret = -1;

	v.messages = open_memstream(&v.text, &v.size);
	if (!v.messages)
		return no_memory(err);
	if (!survey(&v, root, stopped, err))
		ret = fclose(v.messages) ? no_memory(err) : 0;
	if (!ret && json_object_size(v.facts) &&
		(write_facts(v.facts, out[0], err) ||
			write_memory(json_object_get(v.facts, "memory"), out[1],
				err) ||
			write_messages(&v, out[1], err)))
		ret = -1;
	return ret;
}

/* --- the process --- */

int sysv_writer_start(struct sysv_writer *w, pid_t root,
	const struct int_list *stopped, struct err *err)
{
	int pipes[SYSV_STREAMS + 1][2], out[SYSV_STREAMS];
	char byte;

	w->err = mmap(NULL, sizeof(*w->err), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->err == MAP_FAILED)
		return err_set(err, errno, "mmap");
	for (size_t i = 0; i < LEN(pipes); i++)
		if (pipe2(pipes[i], O_CLOEXEC))
			return err_set(err, errno, "pipe");
	for (size_t i = 0; i < SYSV_STREAMS; i++) {
		w->from[i] = pipes[i][0];
		out[i] = pipes[i][1];
	}
	w->go = pipes[SYSV_STREAMS][1];
	w->pid = fork();
	if (w->pid == 0) {
		/* Whoever stops reading is to be noticed. */
		for (size_t i = 0; i < SYSV_STREAMS; i++)
			close(w->from[i]);
		close(w->go);
		if (read(pipes[SYSV_STREAMS][0], &byte, 1) != 1)
			_exit(0);
		_exit(save(root, stopped, out, w->err) ? 1 : 0);
	}
	close(pipes[SYSV_STREAMS][0]);
	for (size_t i = 0; i < SYSV_STREAMS; i++)
		close(out[i]);
	return w->pid < 0 ? err_set(err, errno, "fork") : 0;
}

size_t sysv_writer_streams(
	const struct sysv_writer *w, struct capture_extra extra[SYSV_STREAMS])
{
	if (w->pid <= 0)
		return 0;
	extra[0] = (struct capture_extra){SYSV_FACTS, w->from[0]};
	extra[1] = (struct capture_extra){SYSV_DATA, w->from[1]};
	return SYSV_STREAMS;
}

int sysv_writer_run(struct sysv_writer *w, struct err *err)
{
	int status = -1;

	if (w->pid <= 0)
		return 0;
	err_set(w->err, 0, "what copies System V IPC was killed");
	if (write_all(w->go, "", 1))
		return err_set(err, errno, "write");
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!status)
		return 0;
	*err = *w->err;
	return -1;
}

void sysv_writer_end(struct sysv_writer *w)
{
	if (w->pid > 0)
		release_fd(&w->go);
}
