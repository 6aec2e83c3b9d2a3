/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hash.h - xxhash, in its variant for this CPU where the library has them */
#ifndef HASH_H
#define HASH_H

#ifdef HAVE_XXH_DISPATCH
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#endif
