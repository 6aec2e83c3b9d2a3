/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sysexits.h>

#include "cmd_parts.h"
#include "log.h"

const char cmd_config_help[] =
	"Usage: checkpointer [OPTION]... config [--json]\n"
	"\n"
	"Print the settings in effect, as a file that says them again, and behind each\n"
	"where it is from. Mistakes are told with file, line and key.\n"
	"\n"
	"      --json           an object for programs\n"
	"  -s, --set=KEY=VALUE  as if this were set, as section.key=value\n"
	"  -h, --help           print this\n"
	"\n"
	"Example:\n"
	"  checkpointer -s checkpoint.margin=5m config\n";

static int print_json(const struct config *cfg)
{
	json_t *j = config_json(cfg);
	int ret = print_for_programs(j);

	json_decref(j);
	return ret;
}

int cmd_config(struct invocation *in)
{
	if (in->args[0]) {
		log_error("config takes no arguments: '%s'", in->args[0]);
		return EX_USAGE;
	}
	if (in->json)
		return print_json(&in->cfg);
	config_print(&in->cfg, stdout);
	return 0;
}
