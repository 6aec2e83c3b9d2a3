/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config.h - the configuration, from five layers into one struct */
#ifndef CONFIG_H
#define CONFIG_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"
#include "log.h"

enum isolation {
	ISOLATION_AUTO, /* user where it can be had, else none */
	ISOLATION_USER, /* the capsule: user, PID and mount namespaces */
	ISOLATION_NONE, /* the host's namespaces, a capable criu */
};

/* Which network the command is in. */
enum network_kind {
	NETWORK_AUTO,    /* private where that has a way out, and criu fits */
	NETWORK_PRIVATE, /* a network namespace of its own, with pasta */
	NETWORK_HOST,
};

/* TCP connections with what is outside the command, at a dump. */
enum outside {
	OUTSIDE_REFUSE, /* no dump */
	OUTSIDE_CLOSE,  /* they are closed at the restore */
};

/* Whether the command may have an io_uring, which CRIU cannot dump. */
enum io_uring {
	IO_URING_AUTO, /* denied to programs that are known to use it */
	IO_URING_ALLOW,
	IO_URING_DENY,
};

/* Whether the pages of a checkpoint are compressed. */
enum compression {
	COMPRESSION_AUTO, /* where the target is slower than compressing */
	COMPRESSION_NONE,
	COMPRESSION_ZSTD,
};

/* [checkpoint] interval = auto */
#define INTERVAL_AUTO (-1.)

/* How a Slurm job gets its successor. */
enum method {
	METHOD_SUBMIT,  /* a new job with the same parameters */
	METHOD_REQUEUE, /* the same job again */
};

/* What becomes of jobs that wait for a job that has a successor. */
enum dependents {
	DEPENDENTS_MOVE, /* they wait for the successor instead */
	DEPENDENTS_LEAVE,
};

/* Files that are not what they were when the checkpoint was made. */
enum rollback {
	ROLLBACK_TRUNCATE, /* back to what they were, as far as can be */
	ROLLBACK_KEEP,     /* stay as they are */
	ROLLBACK_REFUSE,   /* nothing is restored */
};

/* When the commands of [hooks] are run. */
enum hook_at {
	HOOK_BEFORE_DUMP,
	HOOK_AFTER_DUMP,
	HOOK_BEFORE_RESTORE,
	HOOK_AFTER_RESTORE,
	HOOK_ON_FINISH,
	N_HOOKS
};

extern const char *const config_hook_name[N_HOOKS];

/* One NAME=value of [environment]. */
struct config_env {
	char *name, *value;
};

/* Which values are set; a field's comment names its key where they differ. */
struct config {
	/* [checkpoint] */
	char *dir;         /* absolute; a leading ~ is already expanded */
	double margin;     /* seconds */
	double interval;   /* seconds, 0: none, or INTERVAL_AUTO */
	double mtbf;       /* seconds, of the job's nodes; for INTERVAL_AUTO */
	unsigned keep;     /* generations kept of a step, at least 1 */
	unsigned max_legs; /* 0: no limit */
	double look_after; /* seconds; the second look at the tree, 0: none */
	double retry;      /* seconds before a failed dump is tried again */
	double dump_timeout;    /* seconds that a dump may take, 0: no limit */
	double restore_timeout; /* seconds of one restore, 0: no limit */
	unsigned restore_tries; /* older generations tried, at least 1 */
	unsigned max_moves;     /* nodes in a row that could not restore */
	double max_time; /* seconds that all legs may have, 0: no limit */
	enum compression compression;
	int compression_level; /* of zstd */
	unsigned threads;      /* that (de)compress; 0: one a CPU */
	unsigned full_every;   /* generations that may share a page; 0: any */
	uint64_t max_size;     /* bytes on disk of a chain, 0: no limit */

	/* [signals] */
	sigset_t checkpoint; /* checkpoint and leave */
	sigset_t save;       /* checkpoint and continue */
	sigset_t terminate;  /* checkpoint and leave if there is time */

	/* [local] */
	double time_limit; /* seconds, 0: none */

	/* [slurm] */
	enum method method;
	enum dependents dependents;
	unsigned comment;             /* show the state there: 0 or 1 */
	unsigned exclude_failed_node; /* one that cannot restore: 0 or 1 */
	double preemption_watch;      /* seconds between two looks, 0: never */

	/* [capsule] */
	enum isolation isolation;
	enum network_kind network;
	enum outside outside; /* key outside_connections */
	char *ports;          /* of the node, led inside */
	char *private_dirs;   /* space-separated absolute paths */
	char *scratch; /* where private files lie: "auto", "memory", path */
	enum io_uring io_uring;

	/* [files] */
	enum rollback rollback;
	uint64_t snapshot_limit; /* bytes of one file, 0: none is kept */

	/* [files] */
	unsigned carry;       /* node-local files too: 0 or 1 */
	uint64_t carry_limit; /* bytes of these, at most */
	char *shared_paths;   /* space-separated absolute paths */
	char *local_paths;    /* the same */

	/* [criu] */
	char *criu;           /* key binary: absolute path, or a name in PATH */
	uint64_t ghost_limit; /* bytes */
	char *criu_extra;     /* key extra: lines for criu's configuration file,
				 separated by ';' */

	/* [hooks] */
	char *hook[N_HOOKS];      /* the user's commands, "": none */
	char *site_hook[N_HOOKS]; /* run before these; NULL: none */
	double hook_timeout;      /* seconds of one; key timeout */

	/* [environment] */
	struct config_env *env;
	size_t n_env;

	/* [log] */
	enum log_level level;
	char *log_file; /* key file; NULL: none */
	unsigned timestamps;

	/* Where each value came from; see config_origin.h. */
	struct config_origin *origin;
};

/*
 * Built-in values < /etc/checkpointer.ini < ~/.config/checkpointer.ini
 * < CHECKPOINTER_SECTION_KEY in the environment < "section.key=value" in
 * sets[0..n_sets-1] (the command line's, in order). A key that the site names
 * in [site] lock may only be set by the site's file; setting it elsewhere is
 * an error. What the site's file has in [hooks] is not replaced: it is run
 * before what a later layer has. A file that does not exist is an empty one.
 *
 * Every mistake of every layer goes to log_error(), one line each: the file
 * and line (or variable, or option), the section and key, what is wrong, and
 * the nearest known word. Returns the number of mistakes; cfg is only to be
 * used when that is 0, and is to be released with config_free() in any case.
 */
int config_load(struct config *cfg, const char *const *sets, size_t n_sets);

/*
 * Put settings of the command line into the environment, for programs that are
 * started from here: "checkpoint.margin=1m" as
 * CHECKPOINTER_CHECKPOINT_MARGIN=1m, and those of [environment] as they are. 0,
 * or -1 with errno.
 */
int config_export(const char *const *sets, size_t n_sets);

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

/* The site's file, and the user's: owned, NULL if there is no home. */
#define CONFIG_SITE_FILE SYSCONFDIR "/checkpointer.ini"
char *config_user_file(void);

/* The layers of config_load, with the two files named, for tests. */
int config_load_files(struct config *cfg, const char *site, const char *user,
	const char *const *sets, size_t n_sets);

/*
 * The margin of a leg that lasts so many seconds, 0: it is not known. One that
 * no user has set, and no site has locked, takes no more than a third of the
 * leg, but a second at least.
 */
double config_margin(const struct config *cfg, double limit);

/*
 * Print the effective configuration as an INI file; behind every value a
 * comment with its origin ("built-in", "/etc/checkpointer.ini:12", ...).
 */
void config_print(const struct config *cfg, FILE *out);

/*
 * The same for programs: an object of sections, these of keys, and each has
 * "value", as a file has it, "from" and "locked"; a hook that the site has,
 * too, "site" and "site_from". Owned by the caller.
 */
json_t *config_json(const struct config *cfg);

/* Release what cfg owns. A zeroed struct is fine; may be called twice. */
void config_free(struct config *cfg);

#endif
