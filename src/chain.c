/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "chain_parts.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "chain_facts.h"
#include "log.h"
#include "util.h"

/* Seconds that a new leg waits for the last one's remains to end. */
#define LEASE_WAIT 3

#define JOURNAL_MAX (64U << 20)

json_t *chain_string(const char *bytes)
{
	json_t *j = json_string(bytes);
	auto_free char *text = NULL;
	char *to;

	if (j)
		return j;
	to = text = xcalloc(strlen(bytes) + 1, 2);
	for (const char *p = bytes; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c >= 0x80) {
			*to++ = (char)(0xc0 | c >> 6);
			c = 0x80 | (c & 0x3f);
		}
		*to++ = (char)c;
	}
	return json_string(text);
}

bool chain_id_is_valid(const char *id)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789._-";
	size_t n = strlen(id);

	return n > 0 && n <= 100 && id[0] != '.' && id[0] != '-' &&
	       strspn(id, letters) == n;
}

/* It, or what is on the way there. */
static int no_directory(const char *base, const char *at, struct err *err)
{
	bool is_it = !strcmp(base, at);
	int e = errno;

	err_set(err, 0,
		"checkpoint directory %s: %s%s%s; name another one, as in "
		"--dir=/scratch/checkpoints",
		base, is_it ? "" : at, is_it ? "" : ": ", strerror(e));
	if (err)
		err->num = e;
	return -1;
}

/* mkdir -p with mode 0700; what exists is left as it is. */
static int make_parents(const char *path, struct err *err)
{
	auto_free char *p = xstrdup(path);

	for (char *s = p + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(p, 0700) && errno != EEXIST)
			return no_directory(path, p, err);
		*s = '/';
	}
	if (mkdir(p, 0700) && errno != EEXIST)
		return no_directory(path, p, err);
	return 0;
}

/* Open a directory that must belong to the caller alone. */
int chain_private_dir(int parent, const char *name, const char *path,
	bool create, struct err *err)
{
	auto_close int fd = -1;
	struct stat st;

	if (create && mkdirat(parent, name, 0700) && errno != EEXIST)
		return err_set(err, errno, "make directory %s", path);
	fd = openat(
		parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return err_set(err, errno, "open directory %s", path);
	if (st.st_uid != geteuid())
		return err_set(err, 0,
			"directory %s belongs to user %u, not to you", path,
			st.st_uid);
	if ((st.st_mode & 077) && fchmod(fd, 0700))
		return err_set(
			err, errno, "close directory %s to others", path);
	return steal_fd(&fd);
}

json_t *chain_line(const struct chain *c, const char *event)
{
	json_t *j = json_pack("{s:f, s:s}", "t", now_wall(), "event", event);

	if (c->leg)
		json_object_set_new(j, "leg", json_integer(c->leg));
	return j;
}

/* A line that a crash cut short must not spoil the next one. */
static int end_torn_line(struct chain *c, off_t size, struct err *err)
{
	char last;

	if (pread(c->journal, &last, 1, size - 1) == 1 && last != '\n' &&
		write_all(c->journal, "\n", 1))
		return err_set(err, errno, "write the journal");
	return 0;
}

static int begin_chain(struct chain *c, struct err *err)
{
	char host[256] = "";
	json_t *line;
	struct stat st;

	if (fstat(c->journal, &st))
		return err_set(err, errno, "read the journal");
	if (st.st_size > 0)
		return end_torn_line(c, st.st_size, err);
	line = chain_line(c, "chain");
	gethostname(host, sizeof(host) - 1);
	json_object_set_new(line, "chain", json_string(c->id));
	json_object_set_new(line, "host", json_string(host));
	json_object_set_new(
		line, "program", json_string("checkpointer " VERSION));
	return chain_write(c, line, false, err);
}

/* Like a misspelt command: which one was meant? */
static void no_chain(const char *base, const char *id, struct err *err)
{
	char **names = chain_names(base, NULL);
	size_t n = 0;
	const char *near;

	while (names && names[n])
		n++;
	near = did_you_mean(id, (const char *const *)names, n);
	if (near)
		err_set(err, 0, "there is none in %s (did you mean '%s'?)",
			base, near);
	else
		err_set(err, 0,
			"there is none in %s; 'checkpointer list' shows those "
			"that there are",
			base);
	if (err)
		err->num = ENOENT;
	chain_names_free(names);
}

/* What may help where nothing can be written. */
static void advise(struct err *err)
{
	size_t n = err ? strlen(err->text) : 0;

	if (!err)
		return;
	if (err->num == ENOSPC || err->num == EDQUOT)
		snprintf(err->text + n, sizeof(err->text) - n,
			"; free some space ('checkpointer purge' removes old "
			"chains), or name another directory, as in "
			"--dir=/scratch/checkpoints");
	else if (err->num == EACCES || err->num == EROFS)
		snprintf(err->text + n, sizeof(err->text) - n,
			"; name another directory, as in "
			"--dir=/scratch/checkpoints");
}

int chain_open(struct chain *c, const char *base, const char *id, bool create,
	struct err *err)
{
	auto_close int parent = -1;

	memset(c, 0, sizeof(*c));
	c->dir = c->journal = c->lease = c->present = c->log = -1;
	if (!chain_id_is_valid(id))
		return err_set(err, 0,
			"'%.100s' cannot be the name of a chain: only "
			"letters, digits, '.', '_' and '-'",
			id);
	if (create && make_parents(base, err))
		return -1;
	parent = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return no_directory(base, base, err);
	c->id = xstrdup(id);
	c->path = xasprintf("%s/%s", base, id);
	if (!create && faccessat(parent, id, F_OK, AT_SYMLINK_NOFOLLOW) &&
		errno == ENOENT)
		no_chain(base, id, err);
	else
		c->dir = chain_private_dir(parent, id, c->path, create, err);
	if (c->dir >= 0)
		c->journal = open_own_file(c->dir, "journal",
			O_RDWR | O_APPEND | (create ? O_CREAT : 0), err);
	if (c->journal >= 0)
		c->lease =
			open_own_file(c->dir, "lease", O_RDWR | O_CREAT, err);
	if (c->lease >= 0)
		c->present =
			open_own_file(c->dir, "present", O_RDWR | O_CREAT, err);
	if (c->present >= 0 && !begin_chain(c, err))
		return 0;
	if (c->dir >= 0 || create)
		advise(err);
	err_wrap(err, "chain %s", id);
	chain_close(c);
	return -1;
}

void chain_close(struct chain *c)
{
	if (c->log >= 0)
		log_set_chain(-1, 0, 0);
	release_fd(&c->log);
	release_fd(&c->present);
	release_fd(&c->lease);
	release_fd(&c->journal);
	release_fd(&c->dir);
	free(c->id);
	free(c->path);
	c->id = c->path = NULL;
}

void chain_open_log(struct chain *c)
{
	struct stat st;
	struct err err;

	if (c->first && !fstatat(c->dir, CHAIN_LOG, &st, AT_SYMLINK_NOFOLLOW) &&
		st.st_size > LOG_CHAIN_MAX / 2 &&
		renameat(c->dir, CHAIN_LOG, c->dir, CHAIN_LOG ".1"))
		log_debug("cannot put the log aside: %s", strerror(errno));
	c->log = open_own_file(
		c->dir, CHAIN_LOG, O_RDWR | O_CREAT | O_APPEND, &err);
	if (c->log < 0)
		log_warn("the chain has no log: %s", err.text);
	else
		log_set_chain(c->log, c->leg, 0);
}

int chain_in_place(const struct chain *c, struct err *err)
{
	struct stat path, dir;

	if (lstat(c->path, &path))
		return err_set(err, errno, "checkpoint directory %s", c->path);
	if (fstat(c->dir, &dir) || dir.st_dev != path.st_dev ||
		dir.st_ino != path.st_ino)
		return err_set(err, 0,
			"checkpoint directory %s is not the one it was: put "
			"it back",
			c->path);
	return 0;
}

/* --- the journal --- */

int chain_write(const struct chain *c, json_t *line, bool sync, struct err *err)
{
	auto_free char *text = json_dumps(line, JSON_COMPACT);
	auto_free char *with_end = text ? xasprintf("%s\n", text) : NULL;

	json_decref(line);
	if (!with_end)
		return err_set(err, 0, "journal: text that is not UTF-8");
	if (write_all(c->journal, with_end, strlen(with_end)) ||
		(sync && fdatasync(c->journal)))
		return err_set(
			err, errno, "write the journal of chain %s", c->id);
	return 0;
}

/* One line of n bytes; NULL if it is damaged. */
static json_t *parse_line(const char *line, size_t n)
{
	json_t *j = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

json_t *chain_read(const struct chain *c, unsigned *damaged, struct err *err)
{
	auto_free char *text = NULL;
	json_t *lines = json_array();
	unsigned bad = 0;
	size_t len;

	text = read_file_at(c->dir, "journal", JOURNAL_MAX, &len, err);
	if (!text) {
		json_decref(lines);
		return NULL;
	}
	for (const char *p = text, *next; p < text + len; p = next + 1) {
		json_t *j;

		next = memchr(p, '\n', (size_t)(text + len - p));
		if (!next)
			next = text + len;
		if (next == p)
			continue;
		j = parse_line(p, (size_t)(next - p));
		bad += !j || json_array_append_new(lines, j);
	}
	if (damaged)
		*damaged = bad;
	return lines;
}

bool chain_is_event(const json_t *line, const char *event)
{
	const char *e = json_string_value(json_object_get(line, "event"));

	return e && !strcmp(e, event);
}

unsigned chain_number(const json_t *line, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(line, key));

	return n > 0 && n < 1000000 ? (unsigned)n : 0;
}

/* --- legs --- */

static void on_alarm(int sig)
{
	(void)sig;
}

/*
 * flock(2) for this process alone, waiting so many seconds at most; 0: without
 * limit. -1 with errno ETIMEDOUT.
 */
static int lock_alone(int fd, double seconds)
{
	const struct itimerval moment = {
		.it_value = {.tv_sec = (time_t)seconds,
			.tv_usec =
				(suseconds_t)((seconds -
						      (double)(time_t)seconds) *
					      1e6)},
		/* Once more, should it come before the lock is asked for. */
		.it_interval = {.tv_sec = 1},
	};
	const struct itimerval never = {0};
	struct sigaction sa = {.sa_handler = on_alarm}, old;
	int ret;

	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK)
		return -1;
	/* Without SA_RESTART the alarm interrupts the lock. */
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, seconds > 0 ? &moment : &never, NULL);
	do
		ret = flock(fd, LOCK_EX);
	while (ret && errno == EINTR && seconds <= 0);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	if (ret && errno == EINTR)
		errno = ETIMEDOUT;
	return ret;
}

static int take_lease(struct chain *c, bool first, struct err *err)
{
	auto_free char *holder = NULL;

	/*
	 * The first of a leg must be alone; then the other steps of the leg
	 * may share. A lock ends with its process, however that ends.
	 */
	if (first && lock_alone(c->lease, LEASE_WAIT)) {
		if (errno != ETIMEDOUT) {
			log_warn("%s: no locks on this file system (%s); see "
				 "to it that no chain is run twice",
				c->path, strerror(errno));
			return 0;
		}
		holder = read_file_at(c->dir, "lease", 4096, NULL, NULL);
		err_set(err, 0, "chain %s is running already: %s", c->id,
			holder && *holder ? holder : "in another leg");
		if (err)
			err->num = EBUSY;
		return -1;
	}
	if (flock(c->lease, LOCK_SH | LOCK_NB))
		return err_set(err, errno, "lock chain %s", c->id);
	return 0;
}

static void write_lease(const struct chain *c)
{
	char host[256] = "", text[512];

	gethostname(host, sizeof(host) - 1);
	snprintf(text, sizeof(text), "leg %u, on %s, process %d", c->leg, host,
		(int)getpid());
	/* Only for the message above; the lock is what counts. */
	if (ftruncate(c->lease, 0) ||
		pwrite(c->lease, text, strlen(text), 0) < 0)
		log_debug("cannot write the lease: %s", strerror(errno));
}

static int begin_leg(struct chain *c, const char *key, const char *scheduler,
	struct err *err)
{
	char host[256] = "";
	json_t *line;

	if (take_lease(c, true, err)) {
		c->leg = 0;
		return -1;
	}
	c->first = true;
	write_lease(c);
	gethostname(host, sizeof(host) - 1);
	line = chain_line(c, "leg");
	json_object_set_new(line, "key", json_string(key));
	json_object_set_new(line, "scheduler", json_string(scheduler));
	json_object_set_new(line, "host", json_string(host));
	json_object_set_new(line, "pid", json_integer(getpid()));
	return chain_write(c, line, false, err);
}

/* Files that were copied, or put in each other's place. */
static int is_of_another(
	const struct chain *c, const json_t *line, struct err *err)
{
	const char *id = json_string_value(json_object_get(line, "chain"));

	if (!id || !strcmp(id, c->id))
		return 0;
	return err_set(err, 0,
		"%s/journal is that of chain %.100s: put each chain's "
		"directory back in its place",
		c->path, id);
}

static int find_leg(struct chain *c, const char *key, const char *scheduler,
	struct err *err)
{
	json_t *lines = chain_read(c, NULL, err), *j;
	unsigned last = 0, mine = 0;
	size_t i;

	if (!lines)
		return -1;
	json_array_foreach(lines, i, j)
	{
		const char *k = json_string_value(json_object_get(j, "key"));

		if (chain_is_event(j, "chain") && is_of_another(c, j, err)) {
			json_decref(lines);
			return -1;
		}
		if (!chain_is_event(j, "leg"))
			continue;
		if (chain_number(j, "leg") > last)
			last = chain_number(j, "leg");
		if (k && !strcmp(k, key))
			mine = chain_number(j, "leg");
	}
	json_decref(lines);
	if (mine && mine == last) {
		c->leg = mine;
		return take_lease(c, false, err);
	}
	if (mine)
		return err_set(err, EBUSY,
			"chain %s has gone on to leg %u, this is leg %u", c->id,
			last, mine);
	c->leg = last + 1;
	return begin_leg(c, key, scheduler, err);
}

int chain_take_leg(struct chain *c, const char *key, const char *scheduler,
	struct err *err)
{
	int ret;

	if (flock(c->journal, LOCK_EX))
		log_debug("cannot lock the journal: %s", strerror(errno));
	ret = find_leg(c, key, scheduler, err);
	flock(c->journal, LOCK_UN);
	if (!ret)
		chain_be_present(c);
	return ret;
}

void chain_be_present(const struct chain *c)
{
	while (flock(c->present, LOCK_SH) && errno == EINTR)
		;
}

int chain_wait_alone(const struct chain *c, double seconds)
{
	return lock_alone(c->present, seconds);
}

/* --- the successor --- */

/* Of this leg, or of any if leg is 0: then the last one. */
static char *find_successor(const struct chain *c, unsigned leg)
{
	json_t *lines = chain_read(c, NULL, NULL), *j;
	const char *name;
	char *found = NULL;
	size_t i;

	json_array_foreach(lines, i, j)
	{
		if (!chain_is_event(j, "submitted") ||
			(leg && chain_number(j, "leg") != leg))
			continue;
		name = json_string_value(json_object_get(j, "job"));
		free(found);
		found = xstrdup(name ? name : "");
	}
	json_decref(lines);
	return found;
}

char *chain_successor(const struct chain *c)
{
	return find_successor(c, c->leg);
}

char *chain_last_successor(const struct chain *c)
{
	return find_successor(c, 0);
}

/* A step moves also when it was killed with its job. */
static bool is_restore(const json_t *line)
{
	const char *on = json_string_value(json_object_get(line, "on"));

	return on && !strcmp(on, "cannot restore here");
}

struct chain_past chain_past(const struct chain *c)
{
	json_t *lines = chain_read(c, NULL, NULL), *j;
	struct chain_past p = {0};
	double from = 0, to = 0;
	unsigned leg = 0;
	size_t i;

	json_array_foreach(lines, i, j)
	{
		const char *state =
			json_string_value(json_object_get(j, "state"));
		double t = json_number_value(json_object_get(j, "t"));

		if (!chain_number(j, "leg") || chain_number(j, "leg") == c->leg)
			continue;
		if (chain_is_event(j, "leg") && chain_number(j, "leg") != leg) {
			p.seconds += to - from;
			from = t;
			leg = chain_number(j, "leg");
		}
		to = t;
		if (state && !strcmp(state, "moving") && is_restore(j))
			p.moves++;
		else if (state && (!strcmp(state, "restored") ||
					  !strcmp(state, "running")))
			p.moves = 0;
	}
	p.seconds += to - from;
	json_decref(lines);
	return p;
}

static int submit_once(const struct chain *c,
	int (*submit)(void *arg, char name[64], struct err *err), void *arg,
	struct err *err)
{
	auto_free char *there = chain_successor(c);
	char name[64] = "";
	json_t *line;

	if (there)
		return 0;
	if (submit(arg, name, err))
		return -1;
	line = chain_line(c, "submitted");
	json_object_set_new(line, "job", json_string(name));
	/* The successor is there all the same. */
	if (chain_write(c, line, true, err))
		log_warn("%s", err->text);
	return 0;
}

int chain_submit(const struct chain *c,
	int (*submit)(void *arg, char name[64], struct err *err), void *arg,
	struct err *err)
{
	int ret;

	if (flock(c->journal, LOCK_EX))
		log_debug("cannot lock the journal: %s", strerror(errno));
	ret = submit_once(c, submit, arg, err);
	flock(c->journal, LOCK_UN);
	return ret;
}
