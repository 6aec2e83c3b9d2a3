/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "util.h"

#define PREFIX "CHECKPOINTER_"

/* A directory with the two files, and what came of loading them. */
struct fixture {
	char dir[64], site[80], user[80];
	struct config cfg;
	char *messages;
};

static void clear_environment(void)
{
	size_t i = 0;

	while (environ && environ[i]) {
		if (!strncmp(environ[i], PREFIX, strlen(PREFIX))) {
			auto_free char *name =
				strndup(environ[i], strcspn(environ[i], "="));

			assert_int_equal(unsetenv(name), 0);
			i = 0;
		} else {
			i++;
		}
	}
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	clear_environment();
	assert_int_equal(setenv("HOME", "/home/me", 1), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_config.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->site, sizeof(f->site), "%s/site.ini", f->dir);
	snprintf(f->user, sizeof(f->user), "%s/user.ini", f->dir);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	auto_free char *command = xasprintf("rm -rf '%s'", f->dir);
	int rc = system(command); /* NOLINT(cert-env33-c) */

	clear_environment();
	config_free(&f->cfg);
	config_free(&f->cfg);
	free(f->messages);
	free(f);
	return rc;
}

static void put_file(const char *path, const char *text, size_t n)
{
	struct err err = {0};

	if (write_file_at(AT_FDCWD, path, text, n, &err) < 0)
		fail_msg("%s", err.text);
}

/* Standard error goes to a file from here on; its former self is returned. */
static int redirect(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int saved = dup(STDERR_FILENO);

	assert_true(fd >= 0 && saved >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	return saved;
}

static void restore(int saved)
{
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
}

static int load_sets(struct fixture *f, const char *const *sets, size_t n)
{
	auto_free char *path = xasprintf("%s/stderr", f->dir);
	int saved, mistakes;

	config_free(&f->cfg);
	free(f->messages);
	saved = redirect(path);
	mistakes = config_load_files(&f->cfg, f->site, f->user, sets, n);
	restore(saved);
	f->messages = read_file_at(AT_FDCWD, path, 1 << 20, NULL, NULL);
	assert_non_null(f->messages);
	return mistakes;
}

/* Load these two files and one --set; NULL: none. */
static int load(
	struct fixture *f, const char *site, const char *user, const char *set)
{
	(void)unlink(f->site);
	(void)unlink(f->user);
	if (site)
		put_file(f->site, site, strlen(site));
	if (user)
		put_file(f->user, user, strlen(user));
	return load_sets(f, &set, set ? 1 : 0);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void expect(const struct fixture *f, const char *text)
{
	if (!strstr(f->messages, text))
		fail_msg("no '%s' in:\n%s", text, f->messages);
}

/* Every mistake is one line, and there are so many. */
static void expect_mistakes(const struct fixture *f, int mistakes, int wanted)
{
	if (mistakes != wanted || count_lines(f->messages) != (size_t)wanted)
		fail_msg("%d mistakes instead of %d:\n%s", mistakes, wanted,
			f->messages);
}

static char *print(const struct config *cfg)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	int closed;

	assert_non_null(out);
	config_print(cfg, out);
	closed = fclose(out);
	assert_int_equal(closed, 0);
	return text;
}

/* What config_print() says, without where it comes from. */
static char *print_values(const struct config *cfg)
{
	auto_free char *text = print(cfg);
	char *values = xstrdup(""), *line, *rest;

	for (line = strtok_r(text, "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest)) {
		auto_free char *old = values;
		char *comment = strstr(line, " ;");

		if (comment)
			*comment = '\0';
		while (*line && line[strlen(line) - 1] == ' ')
			line[strlen(line) - 1] = '\0';
		values = *line == ';' ? xstrdup(old)
				      : xasprintf("%s%s\n", old, line);
	}
	return values;
}

static bool only(const sigset_t *set, int sig)
{
	int i;

	for (i = 1; i <= SIGRTMAX; i++) {
		if ((i < 32 || i >= SIGRTMIN) &&
			(sigismember(set, i) == 1) != (i == sig))
			return false;
	}
	return true;
}

static void test_built_in(void **state)
{
	struct fixture *f = *state;
	const struct config *cfg = &f->cfg;

	expect_mistakes(f, load(f, NULL, NULL, NULL), 0);
	assert_string_equal(cfg->dir, "/home/me/.checkpointer");
	assert_true(cfg->margin == 600);
	assert_true(cfg->interval == 0);
	assert_int_equal(cfg->keep, 2);
	assert_int_equal(cfg->max_legs, 1000);
	assert_true(cfg->look_after == 60);
	assert_true(cfg->retry == 30);
	assert_true(cfg->dump_timeout == 0);
	assert_true(cfg->restore_timeout == 3600);
	assert_int_equal(cfg->restore_tries, 3);
	assert_true(cfg->mtbf == 7 * 86400);
	assert_int_equal(cfg->compression, COMPRESSION_AUTO);
	assert_int_equal(cfg->compression_level, 1);
	assert_int_equal(cfg->threads, 0);
	assert_int_equal(cfg->full_every, 32);
	assert_true(cfg->max_size == 0);
	assert_true(only(&cfg->checkpoint, SIGUSR1));
	assert_true(only(&cfg->save, SIGUSR2));
	assert_true(only(&cfg->terminate, SIGTERM));
	assert_true(cfg->time_limit == 0);
	assert_int_equal(cfg->isolation, ISOLATION_AUTO);
	assert_string_equal(cfg->private_dirs, "/tmp /var/tmp /dev/shm");
	assert_string_equal(cfg->scratch, "auto");
	assert_non_null(cfg->criu);
	assert_true(cfg->ghost_limit == 1 << 30);
	assert_string_equal(cfg->criu_extra, "");
	assert_int_equal(cfg->n_env, 0);
	assert_int_equal(cfg->level, LOG_INFO);
	assert_null(cfg->log_file);
}

static void test_layers(void **state)
{
	struct fixture *f = *state;
	static const char *const sets[] = {
		"checkpoint.margin=5s", "checkpoint.margin=6s"};
	const double *margin = &f->cfg.margin;

	expect_mistakes(
		f, load(f, "[checkpoint]\nmargin = 1s\n", NULL, NULL), 0);
	assert_true(*margin == 1);
	expect_mistakes(f,
		load(f, "[checkpoint]\nmargin = 1s\nkeep = 7\n",
			"[checkpoint]\nmargin = 2s\n", NULL),
		0);
	assert_true(*margin == 2);
	assert_int_equal(f->cfg.keep, 7);
	setenv(PREFIX "CHECKPOINT_MARGIN", " 3s ", 1);
	expect_mistakes(f, load_sets(f, NULL, 0), 0);
	assert_true(*margin == 3);
	expect_mistakes(f, load_sets(f, sets, 1), 0);
	assert_true(*margin == 5);
	expect_mistakes(f, load_sets(f, sets, 2), 0);
	assert_true(*margin == 6);
	assert_int_equal(f->cfg.keep, 7);
}

static const char *env_value(const struct config *cfg, const char *name)
{
	size_t i;

	for (i = 0; i < cfg->n_env; i++) {
		if (!strcmp(cfg->env[i].name, name))
			return cfg->env[i].value;
	}
	return NULL;
}

static void test_environment(void **state)
{
	struct fixture *f = *state;
	static const char *const sets[] = {
		"environment.C=set c=3", "environment.D=", "environment.D=d"};
	static const char site[] = "[environment]\nA = a;b\nB = b\n";
	static const char user[] = "[environment]\nB = \"x\"\n_c1=1\n";

	put_file(f->site, site, strlen(site));
	put_file(f->user, user, strlen(user));
	expect_mistakes(f, load_sets(f, sets, LEN(sets)), 0);
	assert_int_equal(f->cfg.n_env, 5);
	assert_string_equal(env_value(&f->cfg, "A"), "a;b");
	assert_string_equal(env_value(&f->cfg, "B"), "\"x\"");
	assert_string_equal(env_value(&f->cfg, "_c1"), "1");
	assert_string_equal(env_value(&f->cfg, "C"), "set c=3");
	assert_string_equal(env_value(&f->cfg, "D"), "d");
}

static void test_values(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "\xef\xbb\xbf; comment\r\n"
				   "[checkpoint] ; comment\r\n"
				   "dir = ~/x y ; comment\r\n"
				   "  margin=0\r\n"
				   "\tinterval = none\r\n"
				   "look_after = none\n"
				   "dump_timeout: 1-00:00:00\n"
				   "[signals]\n"
				   "checkpoint = none\n"
				   "save = SIGUSR1,12 SIG42\n"
				   "[capsule]\n"
				   "isolation = user\n"
				   "private_dirs = /a,/b , /c\n"
				   "scratch = ~/s\n"
				   "[criu]\n"
				   "binary = /opt/criu\n"
				   "ghost_limit = 1.5K\n"
				   "extra = tcp-close;ext-unix-sk ;\n"
				   "[log]\n"
				   "level = debug\n"
				   "file = ~\n";

	expect_mistakes(f, load(f, NULL, text, NULL), 0);
	assert_string_equal(f->cfg.dir, "/home/me/x y");
	assert_true(f->cfg.margin == 0);
	assert_true(f->cfg.interval == 0 && f->cfg.look_after == 0);
	assert_true(f->cfg.dump_timeout == 86400);
	assert_true(sigisemptyset(&f->cfg.checkpoint));
	assert_int_equal(sigismember(&f->cfg.save, SIGUSR1), 1);
	assert_int_equal(sigismember(&f->cfg.save, SIGUSR2), 1);
	assert_int_equal(sigismember(&f->cfg.save, 42), 1);
	assert_int_equal(f->cfg.isolation, ISOLATION_USER);
	assert_string_equal(f->cfg.private_dirs, "/a /b /c");
	assert_string_equal(f->cfg.scratch, "/home/me/s");
	assert_string_equal(f->cfg.criu, "/opt/criu");
	assert_true(f->cfg.ghost_limit == 1536);
	assert_string_equal(f->cfg.criu_extra, "tcp-close;ext-unix-sk");
	assert_int_equal(f->cfg.level, LOG_DEBUG);
	assert_string_equal(f->cfg.log_file, "/home/me");
}

static void test_numbers(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "[checkpoint]\n"
				   "interval = auto\n"
				   "mtbf = 30d\n"
				   "compression = zstd\n"
				   "compression_level = -7\n"
				   "threads = 64\n"
				   "full_every = 0\n"
				   "max_size = 1.5T\n";

	expect_mistakes(f, load(f, NULL, text, NULL), 0);
	assert_true(f->cfg.interval == INTERVAL_AUTO);
	assert_true(f->cfg.mtbf == 30 * 86400);
	assert_int_equal(f->cfg.compression, COMPRESSION_ZSTD);
	assert_int_equal(f->cfg.compression_level, -7);
	assert_int_equal(f->cfg.threads, 64);
	assert_int_equal(f->cfg.full_every, 0);
	assert_true(f->cfg.max_size == 3ULL << 39);
	expect_mistakes(f,
		load(f, text, "[checkpoint]\ncompression_level = 19\n",
			"checkpoint.interval=none"),
		0);
	assert_int_equal(f->cfg.compression_level, 19);
	assert_true(f->cfg.interval == 0);
}

static void test_lines_of_extra(void **state)
{
	struct fixture *f = *state;

	expect_mistakes(
		f, load(f, NULL, NULL, "criu.extra= ; a 1 ;; b ; c ;"), 0);
	assert_string_equal(f->cfg.criu_extra, "a 1;b;c");
	expect_mistakes(f, load(f, NULL, NULL, "capsule.private_dirs="), 0);
	assert_string_equal(f->cfg.private_dirs, "");
	expect_mistakes(
		f, load(f, "[log]\nfile = /x\n", "[log]\nfile =\n", NULL), 0);
	assert_null(f->cfg.log_file);
}

static void test_home(void **state)
{
	struct fixture *f = *state;

	/* A home that is no path is not used; the password database has one. */
	setenv("HOME", "relative", 1);
	expect_mistakes(f, load(f, NULL, NULL, NULL), 0);
	assert_int_equal(f->cfg.dir[0], '/');
	assert_null(strstr(f->cfg.dir, "relative"));
}

/* The user's file of config_load() is found by either variable. */
static void test_user_file(void **state)
{
	struct fixture *f = *state;
	auto_free char *dir = xasprintf("%s/.config", f->dir);
	auto_free char *in_home = xasprintf("%s/checkpointer.ini", dir);
	auto_free char *in_xdg = xasprintf("%s/checkpointer.ini", f->dir);

	assert_int_equal(mkdir(dir, 0700), 0);
	put_file(in_home, "[checkpoint]\nkeep = 8\n", 22);
	put_file(in_xdg, "[checkpoint]\nkeep = 9\n", 22);
	setenv("HOME", f->dir, 1);
	assert_int_equal(config_load(&f->cfg, NULL, 0), 0);
	assert_int_equal(f->cfg.keep, 8);
	config_free(&f->cfg);
	setenv("XDG_CONFIG_HOME", f->dir, 1);
	assert_int_equal(config_load(&f->cfg, NULL, 0), 0);
	assert_int_equal(f->cfg.keep, 9);
	config_free(&f->cfg);
	setenv("XDG_CONFIG_HOME", ".", 1);
	assert_int_equal(config_load(&f->cfg, NULL, 0), 0);
	assert_int_equal(f->cfg.keep, 8);
}

/* Wrong values of one key, given with --set, and in a file. */
static void test_wrong_values(void **state)
{
	static const struct {
		const char *section, *key, *value, *text;
	} wrong[] = {
		{"checkpoint", "dir", "", "not an absolute path"},
		{"checkpoint", "dir", "some/where", "not an absolute path"},
		{"checkpoint", "dir", "~you/x", "only ~ and ~/"},
		{"checkpoint", "margin", "xx",
			"bad duration 'xx' (examples: 90, 10m, 1h30m)"},
		{"checkpoint", "margin", "none", "bad duration 'none'"},
		{"checkpoint", "margin", "", "bad duration ''"},
		{"checkpoint", "margin", "-5", "bad duration '-5'"},
		{"checkpoint", "margin", "nan", "bad duration 'nan'"},
		{"checkpoint", "margin", "11000d", "more than ten years"},
		{"checkpoint", "interval", "inf", "bad duration 'inf'"},
		{"checkpoint", "retry", "0", "less than 0.1"},
		{"checkpoint", "keep", "0", "less than 1"},
		{"checkpoint", "keep", "1001", "more than 1000"},
		{"checkpoint", "keep", "-1", "not a whole number"},
		{"checkpoint", "keep", "2x", "not a whole number"},
		{"checkpoint", "keep", "1.5", "not a whole number"},
		{"checkpoint", "max_legs", "99999999999999999999999999",
			"more than 1000000"},
		{"checkpoint", "restore_tries", "0", "less than 1"},
		{"checkpoint", "interval", "Auto", "bad duration 'Auto'"},
		{"checkpoint", "interval", "-1", "bad duration '-1'"},
		{"checkpoint", "mtbf", "0", "less than 1"},
		{"checkpoint", "mtbf", "auto", "bad duration 'auto'"},
		{"checkpoint", "compression", "gzip",
			"'gzip' is none of auto, none, zstd"},
		{"checkpoint", "compression_level", "-8", "less than -7"},
		{"checkpoint", "compression_level", "20", "more than 19"},
		{"checkpoint", "compression_level", "-", "not a whole number"},
		{"checkpoint", "compression_level", "+1", "not a whole number"},
		{"checkpoint", "compression_level", "--1",
			"not a whole number"},
		{"checkpoint", "compression_level",
			"-99999999999999999999999999", "less than -7"},
		{"checkpoint", "threads", "65", "more than 64"},
		{"checkpoint", "full_every", "-1", "not a whole number"},
		{"checkpoint", "max_size", "none", "bad size 'none'"},
		{"signals", "checkpoint", "", "no signal is named"},
		{"signals", "checkpoint", "USR3", "unknown signal 'USR3'"},
		{"signals", "save", "HUP none", "unknown signal 'none'"},
		{"signals", "save", "KILL", "KILL cannot be used"},
		{"signals", "save", "HUP,STOP", "STOP cannot be used"},
		{"signals", "save", "CHLD", "CHLD cannot be used"},
		{"signals", "save", "SIGSEGV", "SEGV cannot be used"},
		{"signals", "save", "7", "BUS cannot be used"},
		{"signals", "save", "FPE", "FPE cannot be used"},
		{"signals", "save", "ILL", "ILL cannot be used"},
		{"local", "time_limit", "1 h", "bad duration '1 h'"},
		{"capsule", "isolation", "full",
			"'full' is none of auto, user, none"},
		{"capsule", "network", "own", "'own' is none of auto, private"},
		{"capsule", "outside_connections", "keep", "'keep' is none of"},
		{"capsule", "ports", "80 x", "'x' is not a port"},
		{"capsule", "ports", "0", "'0' is not a port"},
		{"capsule", "ports", "65536", "'65536' is not a port"},
		{"capsule", "ports", "80:", "'80:' is not a port"},
		{"capsule", "ports", ":80", "':80' is not a port"},
		{"capsule", "ports", "1:2:3", "'1:2:3' is not a port"},
		{"capsule", "private_dirs", "/a b", "'b' is not an absolute"},
		{"capsule", "private_dirs", "/a //", "root cannot be"},
		{"capsule", "private_dirs", "/a/..", "'.' or '..'"},
		{"capsule", "private_dirs", "/a/./b", "'.' or '..'"},
		{"capsule", "scratch", "disk", "'disk' is none of"},
		{"criu", "binary", "", "empty"},
		{"criu", "binary", "./criu", "not an absolute path"},
		{"criu", "ghost_limit", "1X", "bad size '1X'"},
		{"criu", "ghost_limit", "16E", "too large"},
		{"log", "level", "loud",
			"'loud' is none of error, warn, info, debug"},
		{"log", "file", "~you", "only ~ and ~/"},
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < LEN(wrong); i++) {
		const char *section = wrong[i].section, *key = wrong[i].key;
		auto_free char *set =
			xasprintf("%s.%s=%s", section, key, wrong[i].value);
		auto_free char *file = xasprintf("\n[%s]\n# comment\n%s = %s\n",
			section, key, wrong[i].value);
		auto_free char *told_set =
			xasprintf("checkpointer: error: --set %s: ", set);
		auto_free char *told_file = xasprintf(
			"checkpointer: error: %s:4: [%s] %s: ", f->user,
			section, key);

		expect_mistakes(f, load(f, NULL, NULL, set), 1);
		expect(f, told_set);
		expect(f, wrong[i].text);
		expect_mistakes(f, load(f, NULL, file, NULL), 1);
		expect(f, told_file);
		expect(f, wrong[i].text);
	}
}

/* Wrong files, all of one mistake; the line is told. */
static void test_wrong_files(void **state)
{
	static const struct {
		const char *file, *text;
	} wrong[] = {
		{"[checkpoint]\nmargn = 5\n",
			":2: [checkpoint] margn: unknown key (did you mean "
			"'margin'?)"},
		{"[checkpoint]\n\nzzz = 5\n",
			":3: [checkpoint] zzz: unknown key\n"},
		{"[local]\nmargin = 5\n",
			":2: [local] margin: unknown key (it belongs in "
			"[checkpoint])"},
		{"# c\n[chekpoint]\nmargin = 5\nkeep = 1\n",
			":2: unknown section 'chekpoint' (did you mean "
			"'checkpoint'?)"},
		{"[zzz]\n", ":1: unknown section 'zzz'\n"},
		{"[]\n", ":1: unknown section ''\n"},
		{"margin = 5\n", ":1: margin: missing section"},
		{"[checkpoint]\nmargin 5\n",
			":2: not 'key = value' and not a [section]"},
		{"[checkpoint]\nmargin",
			":2: not 'key = value' and not a [section]"},
		{"[checkpoint]\n= 5\n",
			":2: not 'key = value' and not a [section]"},
		{"[checkpoint]\nmargin = 5\n  10m\n",
			":3: not 'key = value' and not a [section]"},
		{"[checkpoint]\nmargin ;= 5\n",
			":2: not 'key = value' and not a [section]"},
		{"[checkpoint\n", ":1: '[' without ']'"},
		{"[checkpoint] margin = 5\n", ":1: text behind a [section]"},
		{"[checkpoint]\nmargin = 5\x01\n", ":2: control character"},
		{"[checkpoint]\nmargin = 5\nkeep = 3\nmargin = 6\n",
			":4: [checkpoint] margin: already set ("},
		{"[environment]\nA = 5\nA = 6\n",
			":3: [environment] A: already set ("},
		{"[environment]\n1A = 5\n",
			":2: [environment] 1A: not the name of a variable"},
		{"[environment]\nCHECKPOINTER_LEG = 5\n",
			":2: [environment] CHECKPOINTER_LEG: variables with"},
		{"[site]\nlock = checkpoint.dir\n",
			":2: [site] lock: [site] is for the site's file only"},
		{"[signals]\nsave = USR1\n",
			":2: [signals] save: USR1 is in [signals] checkpoint, "
			"too (built-in)"},
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < LEN(wrong); i++) {
		auto_free char *told = xasprintf(
			"checkpointer: error: %s%s", f->user, wrong[i].text);

		expect_mistakes(f, load(f, NULL, wrong[i].file, NULL), 1);
		expect(f, told);
	}
}

static void test_wrong_bytes(void **state)
{
	static const char nul[] = "[checkpoint]\nkeep = 3\0\nmargin = 5\n";
	struct fixture *f = *state;
	auto_free char *line = NULL, *told = NULL;
	char text[198 - 6 + 1];

	put_file(f->user, nul, sizeof(nul) - 1);
	expect_mistakes(f, load_sets(f, NULL, 0), 1);
	expect(f, "user.ini:2: NUL byte");
	assert_true(f->cfg.margin == 5);

	/*
	 * The longest line is taken whole, and one that is longer not at
	 * all; comments may be longer.
	 */
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	text[0] = '/';
	line = xasprintf("#%s%s\n[checkpoint]\ndir = %s\n", text, text, text);
	expect_mistakes(f, load(f, NULL, line, NULL), 0);
	assert_string_equal(f->cfg.dir, text);
	free(line);
	line = xasprintf("[checkpoint]\ndir = %sx\nmargin = 7\n", text);
	expect_mistakes(f, load(f, NULL, line, NULL), 1);
	told = xasprintf("%s:2: longer than 198 bytes", f->user);
	expect(f, told);
	assert_true(f->cfg.margin == 7);
}

static void test_wrong_sets(void **state)
{
	static const struct {
		const char *set, *text;
	} wrong[] = {
		{"", "--set : not of the form section.key=value"},
		{"margin", "--set margin: not of the form"},
		{"margin=5", "--set margin=5: not of the form"},
		{"checkpoint.margin", "--set checkpoint.margin: not of the"},
		{"margin=5.5", "--set margin=5.5: not of the form"},
		{"chekpoint.margin=5",
			"unknown section 'chekpoint' (did you mean "
			"'checkpoint'?)"},
		{"checkpoint.margn=5", "unknown key (did you mean 'margin'?)"},
		{"checkpoint.=5", "unknown key"},
		{"site.lock=", "[site] is for the site's file only"},
		{"site.lok=", "[site] is for the site's file only"},
		{"environment.A B=1", "not the name of a variable"},
		{"environment.A=1\n2", "--set environment.A=1?2: control"},
		{"checkpoint.\033[1m=5", "--set checkpoint.?[1m=5: unknown"},
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < LEN(wrong); i++) {
		expect_mistakes(f, load(f, NULL, NULL, wrong[i].set), 1);
		expect(f, wrong[i].text);
	}
}

static void test_variables(void **state)
{
	static const struct {
		const char *name, *value, *text;
	} wrong[] = {
		{"CHECKPOINT_MARGIN", "xx", "bad duration 'xx'"},
		{"CHECKPOINT_MARGIN", "5\n", "control character"},
		{"CHECKPOINT_MARGN", "5",
			"unknown key (did you mean 'margin'?)"},
		{"CRIU_", "5", "unknown key"},
		{"ENVIRONMENT_A", "5", "[environment] is set by files"},
		{"SITE_LOCK", "log.level", "[site] is for the site's file"},
	};
	static const char *const harmless[] = {"CHAIN", "LEG", "STEP", "CACHE",
		"BIN", "LOCAL_X", "LOCAL_TIME_LIMITS", "CHAIN_X", "ROOT",
		"MODULE_DIR", "", "LOG"};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < LEN(wrong); i++) {
		auto_free char *name = xasprintf(PREFIX "%s", wrong[i].name);
		auto_free char *told = xasprintf(
			"checkpointer: error: environment %s: ", name);

		setenv(name, wrong[i].value, 1);
		expect_mistakes(f, load_sets(f, NULL, 0), 1);
		expect(f, told);
		expect(f, wrong[i].text);
		unsetenv(name);
	}
	for (i = 0; i < LEN(harmless); i++) {
		auto_free char *name = xasprintf(PREFIX "%s", harmless[i]);

		setenv(name, "?", 1);
	}
	setenv(PREFIX "LOCAL_TIME_LIMIT", "5m", 1);
	expect_mistakes(f, load_sets(f, NULL, 0), 0);
	assert_true(f->cfg.time_limit == 300);

	setenv(PREFIX "checkpoint_margin", "5m", 1);
	assert_int_equal(load_sets(f, NULL, 0), 0);
	expect(f, "warning: environment " PREFIX "checkpoint_margin: ignored "
		  "(write it in capitals)");
	assert_true(f->cfg.margin == 600);
	setenv(PREFIX "CHEKPOINT_MARGIN", "5m", 1);
	assert_int_equal(load_sets(f, NULL, 0), 0);
	expect(f, "warning: environment " PREFIX "CHEKPOINT_MARGIN: ignored "
		  "(did you mean the section 'checkpoint'?)");
}

static void test_locks(void **state)
{
	struct fixture *f = *state;
	static const char site[] =
		"[site]\nlock = checkpoint.dir,criu.binary  environment.A\n"
		"[checkpoint]\ndir = /site\n[environment]\nA = 1\n";
	static const char *const sets[] = {"criu.binary=x", "environment.A=2",
		"environment.B=2", "criu.ghost_limit=1"};
	auto_free char *told = xasprintf(
		"user.ini:2: [checkpoint] dir: locked by the site (%s:2)",
		f->site);

	expect_mistakes(f, load(f, site, NULL, NULL), 0);
	assert_string_equal(f->cfg.dir, "/site");
	assert_string_equal(env_value(&f->cfg, "A"), "1");

	put_file(f->user, "[checkpoint]\ndir = /me\n", 23);
	setenv(PREFIX "CHECKPOINT_DIR", "/me", 1);
	expect_mistakes(f, load_sets(f, sets, LEN(sets)), 4);
	expect(f, told);
	expect(f, "environment " PREFIX "CHECKPOINT_DIR: locked by the site");
	expect(f, "--set criu.binary=x: locked by the site");
	expect(f, "--set environment.A=2: locked by the site");
	unsetenv(PREFIX "CHECKPOINT_DIR");

	expect_mistakes(f,
		load(f, "[site]\nlock = environment\n",
			"[environment]\nB = 1\n", NULL),
		1);
	expect(f, "[environment] B: locked by the site");
	expect_mistakes(f, load(f, "[site]\nlock =\n", NULL, NULL), 0);
}

static void test_margin_of_a_short_leg(void **state)
{
	static const char set[] = "[checkpoint]\nmargin = 2m\n";
	struct fixture *f = *state;

	expect_mistakes(f, load(f, NULL, NULL, NULL), 0);
	assert_true(config_margin(&f->cfg, 0) == 600);
	assert_true(config_margin(&f->cfg, 1800) == 600);
	assert_true(config_margin(&f->cfg, 1500) == 500);
	assert_true(config_margin(&f->cfg, 60) == 20);
	assert_true(config_margin(&f->cfg, 2) == 1);
	assert_true(config_margin(&f->cfg, 0.5) == 1);
	/* The site's is a default, too, unless it is locked. */
	expect_mistakes(f, load(f, set, NULL, NULL), 0);
	assert_true(config_margin(&f->cfg, 3600) == 120);
	assert_true(config_margin(&f->cfg, 60) == 20);
	expect_mistakes(f,
		load(f,
			"[checkpoint]\nmargin = 2m\n[site]\n"
			"lock = checkpoint.margin\n",
			NULL, NULL),
		0);
	assert_true(config_margin(&f->cfg, 60) == 120);
	/* What a user says is meant so. */
	expect_mistakes(f, load(f, NULL, set, NULL), 0);
	assert_true(config_margin(&f->cfg, 60) == 120);
	expect_mistakes(f, load(f, NULL, NULL, "checkpoint.margin=10m"), 0);
	assert_true(config_margin(&f->cfg, 60) == 600);
}

/* The site's commands are run in any case; what others set is run, too. */
static void test_hooks_add_up(void **state)
{
	static const char site[] = "[hooks]\nbefore_dump = a b\non_finish =\n";
	struct fixture *f = *state;

	expect_mistakes(f,
		load(f, site, "[hooks]\nbefore_dump = c\non_finish = d\n",
			"hooks.before_dump=e"),
		0);
	assert_string_equal(f->cfg.site_hook[HOOK_BEFORE_DUMP], "a b");
	assert_string_equal(f->cfg.hook[HOOK_BEFORE_DUMP], "e");
	assert_null(f->cfg.site_hook[HOOK_ON_FINISH]);
	assert_string_equal(f->cfg.hook[HOOK_ON_FINISH], "d");
	assert_string_equal(f->cfg.hook[HOOK_AFTER_DUMP], "");
	expect_mistakes(f, load(f, site, NULL, NULL), 0);
	assert_string_equal(f->cfg.site_hook[HOOK_BEFORE_DUMP], "a b");
	assert_string_equal(f->cfg.hook[HOOK_BEFORE_DUMP], "");
	expect_mistakes(f,
		load(f,
			"[hooks]\nbefore_dump = a\n[site]\n"
			"lock = hooks.before_dump\n",
			NULL, "hooks.before_dump=b"),
		1);
	expect(f, "--set hooks.before_dump=b: locked by the site");
}

static void test_wrong_locks(void **state)
{
	static const struct {
		const char *site, *text;
	} wrong[] = {
		{"[site]\nlock = checkpoint.margn\n",
			"site.ini:2: [site] lock: unknown name "
			"'checkpoint.margn' (did you mean "
			"'checkpoint.margin'?)"},
		{"[site]\nlock = dir\n", "unknown name 'dir' (names are of"},
		{"[site]\nlock = environment.1\n",
			"unknown name 'environment.1'"},
		{"[site]\nlok = log.level\n",
			"[site] lok: unknown key (did you mean 'lock'?)"},
		{"[site]\nlock = log.level\nlock = log.file\n",
			"site.ini:3: [site] lock: already set"},
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < LEN(wrong); i++) {
		expect_mistakes(f, load(f, wrong[i].site, NULL, NULL), 1);
		expect(f, wrong[i].text);
	}
	expect_mistakes(f,
		load(f, "[site]\nlock = a.b log.level c.d\n", NULL,
			"log.level=debug"),
		3);
}

/* One run tells all mistakes, of all layers. */
static void test_all_mistakes(void **state)
{
	struct fixture *f = *state;

	setenv(PREFIX "LOG_LEVL", "x", 1);
	expect_mistakes(f,
		load(f, "[checkpoint]\nkeep = x\nno\nkep = 3\nno more\n",
			"[nothing]\na = 5\n[log]\nlevel = x\nfiel = y\n",
			"capsule.isolation=x"),
		9);
	expect(f, "site.ini:2: [checkpoint] keep: ");
	expect(f, "site.ini:3: not 'key = value'");
	expect(f, "site.ini:4: [checkpoint] kep: ");
	expect(f, "site.ini:5: not 'key = value'");
	expect(f, "user.ini:1: unknown section 'nothing'");
	expect(f, "user.ini:4: [log] level: ");
	expect(f, "user.ini:5: [log] fiel: ");
	expect(f, "environment " PREFIX "LOG_LEVL: ");
	expect(f, "--set capsule.isolation=x: ");
}

static void test_same_signal(void **state)
{
	struct fixture *f = *state;
	auto_free char *told = xasprintf(
		"--set: [signals] checkpoint: HUP is in [signals] save, too "
		"(%s:2)",
		f->user);

	expect_mistakes(f,
		load(f, NULL, "[signals]\nsave = HUP INT\n",
			"signals.checkpoint=1"),
		1);
	expect(f, told);
	/* Of a wrong value, nothing more is said. */
	expect_mistakes(f,
		load(f, NULL, "[signals]\nsave = USR1\n",
			"signals.checkpoint=x"),
		1);
	expect_mistakes(f,
		load(f, NULL, "[signals]\nsave = USR1\n",
			"signals.checkpoint=none"),
		0);
}

static void test_file_kinds(void **state)
{
	struct fixture *f = *state;
	auto_free char *told = xasprintf(
		"%s: writable by others: chmod go-w %s", f->site, f->site);
	auto_free char *own = xasprintf("chown root %s", f->site);
	auto_free char *big = xcalloc(1, (1 << 20) + 2);

	expect_mistakes(f, load(f, "[log]\nlevel = x\n", NULL, NULL), 1);
	assert_int_equal(chmod(f->site, 0646), 0);
	expect_mistakes(f, load_sets(f, NULL, 0), 1);
	expect(f, told);
	assert_int_equal(chmod(f->site, 0660), 0);
	expect_mistakes(f, load_sets(f, NULL, 0), 1);
	expect(f, told);
	assert_int_equal(chmod(f->site, 0644), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(f->site, 12345, 0), 0);
		expect_mistakes(f, load_sets(f, NULL, 0), 1);
		expect(f, own);
	}

	/* The user's file is the user's affair, but has to be one. */
	expect_mistakes(f, load(f, NULL, "[log]\nlevel = warn\n", NULL), 0);
	assert_int_equal(chmod(f->user, 0666), 0);
	expect_mistakes(f, load_sets(f, NULL, 0), 0);
	assert_int_equal(rename(f->user, f->site), 0);
	assert_int_equal(chmod(f->site, 0644), 0);
	assert_int_equal(symlink(f->site, f->user), 0);
	expect_mistakes(f, load_sets(f, NULL, 0), 0);
	assert_int_equal(unlink(f->user), 0);
	assert_int_equal(mkfifo(f->user, 0600), 0);
	expect_mistakes(f, load_sets(f, NULL, 0), 1);
	expect(f, "user.ini: not a regular file");
	assert_int_equal(unlink(f->user), 0);
	assert_int_equal(mkdir(f->user, 0700), 0);
	expect_mistakes(f, load_sets(f, NULL, 0), 1);
	expect(f, "user.ini: not a regular file");
	assert_int_equal(rmdir(f->user), 0);
	memset(big, '\n', (1 << 20) + 1);
	put_file(f->user, big, (1 << 20) + 1);
	expect_mistakes(f, load_sets(f, NULL, 0), 1);
	expect(f, "user.ini: too large");
}

static void test_print_origin(void **state)
{
	struct fixture *f = *state;
	auto_free char *site = xasprintf("; %s:2\n", f->site);
	auto_free char *locked = xasprintf("; %s:3, locked\n", f->site);
	auto_free char *text = NULL;

	setenv(PREFIX "CRIU_GHOST_LIMIT", "2G", 1);
	expect_mistakes(f,
		load(f,
			"[checkpoint]\nmargin = 5400\nkeep = 3\n"
			"[site]\nlock = checkpoint.keep\n",
			NULL, "log.level=debug"),
		0);
	text = print(&f->cfg);
	assert_non_null(strstr(text, "[checkpoint]\ndir = /home/me/"));
	assert_non_null(strstr(text, "\nmargin = 1h30m "));
	assert_non_null(strstr(text, site));
	assert_non_null(strstr(text, locked));
	assert_non_null(strstr(text, "; environment " PREFIX "CRIU_GHOST"));
	assert_non_null(strstr(text, "; --set\n"));
	assert_non_null(strstr(text, "; built-in\n"));
}

/* What was printed and is read again is the same. */
static void test_print_again(void **state)
{
	static const char *const sets[] = {"checkpoint.margin=1.25",
		"checkpoint.retry=0.1", "checkpoint.interval=25h",
		"checkpoint.mtbf=36h", "checkpoint.compression=none",
		"checkpoint.compression_level=-3", "checkpoint.max_size=3T",
		"checkpoint.look_after=3661", "checkpoint.dump_timeout=2d",
		"checkpoint.dir=/a b", "signals.save=HUP SIG42",
		"signals.terminate=none", "capsule.isolation=none",
		"capsule.private_dirs=", "criu.extra=a 1 ; b",
		"criu.ghost_limit=1025", "criu.binary=/x/criu",
		"log.level=error", "log.file=x.log",
		"environment.A=", "environment.B=b;c # d",
		"environment.TAB=a\tb"};
	struct fixture *f = *state;
	auto_free char *before = NULL, *after = NULL, *file = NULL;

	assert_int_equal(load_sets(f, sets, LEN(sets)), 0);
	before = print_values(&f->cfg);
	file = print(&f->cfg);
	expect_mistakes(f, load(f, NULL, file, NULL), 0);
	after = print_values(&f->cfg);
	assert_string_equal(before, after);
	assert_non_null(strstr(before, "margin = 1.25\n"));
	assert_non_null(strstr(before, "interval = 25h\n"));
	assert_non_null(strstr(before, "look_after = 3661s\n"));
	assert_non_null(strstr(before, "mtbf = 36h\n"));
	assert_non_null(strstr(before, "compression_level = -3\n"));
	assert_non_null(strstr(before, "max_size = 3T\n"));
	expect_mistakes(f,
		load_sets(f, (const char *[]){"checkpoint.interval=auto"}, 1),
		0);
	free(after);
	after = print_values(&f->cfg);
	assert_non_null(strstr(after, "interval = auto\n"));
	assert_non_null(strstr(before, "save = HUP SIG42\n"));
	assert_non_null(strstr(before, "terminate = none\n"));
	assert_non_null(strstr(before, "extra = a 1;b\n"));
	assert_non_null(strstr(before, "B = b;c # d\n"));
}

/* Long origins and values that a file cannot hold do not spoil the rest. */
static void test_print_unsayable(void **state)
{
	struct fixture *f = *state;
	char value[181] = "environment.LONG=";
	const char *const sets[] = {value, "environment.X=a ; b",
		"environment.Y=;", "checkpoint.keep=4"};
	auto_free char *file = NULL;

	memset(value + strlen(value), 'x', sizeof(value) - strlen(value) - 1);
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(load_sets(f, sets, LEN(sets)), 0);
	file = print(&f->cfg);
	assert_non_null(strstr(file, "; X = a ; b\n; --set, but no file"));
	expect_mistakes(f, load(f, NULL, file, NULL), 0);
	assert_int_equal(f->cfg.n_env, 1);
	assert_string_equal(env_value(&f->cfg, "LONG"), value + 17);
	assert_int_equal(f->cfg.keep, 4);
}

/* "#key = value" without its mark. */
static char *uncomment(char *text)
{
	char *out = xcalloc(1, strlen(text) + 1), *line, *rest, *to = out;

	for (line = strtok_r(text, "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest)) {
		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z')
			line++;
		to = stpcpy(stpcpy(to, line), "\n");
	}
	return out;
}

static void test_shipped_file(void **state)
{
	struct fixture *f = *state;
	/* The one built-in value that the build may change. */
	static const char set[] = "criu.binary=criu";
	auto_free char *text = read_file_at(
		AT_FDCWD, SRCDIR "/conf/checkpointer.ini", 1 << 20, NULL, NULL);
	auto_free char *built_in = NULL, *shipped = NULL, *open = NULL;
	auto_free char *origins = NULL;
	const char *p;
	size_t n = 0;

	assert_non_null(text);
	expect_mistakes(f, load(f, text, NULL, set), 0);
	built_in = print_values(&f->cfg);
	open = uncomment(text);
	expect_mistakes(f, load(f, open, NULL, set), 0);
	shipped = print_values(&f->cfg);
	assert_string_equal(built_in, shipped);
	/* With every key in the file, none is built in. */
	origins = print(&f->cfg);
	assert_null(strstr(origins, "built-in"));
	for (p = strstr(open, " =\n"); p; p = strstr(p + 1, " =\n"))
		n++;
	assert_int_equal(n, 11);
	assert_non_null(strstr(open, "\nlock =\n"));
}

/* Where a section of the manual begins, and in *end where it ends. */
static const char *manual_section(
	const char *manual, const char *section, const char **end)
{
	auto_free char *title = xasprintf("\n.Ss Section %s\n", section);
	const char *at = strstr(manual, title);
	const char *next_ss, *next_sh;

	if (!at)
		fail_msg("the manual has no section %s", section);
	next_ss = strstr(at + strlen(title), "\n.Ss ");
	next_sh = strstr(at + strlen(title), "\n.Sh ");
	assert_non_null(next_sh);
	*end = next_ss && next_ss < next_sh ? next_ss : next_sh;
	return at;
}

static void test_manual(void **state)
{
	struct fixture *f = *state;
	auto_free char *manual = read_file_at(AT_FDCWD,
		SRCDIR "/docs/checkpointer.ini.5", 1 << 20, NULL, NULL);
	auto_free char *values = NULL;
	const char *at = NULL, *end = NULL;
	char *line, *rest;
	int keys = 0;

	assert_non_null(manual);
	expect_mistakes(f, load(f, NULL, NULL, NULL), 0);
	values = print_values(&f->cfg);
	for (line = strtok_r(values, "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest)) {
		auto_free char *item = NULL;
		const char *found;

		if (*line == '[') {
			line[strcspn(line, "]")] = '\0';
			at = manual_section(manual, line + 1, &end);
			continue;
		}
		line[strcspn(line, " ")] = '\0';
		item = xasprintf("\n.It Cm %s ", line);
		assert_non_null(at);
		found = strstr(at, item);
		if (!found || found > end)
			fail_msg("the manual does not name %s", line);
		keys++;
	}
	assert_int_equal(keys, 52);
	assert_non_null(strstr(manual, "\n.It Cm lock "));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_built_in),
		TEST(test_layers),
		TEST(test_environment),
		TEST(test_values),
		TEST(test_numbers),
		TEST(test_lines_of_extra),
		TEST(test_home),
		TEST(test_user_file),
		TEST(test_wrong_values),
		TEST(test_wrong_files),
		TEST(test_wrong_bytes),
		TEST(test_wrong_sets),
		TEST(test_variables),
		TEST(test_locks),
		TEST(test_wrong_locks),
		TEST(test_margin_of_a_short_leg),
		TEST(test_hooks_add_up),
		TEST(test_all_mistakes),
		TEST(test_same_signal),
		TEST(test_file_kinds),
		TEST(test_print_origin),
		TEST(test_print_again),
		TEST(test_print_unsayable),
		TEST(test_shipped_file),
		TEST(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
