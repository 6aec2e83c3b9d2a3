#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# bare.bats - `checkpointer' alone in a batch script of Slurm: the whole script
# is what is dumped and continued, and its end is the last job's

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load chain

setup_file() {
	begin signal 2 --signal=B:USR1@50 <<-'X'
		#!/bin/bash
		checkpointer -m 5s
		for n in 1 2; do
			Rscript piece.R R$n 0 g1
			echo "Rscript $n: $?"
		done
		exit 3
	X
}

teardown_file() { finish_begun; }

@test "loops, variables, functions, pipelines, here-documents, several programs" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer
		upper() { bash piece.sh "$@" | tr a-z A-Z; }
		sum=1
		for i in {1..100}; do
			sum=$(((sum * 31 + i) % 1000003))
			[ $((i % 50)) != 0 ] || { echo "loop at g$((i / 50))" >>side
				until [ -e "g$((i / 50))" ]; do sleep 0.05; done; }
		done
		upper A 0 g3
		b=$(bash piece.sh B 0 g4; echo end)
		Rscript piece.R R 5 g5 | tee tee.out
		r=${PIPESTATUS[0]}
		cat <<H
		sum is $sum, R has said $r, B:
		$b
		H
		echo "in $PWD, $$ has $# arguments" | sed "s/$$/this/"
	X
	wanted script.sh
	start script.sh
	leave loop g1
	leave loop g2
	leave A g3
	leave B g4
	leave R g5
	ends_as COMPLETED 0:0
	want_same <(sed 's,/plain,,' want) <(plain "$out")
	want_same plain/tee.out tee.out
	once A B R
}

@test "nothing is run twice: set -e, a trap for EXIT, what is before the line" {
	write script.sh <<-'X'
		#!/bin/bash
		set -eu
		trap 'echo "trapped $?" | tee -a side' EXIT
		export GREETING=hello
		mkdir -p sub
		cd sub
		checkpointer
		cd ..
		echo "$GREETING" | tee -a side
		bash piece.sh A 0 g1 g2
		bash piece.sh B 5
		echo "not reached"
	X
	wanted script.sh
	[ "$want_status" = 5 ]
	start script.sh
	leave A g1
	leave A g2
	ends_as FAILED 5:0
	want_output
	once A B
	want_lines 1 side hello
	want_lines 1 side 'trapped 5'
}

@test "arguments with blanks, and a script that is gone" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer
		bash piece.sh A 0 g1 g2
		printf '<%s>\n' "$@"
	X
	wanted script.sh 'a b' '' '*'
	start script.sh 'a b' '' '*'
	rm script.sh
	leave A g1
	leave A g2
	ends_as COMPLETED 0:0
	want_output
}

@test "scripts of sh and Python" {
	write sh.sh <<-'X'
		#!/bin/sh
		checkpointer
		i=0
		while [ $i -lt 20 ]; do
			i=$((i + 1))
			echo $i
			[ $i != 10 ] || bash piece.sh sh 0 g1 g2
		done
		exit 4
	X
	write python.sh <<-'X'
		#!/usr/bin/python3
		import os, subprocess, sys, time
		subprocess.run(["checkpointer"], check=True)
		for i in range(20):
		    print(i, flush=True)
		    if i % 9 == 8:
		        gate = "g%d" % (i // 9 + 1)
		        with open("side", "a") as side:
		            print("python at", gate, file=side)
		        while not os.path.exists(gate):
		            time.sleep(0.05)
		sys.exit(4)
	X
	for s in sh python; do
		rm -f g1 g2
		wanted $s.sh
		[ "$want_status" = 4 ]
		start $s.sh
		leave $s g1
		leave $s g2
		ends_as FAILED 4:0
		want_output
	done
}

@test "the job ends by the signal that has ended the script" {
	local how s
	for how in TERM KILL; do
		write $how.sh <<-X
			#!/bin/bash
			checkpointer
			bash piece.sh $how 0 g1
			kill -$how \$\$
		X
		rm -f g1
		start $how.sh
		leave $how g1
		job_ends "$job"
		echo "$(job_field "$job" JobState) $(job_field "$job" ExitCode)" >>ends
		once $how
	done
	diff ends - <<-'X'
		FAILED 0:15
		FAILED 0:9
	X
}

@test "in a subshell, a pipe and by exec it is refused with a sentence" {
	write script.sh <<-'X'
		#!/bin/bash
		(checkpointer; echo "subshell: $?")
		checkpointer | cat
		echo "pipe: ${PIPESTATUS[0]}"
		echo "substitution: $(checkpointer; echo $?)"
		exec checkpointer
	X
	start script.sh
	job_ends "$job"
	want_state FAILED
	[ "$(job_field "$job" ExitCode)" = 64:0 ]
	want_lines 4 "$out" 'checkpointer: '
	want_lines 4 "$out" 'line of the batch script itself'
	want "$out" 'subshell: 64'
	want "$out" 'pipe: 64'
	want "$out" 'substitution: 64'
}

@test "where tracing is forbidden it is refused with a sentence" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer
		echo "status $?"
	X
	forbid_tracing
	start "$untraced" script.sh
	job_ends "$job"
	want_lines 1 "$out" 'checkpointer: '
	want "$out" 'write checkpointer -- COMMAND instead'
	want "$out" 'status 69'
}

@test "Slurm's own signal ends two legs of a script" {
	take signal
	ends_as FAILED 3:0
	want_output
	once R1 R2
	want_lines 2 "$out" 'SIGUSR1: leaving'
}
