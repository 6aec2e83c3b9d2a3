#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# rollback.bats - promises 1 and 4: after a crash, files are what they were at
# the checkpoint, so that what the command writes again stands there once

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# Each workload waits at gates: files that the test makes. A checkpoint is made
# at gate two; what is written between gates two and three is written again
# after a restore, and must not stand there twice.

# python NAME: a workload in Python, with gates
python() {
	{
		cat <<-'X'
			import os, sys, time
			def gate(name):
			    print("at", name, flush=True)
			    while not os.path.exists(name):
			        time.sleep(0.02)
		X
		cat
	} >"$1"
}

# begin [OPTION...] -- COMMAND...: with a checkpoint at gate two, killed at three
begin() {
	start "$@"
	touch one
	await out 'at two'
	save_one 1
	touch two
	await out 'at three'
	crash
}

crash() {
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	: >out
}

# again [OPTION...]: restore, and run to gate three
again() {
	start_plain checkpointer "$@" restore t
	await out 'at three'
}

# to_the_end [OPTION...]: restore, and run to the end
to_the_end() {
	touch three
	start_plain checkpointer "$@" restore t
	ends_with 0
}

# uninterrupted COMMAND...: what it leaves without a checkpoint; in ./plain
uninterrupted() {
	mkdir plain
	touch plain/one plain/two plain/three
	(cd plain && "$@" >/dev/null)
}

kept() { (cd "$store/step-1" && ls) | grep -E '\.(tail|file)-' || true; }

# --- files that grow ---

two_writers() {
	cat >two.sh <<-'X'
		gate() { echo "at $1"; until [ -e "$1" ]; do sleep 0.02; done; }
		write() {
			exec 5>>log
			for g in one two three; do
				echo "$1 before $g" >&5
				gate "$g" >"$1.$g"
				[ "$1" = b ] || until [ -s "b.$g" ]; do sleep 0.02; done
				[ "$1" = b ] || echo "at $g"
			done
			echo "$1 at the end" >&5
		}
		write b &
		write a
		wait
	X
}

@test "a log that two processes append to: every line is there once" {
	cat >two.sh <<-'X'
		write() {
			exec 5>>log
			for g in one two three; do
				echo "$1 before $g" >&5
				echo >"$1.$g"
				until [ -s "a.$g" ] && [ -s "b.$g" ]; do sleep 0.02; done
				[ "$1" = b ] || echo "at $g"
				until [ -e "$g" ]; do sleep 0.02; done
			done
			echo "$1 at the end" >&5
		}
		write b &
		write a
		wait
	X
	uninterrupted bash "$work/two.sh"
	begin -- bash two.sh
	want_lines 1 log 'a before three'
	to_the_end
	want err "/log: 32 bytes written after the checkpoint are cut off"
	sort log >have
	sort plain/log >want
	want_same want have
	[ "$(sort "$store/step-1/0001.tail-0" 2>/dev/null)" = "" ]
}

@test "restored twice from the same checkpoint: the same file, both tails kept" {
	python grow.py <<-'X'
		import random
		f = open("data", "w")
		g = open("log", "a")
		for name in "one", "two", "three":
		    f.write(name * 1000); f.flush()
		    g.write("before " + name + "\n"); g.flush()
		    gate(name)
		    # What differs from run to run must be gone.
		    noise = "x" * random.randrange(1, 9) + str(os.getppid()) + str(time.time())
		    if not os.path.exists("three"):
		        f.write(noise); f.flush()
		        g.write(noise + "\n"); g.flush()
		f.write("end\n")
		g.write("end\n")
	X
	start -- python3 grow.py
	await out 'at one'
	save_one 1
	touch one
	await out 'at two'
	crash
	again_two() { start_plain checkpointer restore t; await out 'at two'; crash; }
	again_two
	again_two
	[ "$(kept | wc -l)" = 4 ]
	kept | grep -qx '0001.tail-0.2'
	cmp "$store/step-1/0001.tail-1" "$store/step-1/0001.tail-1.2" && fail "one tail"
	touch two three
	to_the_end
	mkdir plain
	touch plain/one plain/two plain/three
	(cd plain && python3 ../grow.py >/dev/null)
	want_same plain/data data
	want_same plain/log log
}
