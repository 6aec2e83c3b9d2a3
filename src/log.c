/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
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
static int log_fd = -1;
static void (*diverted)(enum log_level level, const char *text, void *arg);
static void *diverted_arg;

void log_set_level(enum log_level level)
{
	shown = level;
}

void log_set_file(int fd)
{
	log_fd = fd;
}

void log_divert(void (*to)(enum log_level level, const char *text, void *arg),
	void *arg)
{
	diverted = to;
	diverted_arg = arg;
}

static void put(int fd, const char *line, size_t n)
{
	/* Nobody is left to be told of a message that cannot be written. */
	if (write(fd, line, n) < 0)
		return;
}

static void put_file(const char *line, size_t n)
{
	char stamped[1200];
	struct timespec now;
	struct tm tm;
	size_t at;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	at = strftime(stamped, sizeof(stamped), "%Y-%m-%d %H:%M:%S ", &tm);
	if (n > sizeof(stamped) - at)
		n = sizeof(stamped) - at;
	memcpy(stamped + at, line, n);
	put(log_fd, stamped, at + n);
}

PRINTF(2, 0)
static void say(enum log_level level, const char *fmt, va_list ap)
{
	static const char *const mark[LOG_N_LEVELS] = {
		[LOG_ERROR] = "error: ",
		[LOG_WARN] = "warning: ",
		[LOG_INFO] = "",
		[LOG_DEBUG] = "debug: ",
	};
	char line[1100];
	int saved = errno;
	size_t n;

	if (level > shown)
		return;
	n = (size_t)snprintf(
		line, sizeof(line), "checkpointer: %s", mark[level]);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	if (diverted) {
		diverted(level, line + n, diverted_arg);
		errno = saved;
		return;
	}
	n = strlen(line);
	line[n++] = '\n';
	put(STDERR_FILENO, line, n);
	if (log_fd >= 0)
		put_file(line, n);
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
