#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# steps.bats - batch scripts with `checkpointer -- COMMAND' lines, in legs that
# Slurm's warning signal or the own timer ends

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load chain

setup_file() {
	begin exec 2 --signal=B:USR1@50 <<-'X'
		#!/bin/sh
		exec checkpointer -m 5s -- Rscript piece.R R 4 g1
	X
	begin shell 2 <<-'X'
		#!/bin/bash
		#SBATCH --signal=B:USR1@50
		checkpointer -m 5s -- Rscript piece.R R 4 g1
		status=$?
		echo "Rscript has ended with $status"
		exit "$status"
	X
	begin timer 2 --signal=B:USR1@5 <<-'X'
		#!/bin/sh
		checkpointer -m 50s -- Rscript piece.R R 0 g1
		echo "Rscript has ended with $?"
	X
	setup_untraced
}

setup_untraced() {
	setup
	forbid_tracing
	begin untraced 2 "$untraced" <<-'X'
		#!/bin/bash
		checkpointer -m 50s -- bash piece.sh A 0 g1
		checkpointer -m 50s -- bash piece.sh B 4
		exit "$?"
	X
	begin untraced_exec 2 "$untraced" <<-'X'
		#!/bin/sh
		exec checkpointer -m 50s -- bash piece.sh A 4 g1
	X
}

teardown_file() { finish_begun; }

@test "scripts of bash and sh, and exec: the shell lives on under the signal" {
	local s
	write bash.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh bash 0 g1 g2
		echo "bash: $?"
	X
	write sh.sh <<-'X'
		#!/bin/sh
		checkpointer -- bash piece.sh sh 0 g1 g2
		echo "sh: $?"
	X
	write exec.sh <<-'X'
		#!/bin/bash
		exec checkpointer -- bash piece.sh exec 0 g1 g2
	X
	for s in bash sh exec; do
		rm -f g1 g2
		wanted $s.sh
		start $s.sh
		leave $s g1
		leave $s g2
		ends_as COMPLETED 0:0
		want_output
		once $s
	done
}

@test "steps one after the other: functions, loops, conditions" {
	write script.sh <<-'X'
		#!/bin/bash
		set -u
		work() { checkpointer -- bash piece.sh "$@"; }
		work A 0 g1
		for n in B C; do
			work $n 0 g2
		done
		while read -r n; do
			work "$n" 0
		done <<<$'D\nE'
		work F 3 g3 || f=$?
		if work G 4; then g=none; else g=$?; fi
		work H 5 g4 || h=$?
		echo "$f $g $h"
		exit 6
	X
	wanted script.sh
	start script.sh
	leave A g1
	leave B g2
	leave F g3
	leave H g4
	ends_as FAILED 6:0
	want_output
	once A B C D E F G H
}

@test "set -e ends the script at the step that fails, and a trap for EXIT fires once" {
	write script.sh <<-'X'
		#!/bin/bash
		set -e
		trap 'echo "trapped $?"' EXIT
		checkpointer -- bash piece.sh A 0 g1
		checkpointer -- bash piece.sh B 5 g2
		echo "not reached"
		checkpointer -- bash piece.sh C 0
	X
	wanted script.sh
	[ "$want_status" = 5 ]
	start script.sh
	leave A g1
	leave B g2
	ends_as FAILED 5:0
	want_output
	once A B
	want_lines 0 side 'start C'
}

@test "steps in the background, and wait" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 1 g1 g2 >>A.out & a=$!
		checkpointer -- bash piece.sh B 2 g1 g2 >B.out & b=$!
		checkpointer -- bash piece.sh C 3 >C.out & c=$!
		wait "$a"; a=$?
		wait "$b"; b=$?
		wait "$c"; c=$?
		echo "$a $b $c"
		exit "$((a + b + c))"
	X
	wanted script.sh
	start script.sh
	reaches B g1
	await side 'end C'
	leave A g1
	reaches B g2
	leave A g2
	ends_as FAILED 6:0
	want_output
	for f in A B C; do want_same plain/$f.out $f.out; done
	once A B C
}

@test "steps in pipelines" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1 g2 | tr a-z A-Z
		checkpointer -- bash piece.sh B 5 g3 | sed 's/^/> /' | tee -a B.out
		b=${PIPESTATUS[0]}
		checkpointer -- bash piece.sh C 0 g4 2>&1 | cat >>C.out
		echo "$b"
	X
	wanted script.sh
	start script.sh
	leave A g1
	leave A g2
	leave B g3
	leave C g4
	ends_as COMPLETED 0:0
	want_output
	want_same plain/B.out B.out
	want_same plain/C.out <(plain C.out)
	once A B C
}

@test "a pipeline of two steps" {
	write upper.sh <<-'X'
		while read -r line; do echo "upper $line"; done
	X
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1 g2 | checkpointer -- bash upper.sh
	X
	wanted script.sh
	start script.sh
	leave A g1
	leave A g2
	ends_as COMPLETED 0:0
	want_output
	once A
}

@test "the signal while no step is at work does no harm" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0
		bash piece.sh own 0 g1
		checkpointer -- bash piece.sh B 0 g2
	X
	wanted script.sh
	start script.sh
	reaches own g1
	warn
	warn
	touch g1
	reaches B g2
	touch g2
	ends_as COMPLETED 0:0
	want_output
	once A own B
	want_lines 1 "$journal" '"event":"leg"'
}

@test "a script's own trap for the signal fires" {
	write script.sh <<-'X'
		#!/bin/bash
		trap 'echo trapped >>side' USR1
		checkpointer -- bash piece.sh A 0
		until [ -e g1 ]; do sleep 0.05; done
		checkpointer -- bash piece.sh B 7 g2 &
		until wait "$!"; b=$?; [ "$b" -lt 128 ]; do :; done
		exit "$b"
	X
	start script.sh
	await side 'end A'
	warn
	await side trapped
	touch g1
	leave B g2
	ends_as FAILED 7:0
	want_lines 2 side trapped
	once A B
}

@test "how a script ends is how its job ends, also by a signal" {
	local s how jobs=() last=()
	for how in 'exit 9' 'kill -TERM $$' 'kill -KILL $$'; do
		write "$how.sh" <<-X
			#!/bin/bash
			checkpointer -- bash piece.sh A 0 g1
			$how
		X
		write "exec $how.sh" <<-X
			#!/bin/bash
			exec checkpointer -- bash -c 'bash piece.sh A 0 g1; $how'
		X
	done
	for s in {,exec\ }{exit\ 9,kill\ -{KILL,TERM}\ \$\$}; do
		start "$s.sh"
		jobs[job]=$s
	done
	# All at the same gate.
	await side '^A at g1' 6
	for job in "${!jobs[@]}"; do
		legs_from "$job"
		warn
		next_leg
		last[legs[0]]=$job
	done
	touch g1
	for s in "${!jobs[@]}"; do
		job_ends "${last[s]}"
		echo "${jobs[s]}: $(job_field "${last[s]}" JobState)" \
			"$(job_field "${last[s]}" ExitCode)"
	done >ends
	diff ends - <<-'X'
		exit 9: FAILED 9:0
		kill -KILL $$: FAILED 0:9
		kill -TERM $$: FAILED 0:15
		exec exit 9: FAILED 9:0
		exec kill -KILL $$: FAILED 0:9
		exec kill -TERM $$: FAILED 0:15
	X
}

@test "with exec, Slurm's own signal ends two legs, as the successor has it too" {
	take exec
	ends_as FAILED 4:0
	want_output
	once R
	want_lines 2 "$out" 'SIGUSR1: leaving'
}

@test "in a shell, Slurm's own signal ends two legs, as the successor has it too" {
	take shell
	ends_as FAILED 4:0
	want_output
	once R
	want_lines 2 "$out" 'SIGUSR1: leaving'
}

@test "the own timer comes ahead of Slurm's signal" {
	take timer
	ends_as COMPLETED 0:0
	want_output
	once R
	want_not "$out" SIGUSR1
	want_lines 2 "$out" 'the time limit is near: leaving'
}

@test "where tracing is forbidden it is told, and the own timer does it all" {
	local leg
	take untraced
	job_ends "$job"
	want_state FAILED
	[ "$(job_field "$job" ExitCode)" = 4:0 ]
	# Slurm itself tells of it, too.
	plain "$out" | grep -v '^slurmstepd.* CANCELLED AT' >got
	want_same want got
	once A B
	# One warning for each step that a leg begins, and no other.
	want_lines 4 "$out" 'Operation not permitted'
	# What cannot be ended otherwise is cancelled, when its successor is there.
	for leg in "${legs[@]:0:2}"; do want_state CANCELLED "$leg"; done
	want_lines 2 "$out" 'is cancelled, its successor continues'
}

@test "where tracing is forbidden, exec needs none" {
	take untraced_exec
	ends_as FAILED 4:0
	want_output
	once A
	want_not "$out" 'not permitted'
}
