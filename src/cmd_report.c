/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_report.c - what has become of a chain, leg by leg */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "chain.h"
#include "cmd_parts.h"
#include "log.h"
#include "report.h"
#include "util.h"

/* Columns of the terminal, or what the user says that they are. */
static unsigned width_of_terminal(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {0};
	unsigned width;

	if (columns && !parse_count(columns, &width, NULL) && width < 10000)
		return width;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return 80;
}

static bool wants_colour(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term &&
	       strcmp(term, "dumb") != 0;
}

/* --- where it goes --- */

static int print_text(const struct report *r, bool timeline)
{
	report_table(r, stdout);
	if (timeline || isatty(STDOUT_FILENO))
		report_timeline(r, width_of_terminal(), wants_colour(), stdout);
	return 0;
}

static int print_json(const struct report *r)
{
	json_t *j = report_json(r);
	int ret = print_for_programs(j);

	json_decref(j);
	return ret;
}

/* A device would not be written to, but replaced. */
static bool may_be_replaced(const char *path)
{
	struct stat st;

	if (lstat(path, &st) || S_ISREG(st.st_mode))
		return true;
	log_error("--html: %s is there and no regular file; name another one, "
		  "or none for standard output",
		path);
	return false;
}

static int write_page(const struct report *r, const char *path)
{
	auto_free char *page = NULL;
	struct err err;
	size_t size;
	FILE *to;

	if (!strcmp(path, "-")) {
		report_html(r, stdout);
		return 0;
	}
	if (!may_be_replaced(path))
		return EX_CANTCREAT;
	to = open_memstream(&page, &size);
	if (to)
		report_html(r, to);
	if (!to || fclose(to)) {
		log_error("the page of chain %s: %s", r->id, strerror(errno));
		return EX_OSERR;
	}
	if (write_file_at(AT_FDCWD, path, page, size, &err)) {
		log_error("%s", err.text);
		return EX_CANTCREAT;
	}
	return 0;
}

static int print_report(const struct report *r, const struct invocation *in)
{
	int ret;

	if (in->html)
		ret = write_page(r, in->html);
	else
		ret = in->json ? print_json(r) : print_text(r, in->timeline);
	if (!ret && (fflush(stdout) || ferror(stdout))) {
		log_error("cannot write the report of chain %s: %s", r->id,
			strerror(errno));
		ret = EX_IOERR;
	}
	if (r->damaged)
		log_warn("%u lines of the journal are damaged", r->damaged);
	return ret;
}

static int take_arguments(const struct invocation *in)
{
	if (!in->args[0] || in->args[1]) {
		log_error("report takes the name of one chain: checkpointer "
			  "report CHAIN");
		return EX_USAGE;
	}
	if (in->timeline + in->json + (in->html != NULL) > 1) {
		log_error("report: give one of --timeline, --html and --json");
		return EX_USAGE;
	}
	if (in->html && !*in->html) {
		log_error("report: --html= needs the name of a file; for "
			  "standard output give --html alone");
		return EX_USAGE;
	}
	return 0;
}

const char cmd_report_help[] =
	"Usage: checkpointer [OPTION]... report CHAIN [OPTION]...\n"
	"\n"
	"Tell what has become of CHAIN: for each leg and step when it ran, how many\n"
	"checkpoints it made, size and time of the last one, and how it ended; on a\n"
	"terminal also as a timeline, with the sums of it all.\n"
	"\n"
	"      --timeline       with a timeline, wherever it goes\n"
	"      --html[=FILE]    as a page with all details, to FILE or to standard\n"
	"                       output; it holds command lines, and nobody else may\n"
	"                       read it\n"
	"      --json           as JSON, for programs\n"
	"  -d, --dir=DIR        where its checkpoints are, if not at the usual place\n"
	"  -h, --help           print this\n"
	"\n"
	"Example:\n"
	"  checkpointer report fit --html=fit.html\n";

int cmd_report(struct invocation *in)
{
	struct report report;
	struct chain chain;
	struct err err;
	int ret = take_arguments(in);

	if (ret)
		return ret;
	if (chain_open(&chain, in->cfg.dir, in->args[0], false, &err)) {
		log_error("%s", err.text);
		return EX_NOINPUT;
	}
	if (report_read(&report, &chain, &err)) {
		log_error("%s", err.text);
		ret = EX_NOINPUT;
	} else {
		ret = print_report(&report, in);
		report_free(&report);
	}
	chain_close(&chain);
	return ret;
}
