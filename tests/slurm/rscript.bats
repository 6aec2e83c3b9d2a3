#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# rscript.bats - an R script lives on over legs of a requeued job

# shellcheck disable=SC2154 # set in common.bash
load common

@test "an R script in legs of a requeued job writes what it would in one run" {
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
		exec checkpointer --margin=50s -- Rscript demo.R >out
	X
	submit whole
	whole=$job
	submit -t 1 --requeue --open-mode=append legs
	job_ends "$job" 200
	want_state COMPLETED
	[ "$(legs_in_slurm "$job")" -ge 3 ]
	job_ends "$whole"
	want_same "slurm-$whole.out" out
}
