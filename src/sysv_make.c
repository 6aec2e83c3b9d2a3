/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sysv_make.c - a restore: System V IPC is made again with the same ids */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "log.h"
#include "sysv.h"
#include "util.h"

/* See shmctl(2); only the kernel's headers have them all. */
#ifndef SHM_DEST
#define SHM_DEST 01000
#endif
#ifndef SHM_LOCKED
#define SHM_LOCKED 02000
#endif

/* For semctl(2); who calls it has to say what it is. */
union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static int damaged(struct err *err)
{
	return err_set(err, 0, "the list of System V IPC is damaged");
}

/* --- from the generation --- */

/*
 * A stream, from a process beside us: it writes and we read. The store's reader
 * makes threads, which no later fork would have: so this process never reads by
 * itself.
 */
struct feeder {
	pid_t pid;
	int from;
};

static int start_feeder(struct feeder *f, struct store_reader *generation,
	const char *name, struct err *err)
{
	int fds[2], stream = store_find(generation, name);

	if (stream < 0)
		return damaged(err);
	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	f->pid = fork();
	if (f->pid == 0) {
		struct err why;

		close(fds[0]);
		if (!store_copy(generation, (size_t)stream, fds[1], &why))
			_exit(0);
		log_error("%s", why.text);
		_exit(1);
	}
	close(fds[1]);
	f->from = fds[0];
	return f->pid < 0 ? err_set(err, errno, "fork") : 0;
}

static int end_feeder(struct feeder *f, struct err *err)
{
	int status = 0;

	release_fd(&f->from);
	while (f->pid > 0 && waitpid(f->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, errno, "wait");
	return status ? err_set(err, 0, "the checkpoint is damaged") : 0;
}

json_t *sysv_load(struct store_reader *generation, struct err *err)
{
	int stream = generation ? store_find(generation, SYSV_FACTS) : -1;
	struct feeder f = {.from = -1};
	json_error_t why;
	json_t *facts = NULL;

	if (stream < 0 || !store_size(generation, (size_t)stream))
		return json_object();
	if (!start_feeder(&f, generation, SYSV_FACTS, err)) {
		facts = json_loadfd(f.from, JSON_REJECT_DUPLICATES, &why);
		if (!json_is_object(facts))
			damaged(err);
	}
	if (!end_feeder(&f, err) && json_is_object(facts))
		return facts;
	json_decref(facts);
	return NULL;
}

bool sysv_is_in_use(const json_t *facts)
{
	return json_object_get(facts, "attached") ||
	       json_object_get(facts, "waits");
}

static int read_bytes(
	const struct feeder *f, void *to, size_t n, struct err *err)
{
	char *at = to;
	ssize_t got;

	if (f->from < 0)
		return damaged(err);
	while (n) {
		got = read(f->from, at, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_set(err, got < 0 ? errno : 0,
				"the checkpoint has too little of System V IPC");
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

/* --- with the same ids --- */

/*
 * What is made next has this id. Before Linux 5.17 only root may say so; then
 * it may have it nonetheless.
 */
static void want_id(const char *kind, int id)
{
	auto_free char *path = xasprintf("/proc/sys/kernel/%s_next_id", kind);
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", id);

	if (fd < 0 || write_all(fd, text, (size_t)n))
		log_debug("%s: %s", path, strerror(errno));
}

static int check_id(const char *what, int got, int id, struct err *err)
{
	if (got < 0)
		return err_set(err, errno, "make %s %d", what, id);
	if (got != id)
		return err_set(err, 0,
			"%s %d is now %d: to make it with the same id takes "
			"Linux 5.17 or newer",
			what, id, got);
	return 0;
}

/* What all three kinds have. */
struct object {
	int key, id;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

static int read_object(const json_t *j, struct object *o, struct err *err)
{
	int mode, uid, gid;

	if (json_unpack((json_t *)j, "{s:i, s:i, s:i, s:i, s:i}", "key",
		    &o->key, "id", &o->id, "mode", &mode, "uid", &uid, "gid",
		    &gid))
		return damaged(err);
	o->mode = (mode_t)mode;
	o->uid = (uid_t)uid;
	o->gid = (gid_t)gid;
	return 0;
}

#define MAKE (IPC_CREAT | IPC_EXCL)

/* --- memory --- */

static int fill_run(char *at, uint64_t size, const json_t *run,
	const struct feeder *f, struct err *err)
{
	json_int_t from, n;

	if (json_unpack((json_t *)run, "[I, I]", &from, &n) || from < 0 ||
		n < 0 || (uint64_t)from > size ||
		(uint64_t)n > size - (uint64_t)from)
		return damaged(err);
	return read_bytes(f, at + from, (size_t)n, err);
}

static int fill_memory(int id, uint64_t size, const json_t *runs,
	const struct feeder *f, struct err *err)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const json_t *run;
	char *at;
	size_t i;
	int ret = 0;

	if (!json_array_size(runs))
		return 0;
	at = shmat(id, NULL, 0);
	/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
	if (at == (char *)-1)
		return err_set(
			err, errno, "attach shared memory segment %d", id);
	json_array_foreach(runs, i, run) ret =
		ret ? ret
		    : fill_run(
			      at, (size + page - 1) / page * page, run, f, err);
	shmdt(at);
	return ret;
}

/* Until all is attached everybody may: it may be for others than its owner. */
static int open_to_all(const struct object *o, struct err *err)
{
	struct shmid_ds ds = {0};

	ds.shm_perm.uid = o->uid;
	ds.shm_perm.gid = o->gid;
	ds.shm_perm.mode = 0666;
	return shmctl(o->id, IPC_SET, &ds)
		       ? err_set(err, errno, "shared memory segment %d", o->id)
		       : 0;
}

static int make_memory(const json_t *j, const struct feeder *f, struct err *err)
{
	json_int_t size = json_integer_value(json_object_get(j, "size"));
	struct object o;

	if (read_object(j, &o, err))
		return -1;
	want_id("shm", o.id);
	if (check_id("shared memory segment",
		    shmget(o.key, (size_t)size,
			    o.key == IPC_PRIVATE ? 0600 : MAKE | 0600),
		    o.id, err) ||
		fill_memory(o.id, (uint64_t)size, json_object_get(j, "runs"), f,
			err))
		return -1;
	return open_to_all(&o, err);
}

static int settle_memory(const json_t *j, struct err *err)
{
	struct shmid_ds ds = {0};
	struct object o;

	if (read_object(j, &o, err))
		return -1;
	ds.shm_perm.uid = o.uid;
	ds.shm_perm.gid = o.gid;
	ds.shm_perm.mode = o.mode & 0777;
	if (shmctl(o.id, IPC_SET, &ds) ||
		((o.mode & SHM_DEST) && shmctl(o.id, IPC_RMID, NULL)))
		return err_set(err, errno, "shared memory segment %d", o.id);
	/* How much may be locked is a limit of this machine's. */
	if ((o.mode & SHM_LOCKED) && shmctl(o.id, SHM_LOCK, NULL))
		log_debug("segment %d is not locked in memory any more: %s",
			o.id, strerror(errno));
	return 0;
}

int sysv_settle(const json_t *facts, struct err *err)
{
	const json_t *j;
	size_t i;

	json_array_foreach(json_object_get(facts, "memory"), i,
		j) if (settle_memory(j, err)) return -1;
	return 0;
}

/* --- semaphores --- */

static int set_values(int id, const json_t *values, struct err *err)
{
	size_t n = json_array_size(values);
	auto_free unsigned short *v = xcalloc(n ? n : 1, sizeof(*v));
	union semun arg = {.array = v};

	for (size_t i = 0; i < n; i++)
		v[i] = (unsigned short)json_integer_value(
			json_array_get(values, i));
	return semctl(id, 0, SETALL, arg) < 0
		       ? err_set(err, errno, "set semaphore set %d", id)
		       : 0;
}

static int make_semaphores(
	const json_t *j, const struct feeder *f, struct err *err)
{
	const json_t *values = json_object_get(j, "values");
	struct semid_ds ds = {0};
	union semun arg = {.buf = &ds};
	struct object o;

	(void)f;
	if (read_object(j, &o, err))
		return -1;
	want_id("sem", o.id);
	if (check_id("semaphore set",
		    semget(o.key, (int)json_array_size(values),
			    o.key == IPC_PRIVATE ? 0600 : MAKE | 0600),
		    o.id, err) ||
		set_values(o.id, values, err))
		return -1;
	ds.sem_perm.uid = o.uid;
	ds.sem_perm.gid = o.gid;
	ds.sem_perm.mode = (unsigned short)(o.mode & 0777);
	return semctl(o.id, 0, IPC_SET, arg) < 0
		       ? err_set(err, errno, "semaphore set %d", o.id)
		       : 0;
}

/* --- messages --- */

static int send_message(
	int id, const json_t *j, const struct feeder *f, struct err *err)
{
	auto_free struct msgbuf *m = NULL;
	json_int_t type, n;

	if (json_unpack((json_t *)j, "[I, I]", &type, &n) || n < 0 ||
		n > INT32_MAX)
		return damaged(err);
	m = xcalloc(1, sizeof(*m) + (size_t)n);
	m->mtype = (long)type;
	if (read_bytes(f, m->mtext, (size_t)n, err))
		return -1;
	return msgsnd(id, m, (size_t)n, IPC_NOWAIT)
		       ? err_set(err, errno, "fill message queue %d", id)
		       : 0;
}

static int make_queue(const json_t *j, const struct feeder *f, struct err *err)
{
	json_int_t room = json_integer_value(json_object_get(j, "room"));
	struct msqid_ds ds = {0};
	struct object o;
	const json_t *message;
	size_t i;

	if (read_object(j, &o, err))
		return -1;
	want_id("msg", o.id);
	if (check_id("message queue",
		    msgget(o.key, o.key == IPC_PRIVATE ? 0600 : MAKE | 0600),
		    o.id, err))
		return -1;
	json_array_foreach(json_object_get(j, "messages"), i,
		message) if (send_message(o.id, message, f, err)) return -1;
	ds.msg_perm.uid = o.uid;
	ds.msg_perm.gid = o.gid;
	ds.msg_perm.mode = (unsigned short)(o.mode & 0777);
	ds.msg_qbytes = (msglen_t)room;
	return msgctl(o.id, IPC_SET, &ds)
		       ? err_set(err, errno, "message queue %d", o.id)
		       : 0;
}

/* --- all of it --- */

static int each(const json_t *list,
	int (*make)(const json_t *, const struct feeder *, struct err *),
	const struct feeder *f, struct err *err)
{
	const json_t *j;
	size_t i;

	json_array_foreach(list, i, j) if (make(j, f, err)) return -1;
	return 0;
}

int sysv_make(
	const json_t *facts, struct store_reader *generation, struct err *err)
{
	struct feeder f = {.from = -1};
	struct err why;
	int ret;

	if (!json_object_size(facts))
		return 0;
	ret = start_feeder(&f, generation, SYSV_DATA, err);
	if (!ret &&
		(each(json_object_get(facts, "memory"), make_memory, &f, err) ||
			each(json_object_get(facts, "semaphores"),
				make_semaphores, &f, err) ||
			each(json_object_get(facts, "queues"), make_queue, &f,
				err)))
		ret = -1;
	if (end_feeder(&f, &why) && !ret) {
		*err = why;
		ret = -1;
	}
	return ret ? err_wrap(err, "put back System V IPC") : 0;
}
