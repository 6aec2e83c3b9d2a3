#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# closed.bats - an ordinary user where user namespaces are closed

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# as_where_closed COMMAND...: in a user namespace that allows no further one
as_where_closed() {
	plainly unshare -U -c --keep-caps sh -c '
		echo 0 >/proc/sys/user/max_user_namespaces
		exec setpriv --inh-caps=-all --ambient-caps=-all "$@"' sh "$@"
}

@test "no capsule: a criu without the capability is told at the start" {
	start --isolation=none -- bash -c 'echo begun; sleep 0.5; exit 3'
	await err 'setcap cap_checkpoint_restore'
	ends_with 3
}

@test "auto: where user namespaces are closed it says so and does without" {
	status=0
	as_where_closed checkpointer -c t -- sh -c 'echo ran; exit 5' >out 2>err || status=$?
	[ "$status" = 5 ]
	want out ran
	want err 'going on without a capsule (isolation = none)'
}

@test "user: where user namespaces are closed it does not begin" {
	status=0
	as_where_closed checkpointer -c t --isolation=user -- echo ran >out 2>err || status=$?
	[ "$status" = 70 ]
	want_empty out
	want err 'make a capsule'
}
