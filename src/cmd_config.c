/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sysexits.h>

#include "cmd.h"
#include "log.h"

int cmd_config(struct invocation *in)
{
	if (in->args[0]) {
		log_error("config takes no arguments: '%s'", in->args[0]);
		return EX_USAGE;
	}
	config_print(&in->cfg, stdout);
	return 0;
}
