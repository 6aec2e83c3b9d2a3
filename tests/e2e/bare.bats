#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# bare.bats - `checkpointer' alone in a batch script: the whole script is what
# is dumped and continued, and its end is the job's

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# script [INTERPRETER]: standard input, as script.sh
script() {
	{ echo "#!${1-/bin/bash}"; cat; } >script.sh
	chmod +x script.sh
}

batch() {
	export CHECKPOINTER_CHECKPOINT_MARGIN=0.75s
	plainly checkpointer -q -c t batch -t 1.5s script.sh "$@"
}

# wanted [ARG...]: what the script writes without checkpointer
wanted() {
	CHECKPOINTER_INSIDE=1 plainly ./script.sh "$@" >want 2>>err
}

@test "a loop with variables" {
	script <<-'X'
		checkpointer
		sum=1
		for i in {1..40}; do
			sum=$(((sum * 31 + i) % 1000003))
			echo "$i $sum"
			sleep 0.05
		done
	X
	wanted
	batch >out 2>err
	want_same want out
	want_legs 3
	nothing_left
}

@test "the status is the script's own" {
	script <<-'X'
		checkpointer
		for i in {1..20}; do sleep 0.05; done
		exit 7
	X
	[ "$(status_of env CHECKPOINTER_CHECKPOINT_MARGIN=0.75s checkpointer \
		-q -c t batch -t 1.5s script.sh)" = 7 ]
	want_legs 2
}

@test "nothing behind the line runs twice" {
	script <<-'X'
		checkpointer
		echo start >>side
		for i in {1..30}; do sleep 0.05; done
		echo end >>side
	X
	batch 2>err
	[ "$(<side)" = $'start\nend' ]
	want_legs 2
}

@test "several programs, functions, pipelines, a here-document" {
	script <<-'X'
		checkpointer
		count() { bash count.sh "$1" 0.05 | sed "s/^/$2 /"; }
		count 20 a
		total=$(count 20 b | wc -l)
		cat <<-H
			there are $total
		H
		count 10 c >file
		cat file
	X
	wanted
	batch >out 2>err
	want_same want out
	want_legs 3
}

@test "set -e, a trap and a failing command" {
	script <<-'X'
		set -eu
		trap 'echo "trapped $?"' EXIT
		checkpointer
		for i in {1..30}; do echo "$i"; sleep 0.05; done
		(exit 5)
		echo "not reached"
	X
	run -5 wanted
	run -5 batch
	# The output of a failing batch is that of the tests' run.
	grep -v checkpointer <<<"$output" >out
	want_same want out
	want_legs 2
}

@test "arguments with blanks" {
	script <<-'X'
		checkpointer
		for i in {1..20}; do sleep 0.05; done
		printf '<%s>\n' "$@"
	X
	wanted 'a b' '' '*'
	batch 'a b' '' '*' >out 2>err
	want_same want out
	want_legs 2
}

@test "variables that are exported before the line" {
	script <<-'X'
		export GREETING=hello
		cd "$HOME"
		checkpointer
		for i in {1..20}; do sleep 0.05; done
		echo "$GREETING from $PWD"
	X
	wanted
	batch >out 2>err
	want_same want out
}

@test "a step inside is a part of the whole" {
	script <<-'X'
		checkpointer
		checkpointer -- bash count.sh 25 0.05
		checkpointer
		echo "after $?"
	X
	wanted
	batch >out 2>err
	want_same want out
	want_legs 2
	[ "$(grep -c '"event":"step"' "$journal")" = \
		"$(grep -c '"event":"leg"' "$journal")" ]
}

# in_legs: the script, which ends with 4, as it is alone
in_legs() {
	run -4 wanted
	[ "$(status_of env CHECKPOINTER_CHECKPOINT_MARGIN=0.75s checkpointer \
		-q -c t batch -t 1.5s script.sh)" = 4 ]
	want_same want out
	want_legs 2
	rm -rf "$store" out
}

@test "scripts in sh and csh" {
	script /bin/sh <<-'X'
		checkpointer
		i=0
		while [ $i -lt 25 ]; do i=$((i + 1)); echo $i; sleep 0.05; done
		exit 4
	X
	in_legs
	script /bin/csh <<-'X'
		checkpointer
		set i = 0
		while ($i < 25)
			@ i++
			echo $i
			sleep 0.05
		end
		exit 4
	X
	in_legs
}

@test "scripts in zsh and Python" {
	script /bin/zsh <<-'X'
		checkpointer
		for i in {1..25}; do echo $i; sleep 0.05; done
		exit 4
	X
	in_legs
	script /usr/bin/python3 <<-'X'
		import subprocess, sys, time
		subprocess.run(["checkpointer"], check=True)
		for i in range(25):
		    print(i, flush=True)
		    time.sleep(0.05)
		sys.exit(4)
	X
	in_legs
}

@test "an Rscript in the script" {
	script <<-'X'
		checkpointer
		Rscript -e 'x <- 1; for (i in 1:25) { x <- (x * 31 + i) %% 1000003; cat(i, x, "\n"); Sys.sleep(0.05) }'
		echo "status $?"
	X
	wanted
	batch >out 2>err
	want_same want out
	want_legs 2
}

@test "stopped by TERM, it continues" {
	script <<-'X'
		checkpointer
		for i in {1..30}; do echo "$i"; sleep 0.05; done
	X
	wanted
	start_plain checkpointer -q -c t batch -t 60s -m 1s script.sh
	await out '^5$'
	kill -TERM "$pid"
	ends_with 75
	batch >>out 2>>err
	want_same want out
}

@test "outside a batch job it is an error" {
	run -64 plainly checkpointer
	[[ $output == *"no command"* ]]
}

@test "in a subshell and in a pipe it is refused" {
	script <<-'X'
		(checkpointer; echo "status $?")
		checkpointer | cat
		echo "in a pipe ${PIPESTATUS[0]}"
	X
	batch >out 2>err
	want_lines 2 err 'line of the batch script itself'
	want out 'status 64'
	want out 'in a pipe 64'
}

@test "a directory that is entered before the line is entered once" {
	script <<-'X'
		mkdir -p sub
		cd sub
		checkpointer
		for i in {1..20}; do sleep 0.05; done
		pwd
	X
	wanted
	batch >out 2>err
	want_same want out
	want_legs 2
}
