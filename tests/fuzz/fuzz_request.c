/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_request.c - what criu might ask for */
#include "fuzz.h"
#include "request.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char name[64];

	if (!request_parse(data, size, name, sizeof(name)))
		fuzz_need(*name && strlen(name) < sizeof(name));
	return 0;
}
