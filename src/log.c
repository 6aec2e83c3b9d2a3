/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const log_level_name[LOG_N_LEVELS] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static enum log_level shown = LOG_INFO;
static bool timestamps;
static int log_fd = -1;
static struct {
	int fd;
	char job[32]; /* "job 4711, " or "" */
	char context[72];
	char step[20]; /* shown, too, where it is not the only one */
} chain = {.fd = -1};
static void (*diverted)(enum log_level level, const char *text, void *arg);
static void *diverted_arg;

void log_set_level(enum log_level level)
{
	shown = level;
}

void log_set_timestamps(bool on)
{
	timestamps = on;
}

void log_set_file(int fd)
{
	log_fd = fd;
}

void log_set_chain(int fd, unsigned leg, unsigned step)
{
	chain.fd = fd;
	chain.step[0] = '\0';
	if (step > 1)
		snprintf(chain.step, sizeof(chain.step), "step %u: ", step);
	if (step)
		snprintf(chain.context, sizeof(chain.context),
			"%sleg %u, step %u: ", chain.job, leg, step);
	else
		snprintf(chain.context, sizeof(chain.context),
			"%sleg %u: ", chain.job, leg);
}

void log_set_job(const char *id)
{
	chain.job[0] = '\0';
	if (id)
		snprintf(chain.job, sizeof(chain.job), "job %.20s, ", id);
}

void log_divert(void (*to)(enum log_level level, const char *text, void *arg),
	void *arg)
{
	diverted = to;
	diverted_arg = arg;
}

/* ISO 8601, as in 2026-11-29T08:12:00+01:00. */
static size_t put_time(char *buf, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t n;
	long zone;

	clock_gettime(CLOCK_REALTIME, &now);
	if (!localtime_r(&now.tv_sec, &tm))
		return 0;
	n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	zone = labs(tm.tm_gmtoff) / 60;
	return n + (size_t)snprintf(buf + n, size - n, "%c%02ld:%02ld ",
			   tm.tm_gmtoff < 0 ? '-' : '+', zone / 60, zone % 60);
}

/* One write(2) for a line, for others write there, too. */
static void put(int fd, bool stamped, const char *before, const char *text)
{
	char line[1200];
	size_t n = stamped ? put_time(line, sizeof(line)) : 0;

	n += (size_t)snprintf(
		line + n, sizeof(line) - n - 1, "%s%s", before, text);
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* Nobody is left to be told of a message that cannot be written. */
	if (write(fd, line, n) < 0)
		return;
}

static void put_chain(const char *mark, const char *text)
{
	static const char full[] = "the log is full: no more of this leg";
	off_t end = lseek(chain.fd, 0, SEEK_END);
	char before[96];

	snprintf(before, sizeof(before), "%s%s", chain.context, mark);
	if (end < LOG_CHAIN_MAX)
		put(chain.fd, true, before, text);
	if (end < LOG_CHAIN_MAX &&
		lseek(chain.fd, 0, SEEK_END) >= LOG_CHAIN_MAX)
		put(chain.fd, true, chain.context, full);
}

/* On standard error, and in the file beside it. */
static void show(const char *mark, const char *text)
{
	bool of_many = chain.fd >= 0 && chain.job[0];
	char before[120];

	snprintf(
		before, sizeof(before), "checkpointer: %s%s", mark, chain.step);
	put(STDERR_FILENO, timestamps, before, text);
	if (log_fd < 0)
		return;
	snprintf(before, sizeof(before), "checkpointer: %s%s", mark,
		of_many ? chain.context : chain.step);
	put(log_fd, true, before, text);
}

PRINTF(2, 0)
static void say(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const marks[LOG_N_LEVELS] = {
		[LOG_ERROR] = "error: ",
		[LOG_WARN] = "warning: ",
		[LOG_INFO] = "",
		[LOG_DEBUG] = "debug: ",
	};
	const char *mark = marks[level];
	bool kept = chain.fd >= 0 && (level <= shown || level <= LOG_INFO);
	char text[1024];
	int saved = errno;

	if (level > shown && !kept)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	if (level <= shown && diverted)
		diverted(level, text, diverted_arg);
	else if (level <= shown)
		show(mark, text);
	if (kept)
		put_chain(mark, text);
	errno = saved;
}

#define LOG_FUNCTION(name, level)                                              \
	void name(const char *fmt, ...)                                        \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, fmt);                                             \
		say(level, fmt, ap);                                           \
		va_end(ap);                                                    \
	}

LOG_FUNCTION(log_error, LOG_ERROR)
LOG_FUNCTION(log_warn, LOG_WARN)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_DEBUG)
