#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# rscript.bats - an R script lives on over legs, by submission and by requeue

# shellcheck disable=SC2016,SC2030,SC2031,SC2154
load common
load chain

# demo NAME [OPTION...]: in setup_file, each in a directory of its own
demo() {
	setup
	write demo.R <<-'X'
		set.seed(1)
		x <- numeric()
		for (i in 1:56) {
		    x <- c(x, rnorm(1000))
		    cat(i, format(mean(x), digits = 15), "\n")
		    Sys.sleep(0.5)
		}
	X
	write demo.sh <<-'X'
		#!/bin/sh
		checkpointer --margin=50s -- Rscript demo.R
		echo "status $?"
	X
	submit "${@:2}" demo.sh
	echo "$job" >job
	export "begun_$1=$work"
}

setup_file() {
	demo whole -t 10 --export=ALL,CHECKPOINTER_INSIDE=1
	demo submit -t 1
	demo requeue -t 1 --export=ALL,CHECKPOINTER_SLURM_METHOD=requeue
}

teardown_file() { finish_begun; }

# go_to NAME: where setup_file has submitted the job
go_to() {
	local name=begun_$1
	cd / && rmdir "$(cluster path "$work")"
	work=${!name}
	cd "$(cluster path "$work")" || return
	legs_from "$(<job)"
}

want_all_lines() {
	local whole

	whole=$(cluster path "${begun_whole:?}")
	job_ends "$(<"$whole/job")"
	grep -v -e '^checkpointer: ' -e '^slurmstepd' "$out" >got
	want_same "$whole/slurm-$(<"$whole/job").out" got
}

@test "an R script in legs writes what it would in one run: new jobs" {
	go_to submit
	await_seconds=200 await "$out" '^status 0'
	want_all_lines
	[ "$(successors | wc -l)" -ge 2 ]
	job=$(successors | tail -n 1)
	ends_as COMPLETED 0:0
	[[ $(job_field "$job" Comment) == "[checkpointer vc-${legs[0]} leg "*" finished]" ]]
}

@test "and the same job, requeued, with its output emptied each time" {
	go_to requeue
	job_ends "$job" 200
	want_state COMPLETED
	[ "$(legs_in_slurm "$job")" -ge 3 ]
	want_all_lines
}
