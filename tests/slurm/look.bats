#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# look.bats - status and dump from a machine where the job does not run

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load chain

# says TEXT COMMAND...: on n0, which succeeds and says that
says() {
	run -0 on n0 "${@:2}"
	[[ $output == *"$1"* ]] || fail "no '$1' in: $output"
}

@test "dump by the number of the job, through the batch shell and with exec" {
	local s
	write shell.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1
	X
	write exec.sh <<-'X'
		#!/bin/bash
		exec checkpointer -- bash piece.sh A 0 g1
	X
	for s in shell exec; do
		rm -f g1 side
		start $s.sh
		reaches A g1
		says "vc-$job: running" checkpointer status "$job"
		[[ $output == *"job $job, begun "* ]]
		[[ $output == *'the leg ends in '* ]]
		says "checkpoint 1 of vc-$job: " checkpointer dump "$job"
		says 'checkpoint  1: ' checkpointer status "$job"
		touch g1
		ends_as COMPLETED 0:0
		once A
	done
}

@test "dump --leave, and the job that waits" {
	local first
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1
	X
	start -w n1 --gres=widget:2 script.sh
	first=$job
	reaches A g1
	block n1
	says 'checkpoint 1 of ' checkpointer dump --leave "$job"
	next_leg
	[ "${lines[1]}" = "leg 1 leaves, job $job continues" ]
	job_ends "$first"
	says "successor   job $job: pending, " checkpointer status "$job"
	says 'resubmitted' checkpointer status
	on_root n0 scancel -u alice -n wrap
	await "$journal" '"state":"restored"'
	says "job $job, begun " checkpointer status "$first"
	touch g1
	ends_as COMPLETED 0:0
	once A
}

@test "a shell that would die of the signal does not get it" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1
	X
	forbid_tracing
	start "$untraced" script.sh
	reaches A g1
	run -69 on n0 checkpointer dump "$job"
	[[ $output == *'would die of the signal'* ]]
	touch g1
	ends_as COMPLETED 0:0
}
