/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "findings.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "chain.h"
#include "interrupt.h"
#include "util.h"

static const char *const level_name[N_FINDINGS] = {
	[FINDING_OK] = "ok",
	[FINDING_WARNING] = "warning",
	[FINDING_PROBLEM] = "problem",
};

void findings_begin(struct findings *f)
{
	*f = (struct findings){.list = json_array()};
}

void findings_end(struct findings *f)
{
	json_decref(f->list);
	f->list = NULL;
}

/* --- adding --- */

static void add(struct findings *f, enum finding level, const char *topic,
	const char *text, const char *advice)
{
	json_t *j = json_pack("{s:s, s:s, s:o}", "level", level_name[level],
		"topic", topic, "text", chain_string(text));

	if (advice)
		json_object_set_new(j, "advice", chain_string(advice));
	json_array_append_new(f->list, j);
}

void finding_ok(struct findings *f, const char *topic, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(f, FINDING_OK, topic, text, NULL);
}

/* Cut the advice off the end of an error's text; NULL: there is none. */
static const char *cut_advice(char *text)
{
	size_t n = strlen(text);
	char *in = strstr(text, " (");
	char *behind = strstr(text, ": ");

	if (n && text[n - 1] == ')' && in) {
		/* The last pair of parentheses is the hint. */
		for (char *p = in; p; p = strstr(p + 1, " ("))
			in = p;
		text[n - 1] = *in = '\0';
		return in + 2;
	}
	if (!behind)
		return NULL;
	*behind = '\0';
	return behind + 2;
}

void finding_add(struct findings *f, enum finding level, const char *topic,
	const char *advice, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!advice)
		advice = cut_advice(text);
	add(f, level, topic, text,
		advice ? advice
		       : "run it with --verbose, which tells more of it");
}

void finding_set(struct findings *f, const char *key, json_t *value)
{
	size_t n = json_array_size(f->list);

	json_object_set_new(
		n ? json_array_get(f->list, n - 1) : NULL, key, value);
}

/* --- reading --- */

static const char *text_of(const json_t *finding, const char *key)
{
	return json_string_value(json_object_get(finding, key));
}

static enum finding level_of(const json_t *finding)
{
	const char *name = text_of(finding, "level");
	enum finding level = FINDING_OK;

	while (level < FINDING_PROBLEM && name &&
		strcmp(name, level_name[level]) != 0)
		level++;
	return level;
}

unsigned findings_count(const struct findings *f, enum finding level)
{
	unsigned n = 0;
	const json_t *j;
	size_t i;

	json_array_foreach(f->list, i, j)
	{
		n += level_of(j) == level;
	}
	return n;
}

static void print(const json_t *j, bool colour, FILE *out)
{
	static const char *const colours[N_FINDINGS] = {
		[FINDING_OK] = "\033[32m",
		[FINDING_WARNING] = "\033[33m",
		[FINDING_PROBLEM] = "\033[1;31m",
	};
	enum finding level = level_of(j);
	const char *advice = text_of(j, "advice");

	fprintf(out, "%s%-7s%s  %s: %s%s%s\n", colour ? colours[level] : "",
		level_name[level], colour ? "\033[0m" : "", text_of(j, "topic"),
		text_of(j, "text"), advice ? "; " : "", advice ? advice : "");
}

void findings_print(
	struct findings *f, enum finding level, bool colour, FILE *out)
{
	for (; f->shown < json_array_size(f->list); f->shown++) {
		const json_t *j = json_array_get(f->list, f->shown);

		if (level_of(j) >= level)
			print(j, colour, out);
	}
	fflush(out);
}

/* --- from a child --- */

#define ANSWER_MAX (1U << 20)

_Noreturn static void find(
	int to, void (*work)(struct findings *f, void *arg), void *arg)
{
	struct findings own;

	/* Not that of the terminal: who started this passes signals on. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	findings_begin(&own);
	if (!interrupt_hold(NULL))
		work(&own, arg);
	_exit(json_dumpfd(own.list, to, JSON_COMPACT) != 0);
}

/* All that comes from the child: 1, 0 when the time is over, -1: a signal. */
static int receive(int from, double until, char *text, size_t *n)
{
	struct err err;
	ssize_t got = 1;
	int ret = 1;

	while (ret > 0 && got > 0 && *n < ANSWER_MAX) {
		ret = interrupt_wait(from, until, &err);
		if (ret <= 0)
			break;
		got = read(from, text + *n, ANSWER_MAX - *n);
		*n += got > 0 ? (size_t)got : 0;
	}
	return ret;
}

/* Seconds that a child has to clean up after a signal. */
#define CLEAN_UP 10

static void ask_to_end(pid_t pid)
{
	struct pollfd p = {.events = POLLIN};

	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd < 0)
		return;
	if (!kill(pid, SIGTERM))
		poll(&p, 1, CLEAN_UP * 1000);
	close(p.fd);
}

static bool has(const json_t *list, const json_t *finding)
{
	const json_t *j;
	size_t i;

	json_array_foreach(list, i, j)
	{
		if (json_equal(j, finding))
			return true;
	}
	return false;
}

/* Two children may have met the same trouble. */
static void add_new(json_t *list, const json_t *more)
{
	json_t *j;
	size_t i;

	json_array_foreach(more, i, j)
	{
		if (!has(list, j))
			json_array_append(list, j);
	}
}

static void take_over(
	struct findings *f, const char *topic, const char *text, size_t n)
{
	json_t *list = json_loadb(text, n, 0, NULL);

	if (list)
		add_new(f->list, list);
	else
		finding_add(f, FINDING_PROBLEM, topic,
			"try it again, with --verbose",
			"the process that looked at it ended without a word");
	json_decref(list);
}

int findings_from(struct findings *f, const char *topic, double seconds,
	void (*work)(struct findings *f, void *arg), void *arg)
{
	auto_free char *text = xcalloc(1, ANSWER_MAX);
	char limit[32];
	int fds[2], ret;
	size_t n = 0;
	pid_t pid;

	pid = pipe2(fds, O_CLOEXEC) ? -1 : fork();
	if (pid < 0) {
		finding_add(f, FINDING_PROBLEM, topic, "try it again",
			"no process can be made for it: %s", strerror(errno));
		return 0;
	}
	if (pid == 0) {
		close(fds[0]);
		find(fds[1], work, arg);
	}
	close(fds[1]);
	ret = receive(fds[0], now_mono() + seconds, text, &n);
	if (ret < 0)
		ask_to_end(pid);
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(fds[0]);
	if (ret < 0)
		return -1;
	if (ret > 0)
		take_over(f, topic, text, n);
	else
		finding_add(f, FINDING_PROBLEM, topic,
			"find out what it waits for: a file server or a "
			"daemon that does not answer",
			"no answer within %s", show_duration(seconds, limit));
	return 0;
}
