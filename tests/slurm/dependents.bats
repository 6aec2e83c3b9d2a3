#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# dependents.bats - jobs that wait for a job wait for its whole chain

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load chain

# waiting DEPENDENCY: a job with it, that tells when it runs
waiting() { on n0 sbatch --parsable -d "$1" -o waited --wrap 'echo done >>side'; }

@test "afterok and afterany wait for the last leg, and others are left alone" {
	local first ok any both other
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1 g2
	X
	other=$(on n0 sbatch --parsable --begin=now+1hour --wrap true)
	start script.sh
	first=$job
	ok=$(waiting "afterok:$first")
	any=$(waiting "afterany:$first")
	both=$(waiting "afterany:$first:$other")
	leave A g1
	reaches A g2
	[[ $(job_field "$ok" Dependency) == "afterok:$job("* ]]
	[[ $(job_field "$any" Dependency) == "afterany:$job("* ]]
	[[ $(job_field "$both" Dependency) == *"afterany:$job("*"afterany:$other("* ]]
	warn
	next_leg
	[[ $(job_field "$ok" Dependency) == "afterok:$job("* ]]
	touch g2
	job_ends "$ok"
	want_state COMPLETED "$ok"
	job_ends "$any"
	want_state COMPLETED "$any"
	want_state PENDING "$both"
	ends_as COMPLETED 0:0
	# They came last.
	[ "$(grep -c '^done' side)" = 2 ]
	[ "$(grep -n '^end A' side | cut -d: -f1)" -lt \
		"$(grep -n -m 1 '^done' side | cut -d: -f1)" ]
}

@test "dependents = leave: they have waited for one leg" {
	local first any
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -s slurm.dependents=leave -- bash piece.sh A 0 g1 g2
	X
	start script.sh
	first=$job
	any=$(waiting "afterany:$first")
	leave A g1
	job_ends "$any"
	want_state COMPLETED "$any"
	reaches A g2
	touch g2
	ends_as COMPLETED 0:0
}
