/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_purge.c - remove chains by name, age and state */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "chain.h"
#include "chain_facts.h"
#include "cmd_parts.h"
#include "log.h"
#include "trees.h"
#include "util.h"

struct purge {
	const char *base;
	int dir;           /* of base */
	double older_than; /* seconds */
	bool state[N_CHAIN_STATES];
	bool by_state; /* --state was given */
	bool named;    /* the chains were */
	bool dry_run;
	unsigned chains; /* removed */
	uint64_t bytes;
	json_t *list; /* what becomes of each; NULL: it is printed */
};

/* --- what is asked for --- */

static int take_state(struct purge *p, const char *word)
{
	const char *near = did_you_mean(word, chain_state_name, N_CHAIN_STATES);

	for (size_t i = 0; i < N_CHAIN_STATES; i++) {
		if (strcmp(word, chain_state_name[i]) != 0)
			continue;
		p->state[i] = true;
		if (i != CHAIN_RUNNING)
			return 0;
		log_error("--state: a chain that runs cannot be purged");
		return EX_USAGE;
	}
	if (near)
		log_error("--state: unknown state '%s' (did you mean '%s'?)",
			word, near);
	else
		log_error("--state: unknown state '%s' (examples: finished, "
			  "died; see checkpointer(1))",
			word);
	return EX_USAGE;
}

static int take_states(struct purge *p, const char *text)
{
	auto_free char *copy = xstrdup(text);
	char *rest, *word = strtok_r(copy, ", ", &rest);
	int ret = 0;

	if (!word)
		return take_state(p, text);
	for (; word && !ret; word = strtok_r(NULL, ", ", &rest))
		ret = take_state(p, word);
	p->by_state = true;
	return ret;
}

static int take_criteria(struct purge *p, const struct invocation *in)
{
	struct err err;

	p->named = in->args[0];
	p->dry_run = in->dry_run;
	if (!p->named && !in->older_than && !in->state) {
		log_error("purge needs to be told which chains: name them, or "
			  "give --older-than or --state");
		return EX_USAGE;
	}
	if (in->older_than &&
		parse_duration(in->older_than, &p->older_than, &err)) {
		log_error("--older-than: %s", err.text);
		return EX_USAGE;
	}
	return in->state ? take_states(p, in->state) : 0;
}

/* Why this chain stays, or NULL. */
static const char *why_not(const struct purge *p, const struct chain_facts *f)
{
	if (f->state == CHAIN_RUNNING)
		return "it runs";
	if (p->by_state && !p->state[f->state])
		return "it is in another state";
	/* The successor may be waiting in a queue, for a long time. */
	if (f->state == CHAIN_RESUBMITTED && !p->by_state && !p->named)
		return "its successor may be waiting";
	if (now_wall() - f->last < p->older_than)
		return "it is not that old";
	return NULL;
}

/* --- removing --- */

/* All of the chain but its journal, without which it would be none. */
static int remove_content(const struct chain *c, struct err *err)
{
	DIR *d = tree_list(c->dir);
	struct dirent *e;
	struct stat st;
	int ret = 0;

	if (!d)
		return err_set(err, errno, "list %s", c->path);
	while (!ret && (e = readdir(d))) {
		if (tree_is_dot(e->d_name) || !strcmp(e->d_name, "journal"))
			continue;
		if (fstatat(c->dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			ret = err_set(err, errno, "examine %s", e->d_name);
		else if (st.st_uid != geteuid())
			ret = err_set(err, 0,
				"%s belongs to user %u, not to you", e->d_name,
				st.st_uid);
		else
			ret = tree_remove(c->dir, e->d_name, err);
	}
	closedir(d);
	return ret;
}

static int remove_chain(
	const struct purge *p, const struct chain *c, struct err *err)
{
	if (chain_in_place(c, err) || remove_content(c, err))
		return -1;
	/* A crash between the two leaves what can be purged again. */
	if (fsync(c->dir) && errno != EINVAL)
		return err_set(err, errno, "sync %s", c->path);
	if (unlinkat(c->dir, "journal", 0))
		return err_set(err, errno, "remove the journal");
	if (unlinkat(p->dir, c->id, AT_REMOVEDIR))
		return err_set(err, errno, "remove directory %s", c->path);
	return 0;
}

static void tell_age(const struct chain_facts *f, char buf[32])
{
	if (f->last > 0)
		show_duration(now_wall() - f->last, buf);
	else
		snprintf(buf, 32, "age unknown");
}

/* For programs; a reason where it stays, else NULL. */
static void note(const struct purge *p, const struct chain *c,
	const struct chain_facts *f, const char *action, const char *reason,
	uint64_t bytes)
{
	json_t *j;

	if (!p->list)
		return;
	j = json_pack("{s:s, s:s, s:s*, s:s, s:f, s:I}", "chain", c->id,
		"action", action, "reason", reason, "state",
		chain_state_name[f->state], "last", f->last, "bytes",
		(json_int_t)bytes);
	if (json_array_append_new(p->list, j))
		log_error("chain %s: its reason is no text for JSON", c->id);
}

static int keep(const struct purge *p, const struct chain *c,
	const struct chain_facts *f, const char *why)
{
	note(p, c, f, "kept", why, tree_bytes(c->dir));
	if (p->named && f->state == CHAIN_RUNNING) {
		log_error("chain %s is kept: %s", c->id, why);
		return EX_TEMPFAIL;
	}
	(p->named ? log_info : log_debug)("chain %s is kept: %s", c->id, why);
	return 0;
}

static void tell_removed(const struct purge *p, const struct chain *c,
	const struct chain_facts *f, uint64_t bytes)
{
	char size[32], age[32];

	if (p->list)
		return;
	tell_age(f, age);
	printf("%s %s: %s, %s, %s\n", p->dry_run ? "would remove" : "removed",
		c->id, chain_state_name[f->state], age, show_size(bytes, size));
}

static int purge_open(struct purge *p, const struct chain *c)
{
	struct chain_facts facts;
	const char *why;
	uint64_t bytes;
	struct err err;

	if (chain_look(c, true, &facts, &err)) {
		log_error("chain %s: %s", c->id, err.text);
		return EX_IOERR;
	}
	why = why_not(p, &facts);
	if (why)
		return keep(p, c, &facts, why);
	bytes = tree_bytes(c->dir);
	if (!p->dry_run && remove_chain(p, c, &err)) {
		log_error("chain %s: %s", c->id, err.text);
		note(p, c, &facts, "failed", err.text, bytes);
		return EX_IOERR;
	}
	p->chains++;
	p->bytes += bytes;
	note(p, c, &facts, p->dry_run ? "would be removed" : "removed", NULL,
		bytes);
	tell_removed(p, c, &facts, bytes);
	return 0;
}

static int purge_chain(struct purge *p, const char *id)
{
	struct chain chain;
	struct err err;
	int ret;

	if (chain_open(&chain, p->base, id, false, &err)) {
		/* Somebody else may have removed it. */
		if (!p->named && err.num == ENOENT)
			return 0;
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	ret = purge_open(p, &chain);
	chain_close(&chain);
	return ret;
}

/* All of them, whatever becomes of one; the first trouble is the status. */
static int purge_chains(struct purge *p, char *const *names)
{
	char size[32];
	int ret = 0, now;

	p->dir = open(p->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (; *names; names++) {
		now = purge_chain(p, *names);
		ret = ret ? ret : now;
	}
	release_fd(&p->dir);
	if (!p->list && (!p->named || p->chains > 1))
		printf("%u chains, %s\n", p->chains, show_size(p->bytes, size));
	return ret;
}

const char cmd_purge_help[] =
	"Usage: checkpointer [OPTION]... purge [--older-than=TIME] [--state=STATE,...]\n"
	"                                      [--dry-run] [--json] [CHAIN]...\n"
	"\n"
	"Remove chains with all that is theirs: those that are named, or of all of them\n"
	"those that fit. One that runs is never removed.\n"
	"\n"
	"      --older-than=TIME  only those that did not change for so long\n"
	"      --state=STATE,...  only those that are finished, stopped, failed, died,\n"
	"                         resubmitted or empty\n"
	"      --dry-run          remove nothing, tell what would be\n"
	"      --json             an array of objects for programs, of those that are kept,\n"
	"                         too\n"
	"  -d, --dir=DIR          where the chains are, if not at the usual place\n"
	"  -h, --help             print this\n"
	"\n"
	"Example:\n"
	"  checkpointer purge --state=finished,failed --older-than=30d --dry-run\n";

static int purge_all(struct purge *p)
{
	struct err err;
	char **all = chain_names(p->base, &err);
	int ret;

	if (!all) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	ret = purge_chains(p, all);
	chain_names_free(all);
	return ret;
}

int cmd_purge(struct invocation *in)
{
	struct purge p = {.base = in->cfg.dir, .dir = -1};
	int ret = take_criteria(&p, in), printed;

	if (ret)
		return ret;
	p.list = in->json ? json_array() : NULL;
	ret = p.named ? purge_chains(&p, in->args) : purge_all(&p);
	printed = p.list ? print_for_programs(p.list) : 0;
	json_decref(p.list);
	return ret ? ret : printed;
}
