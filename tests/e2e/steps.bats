#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# steps.bats - a batch script with several steps, over several legs: what has
# ended is not run again, what was dumped continues, what is to come begins

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# piece.sh NAME LINES [STATUS]: a step that tells of its start in `side'
setup_pieces() {
	cat >piece.sh <<-'X'
		echo "start $1" >>side
		bash count.sh "$2" "${PAUSE-0.05}" | sed "s/^/$1 /"
		echo "end $1" >>side
		exit "${3-0}"
	X
}

# script: standard input, as script.sh
script() {
	{ echo '#!/bin/bash'; cat; } >script.sh
	chmod +x script.sh
	setup_pieces
}

# batch [OPTION...]: the script in short legs
batch() {
	export CHECKPOINTER_CHECKPOINT_MARGIN=0.75s
	plainly checkpointer "$@" batch -t 1.5s script.sh
}

# wanted NAME LINES...: what pieces write, one after the other
wanted() {
	while [ "$#" -gt 0 ]; do
		PAUSE=0 bash piece.sh "$1" "$2"
		shift 2
	done
	rm -f side
}

# once NAME...: each piece was started and ended exactly once
once() {
	local n

	for n; do
		want_lines 1 side "start $n"
		want_lines 1 side "end $n"
	done
}

@test "the options of batch hold for its steps" {
	script <<-'X'
		checkpointer -- bash piece.sh A 40 >>out
	X
	wanted A 40 >want
	plainly checkpointer -c t batch "${legs_of_time[@]}" script.sh 2>err
	want_same want out
	once A
	want_legs 3
}

@test "one step over several legs" {
	script <<-'X'
		checkpointer -c t -- bash piece.sh A 40 >>out
		echo "status $?" >>statuses
	X
	wanted A 40 >want
	batch 2>err
	want_same want out
	once A
	want_legs 3
	[ "$(<statuses)" = "status 0" ]
}

@test "two steps: the first is not run again, the second begins fresh" {
	script <<-'X'
		checkpointer -c t -- bash piece.sh A 30 >>out
		echo "A $?" >>statuses
		checkpointer -c t -- bash piece.sh B 30 >>out
		echo "B $?" >>statuses
	X
	wanted A 30 B 30 >want
	batch 2>err
	want_same want out
	once A B
	want_legs 3
	# In every leg that gets so far the first step has its status again.
	[ "$(sort -u statuses)" = $'A 0\nB 0' ]
	[ "$(grep -c B statuses)" = 1 ]
}

@test "three steps with statuses of their own" {
	script <<-'X'
		checkpointer -- bash piece.sh A 20 1 >>out; a=$?
		checkpointer -- bash piece.sh B 25 2 >>out; b=$?
		checkpointer -- bash piece.sh C 25 3 >>out; c=$?
		echo "$a $b $c" >>statuses
		exit "$((a + b + c))"
	X
	wanted A 20 B 25 C 25 >want
	run -6 batch -c t 2>err
	want_same want out
	once A B C
	want_legs 4
	[ "$(<statuses)" = "1 2 3" ]
}

@test "the chain of a batch job has the job's name, and ends with it" {
	script <<-'X'
		checkpointer -- bash piece.sh A 25 >>out
		checkpointer -- bash piece.sh B 5 >>out
	X
	batch 2>err
	[ "$(find "$HOME/.checkpointer" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ]
	once A B
	nothing_left
}

@test "a step that died of a signal is not run again" {
	script <<-'X'
		checkpointer -- bash -c 'echo start >>side; kill -KILL $$'
		echo "first $?" >>statuses
		checkpointer -- bash piece.sh B 30 >>out
	X
	wanted B 30 >want
	batch -c t 2>err
	want_same want out
	[ "$(grep -cx start side)" = 1 ]
	want_legs 2
	[ "$(sort -u statuses)" = "first 137" ]
	[ "$(wc -l <statuses)" -ge 2 ]
}

@test "set -e ends the script at the step that fails, once" {
	script <<-'X'
		set -e
		checkpointer -- bash piece.sh A 25 >>out
		checkpointer -- bash piece.sh B 5 3 >>out
		checkpointer -- bash piece.sh C 5 >>out
	X
	wanted A 25 B 5 >want
	run -3 batch -c t 2>err
	want_same want out
	once A B
	want_lines 0 side 'start C'
}

@test "steps in the background, and wait" {
	script <<-'X'
		checkpointer -- bash piece.sh A 40 1 >>out.A & a=$!
		checkpointer -- bash piece.sh B 50 2 >>out.B & b=$!
		checkpointer -- bash piece.sh C 5 3 >>out.C & c=$!
		wait "$a"; a=$?
		wait "$b"; b=$?
		wait "$c"; c=$?
		echo "$a $b $c" >>statuses
	X
	wanted A 40 >want.A
	wanted B 50 >want.B
	wanted C 5 >want.C
	batch -c t 2>err
	for n in A B C; do want_same "want.$n" "out.$n"; done
	once A B C
	want_legs 3
	[ "$(<statuses)" = "1 2 3" ]
	nothing_left
}

@test "a short step beside a long one, and one after both" {
	script <<-'X'
		checkpointer -- bash piece.sh A 40 >>out.A &
		checkpointer -- bash piece.sh B 4 >>out.B
		checkpointer -- bash piece.sh C 4 >>out.C
		wait
		checkpointer -- bash piece.sh D 4 >>out.D
	X
	for n in 'A 40' 'B 4' 'C 4' 'D 4'; do
		# shellcheck disable=SC2086
		wanted $n >"want.${n% *}"
	done
	batch -c t 2>err
	for n in A B C D; do want_same "want.$n" "out.$n"; done
	once A B C D
	want_legs 3
}

@test "a loop of steps with the same program and other arguments" {
	script <<-'X'
		for i in 1 2 3 4 5 6; do
			checkpointer -- bash piece.sh "$i" 10 "$i" >>out
			echo "$i $?" >>statuses
		done
	X
	wanted 1 10 2 10 3 10 4 10 5 10 6 10 >want
	batch -c t 2>err
	want_same want out
	once 1 2 3 4 5 6
	want_legs 3
	[ "$(sort -u statuses)" = "$(for i in 1 2 3 4 5 6; do echo "$i $i"; done)" ]
}

@test "a loop of steps that are all the same" {
	script <<-'X'
		for i in 1 2 3 4; do
			checkpointer -- bash piece.sh same 12 >>out
		done
	X
	wanted same 12 same 12 same 12 same 12 >want
	batch -c t 2>err
	want_same want out
	want_lines 4 side 'start same'
	want_lines 4 side 'end same'
	want_legs 3
}

@test "a step whose arguments change with the leg is found again" {
	script <<-'X'
		checkpointer -- bash piece.sh A 40 0 "$RANDOM$RANDOM" >>out
		checkpointer -- bash piece.sh B 4 0 "$RANDOM$RANDOM" >>out
	X
	wanted A 40 B 4 >want
	batch -c t 2>err
	want_same want out
	once A B
	want_legs 3
}

@test "steps in several directories" {
	script <<-'X'
		mkdir -p one two
		cp piece.sh count.sh one; cp piece.sh count.sh two
		cd one && checkpointer -- bash -c 'bash piece.sh A 20; pwd' >>../out
		cd ../two && checkpointer -- bash -c 'bash piece.sh B 20; pwd' >>../out
	X
	{ wanted A 20; echo "$work/one"; wanted B 20; echo "$work/two"; } >want
	batch -c t 2>err
	want_same want out
	want_legs 3
}

@test "a step that begins within the margin is left to the next leg" {
	script <<-'X'
		checkpointer -- bash piece.sh A 1 >>out
		[ -e paused ] || { touch paused; sleep 1; }
		checkpointer -- bash piece.sh B 10 >>out
		echo "B $?" >>statuses
	X
	wanted A 1 B 10 >want
	batch -c t 2>err
	[ "$(tail -n 1 statuses)" = "B 0" ]
	want_same want out
	once A B
	want_legs 2
}

@test "what the script itself does is done in every leg" {
	script <<-'X'
		echo leg >>legs
		checkpointer -- bash piece.sh A 40 >>out
	X
	batch -c t 2>err
	[ "$(wc -l <legs)" = "$(lines_with "$journal" '"event":"leg"')" ]
	want_legs 3
	once A
}

@test "a script without a step is a script" {
	script <<-'X'
		echo "$1|$2"
		exit 5
	X
	run -5 --separate-stderr plainly checkpointer batch -t 5s script.sh 'a b' c
	[ "$output" = "a b|c" ]
	[ ! -e "$HOME/.checkpointer" ]
}

@test "the script in another language" {
	setup_pieces
	cat >script.sh <<-'X'
		#!/usr/bin/env python3
		import subprocess
		for name in "AB":
		    with open("out", "a") as out:
		        r = subprocess.run(["checkpointer", "--", "bash", "piece.sh",
		            name, "20"], stdout=out)
		    assert r.returncode == 0
	X
	chmod +x script.sh
	wanted A 20 B 20 >want
	batch -c t 2>err
	want_same want out
	once A B
	want_legs 3
}

@test "a script that uses all descriptors itself" {
	script <<-'X'
		exec 3>>d3 4>>d4 5>>d5 6>>d6 7>>d7 8>>d8 9>>d9 10>>d10 11>>d11
		checkpointer -- bash piece.sh A 20 >>out
		checkpointer -- bash piece.sh B 20 >>out
	X
	wanted A 20 B 20 >want
	batch -c t 2>err
	for d in 3 4 5 6 7 8 9 10 11; do want_empty "d$d"; done
	want_same want out
	once A B
	want_legs 3
}

@test "exec as the last line" {
	script <<-'X'
		exec checkpointer -- bash piece.sh A 40 7 >>out
	X
	wanted A 40 >want
	run -7 batch -c t 2>err
	want_same want out
	once A
	want_legs 3
}

@test "a script that cannot be run is told" {
	run -66 --separate-stderr checkpointer batch -t 5s ./nothing
	[ "${#stderr_lines[@]}" = 1 ]
	echo true >plain
	run -66 --separate-stderr checkpointer batch -t 5s plain
	[[ $stderr == *chmod* ]]
	run -64 --separate-stderr checkpointer batch -t 5s
	[ "${#stderr_lines[@]}" = 1 ]
}

@test "a node that dies: the job, run again, goes on" {
	local script

	script <<-'X'
		checkpointer -- bash piece.sh A 40 >>out
		checkpointer -- bash piece.sh B 4 >>out
	X
	wanted A 40 B 4 >want
	export CHECKPOINTER_CHECKPOINT_MARGIN=0.75s
	start -t 1.5s batch script.sh
	await_event dumped
	# In its second leg.
	await_state restored
	script=$(pgrep -P "$pid")
	kill -KILL "$pid" "$script" $(pgrep -P "$script")
	finish
	nothing_left
	# What has run since the checkpoint runs again, and writes again.
	batch -c t 2>>err
	once A B
	[ "$(sort -u out)" = "$(sort -u want)" ]
}

@test "a node that dies right behind a checkpoint: the output that a rerun empties" {
	local script n

	script <<-'X'
		checkpointer -i 0.2s -- bash piece.sh A 60 >out
	X
	wanted A 60 >want
	export CHECKPOINTER_CHECKPOINT_MARGIN=1s
	for n in 1 2 3; do
		start -t 60s batch script.sh
		await_event dumped $((3 * n))
		script=$(pgrep -P "$pid")
		kill -KILL "$pid" "$script" $(pgrep -P "$script")
		finish
		nothing_left
	done
	batch -c t 2>>err
	want_same want out
}

@test "USR1 to the batch job makes its steps leave" {
	script <<-'X'
		echo leg >>legs
		checkpointer -- bash gated.sh one >>out
		checkpointer -- bash gated.sh two >>out
	X
	export CHECKPOINTER_CHECKPOINT_MARGIN=1s
	start batch -t 60s "$work/script.sh"
	await out 'at one'
	pkill -USR1 -P "$(pgrep -P "$pid")" -f 'checkpointer --'
	await_state restored
	touch one
	await out 'at two'
	touch two
	ends_with 0
	[ "$(wc -l <legs)" = 2 ]
	printf '%s\n' 'at one' 'past one' end 'at two' 'past two' end >want
	want_same want out
}
