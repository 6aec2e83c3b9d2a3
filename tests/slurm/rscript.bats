#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# rscript.bats - an R script lives on over legs, by submission and by requeue

# shellcheck disable=SC2154 # set in common.bash
load common
load chain

setup_file() {
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
	write whole <<-'X'
		#!/bin/sh
		exec Rscript demo.R
	X
	write legs <<-'X'
		#!/bin/sh
		checkpointer --margin=50s -- Rscript demo.R
		echo "status $?"
	X
	export demo=$work
	submit whole && echo "$job" >whole.job
	submit -t 1 legs && echo "$job" >submit.job
	submit -t 1 --export=ALL,CHECKPOINTER_SLURM_METHOD=requeue legs
	echo "$job" >requeue.job
}

teardown_file() {
	work=$demo
	cd "$(cluster path "$work")" || return
	BATS_TEST_COMPLETED=1 teardown
}

# take NAME: go where setup_file has submitted the jobs
take() {
	cd / && rmdir "$(cluster path "$work")"
	work=$demo
	cd "$(cluster path "$work")" || return
	legs_from "$(<"$1.job")"
}

want_all_lines() {
	job_ends "$(<whole.job)"
	{ cat "slurm-$(<whole.job).out"; echo "status 0"; } >want
	grep -v -e '^checkpointer: ' -e '^slurmstepd' "$out" >got
	want_same want got
}

@test "an R script in legs writes what it would in one run: new jobs" {
	take submit
	await_seconds=200 await "$out" '^status 0'
	want_all_lines
	[ "$(successors | wc -l)" -ge 2 ]
	job=$(successors | tail -n 1)
	ends_as COMPLETED 0:0
	[[ $(job_field "$job" Comment) == "[checkpointer vc-${legs[0]} leg "* ]]
}

@test "and the same job, requeued, with its output emptied each time" {
	take requeue
	job_ends "$job" 200
	want_state COMPLETED
	[ "$(legs_in_slurm "$job")" -ge 3 ]
	want_all_lines
}
