/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sysexits.h>

#include "cmd.h"
#include "log.h"

const char cmd_config_help[] =
	"Usage: checkpointer [OPTION]... config\n"
	"\n"
	"Print the settings in effect, as a file that says them again, and behind each\n"
	"where it is from. Mistakes are told with file, line and key.\n"
	"\n"
	"  -s, --set=KEY=VALUE  as if this were set, as section.key=value\n"
	"  -h, --help           print this\n"
	"\n"
	"Example:\n"
	"  checkpointer -s checkpoint.margin=5m config\n";

int cmd_config(struct invocation *in)
{
	if (in->args[0]) {
		log_error("config takes no arguments: '%s'", in->args[0]);
		return EX_USAGE;
	}
	config_print(&in->cfg, stdout);
	return 0;
}
