#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# look.bats - status and dump: what goes on now, and a checkpoint now

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# --- what the tests share ---

# gated ARG...: a command as chain t, at its gate
gated() {
	start "$@" -- bash gated.sh one
	await out 'at one'
	await_state running
}

# field PATH...: of the status of chain t, as JSON
field() {
	checkpointer status t --json | python3 -c 'import json, sys
j = json.load(sys.stdin)
for k in sys.argv[1:]:
    j = j[int(k) if k.isdigit() else k]
print(j)' "$@"
}

# says TEXT COMMAND...: it succeeds, and its output has the text
says() {
	run -0 --separate-stderr "${@:2}"
	[ "$stderr" = "" ] || fail "stderr: $stderr"
	[[ $output == *"$1"* ]] || fail "no '$1' in: $output"
}

# wrong STATUS TEXT ARG...: refused with one message that has the text
wrong() {
	run "-$1" --separate-stderr checkpointer "${@:3}"
	[ -z "$output" ] || fail "stdout: $output"
	[ "${#stderr_lines[@]}" = 1 ] || fail "not one line: $stderr"
	[[ $stderr == *"$2"* ]] || fail "no '$2' in: $stderr"
}

# holding LINE...: a chain t with this journal, whose lease this test holds
holding() {
	mkdir -p "$store/step-1"
	printf '%s\n' "$@" >"$journal"
	: >"$store/lease"
	flock -s "$store/lease" sleep 1000 3>&- 4>&- &
	started+=("$!")
	until ! flock -n "$store/lease" true; do :; done
}

# begun PID BORN [HOST]: what a supervisor writes first
begun() {
	local state='{"t":2,"event":"state","leg":1,"step":1,"on":"started"'
	echo "$state,\"state\":\"starting\",\"host\":\"${3:-$(hostname)}\",\"pid\":$1," \
		"\"born\":$2,\"save\":\"USR2\",\"leave\":\"USR1\"}"
	echo "$state,\"state\":\"running\"}"
}

born() { awk '{ print $22 }' "/proc/$1/stat"; }

# --- status ---

# start_two_steps: chain t, whose script has two steps side by side
start_two_steps() {
	cat >job.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash gated.sh one &
		checkpointer -- bash gated.sh two &
		wait
	X
	chmod +x job.sh
	start_plain checkpointer -c t batch ./job.sh
	await_state running 2
}

@test "status: nothing at work, and what is not there" {
	says 'no chain is at work' checkpointer status
	says '[]' checkpointer status --json
	wrong 66 'no chain nobody' status nobody
	wrong 66 'no chain 4711' status 4711
	wrong 64 'status takes' status a b
	wrong 64 'status takes' status --watch
	[ ! -e "$HOME/.checkpointer" ]
}

@test "status: what runs, how long, and what comes next" {
	gated -t 1h -m 10m -i 20m
	says 't: running' checkpointer status t
	[[ $output == *"leg         1, on $(hostname), begun "* ]]
	[[ $output == *'command     bash gated.sh one'* ]]
	[[ $output == *'the last checkpoint begins in 49 min'* ||
		$output == *'the last checkpoint begins in 50 min'* ]]
	[[ $output == *'next        checkpoint in 19 min'* ||
		$output == *'next        checkpoint in 20 min'* ]]
	[[ $output != *$'\033'* ]]
	says 'running' checkpointer status
	[ "${#lines[@]}" = 2 ]
	[ "$(field state)" = running ]
	[ "$(field steps 0 pid)" = "$pid" ]
	save_one 1
	says 'checkpoint  1: ' checkpointer status t
	[ "$(field steps 0 checkpoint generation)" = 1 ]
	touch one
	ends_with 0
	says 't: finished' checkpointer status t
	says 'no chain is at work' checkpointer status
}

@test "status: stopped, and died: how it is continued" {
	gated
	kill -TERM "$pid"
	ends_with 75
	says 't: stopped' checkpointer status t
	[[ $output == *'checkpointer restore t'* ]]
	start_plain checkpointer restore t
	await_state restored
	says 't: restored' checkpointer status t
	kill -9 "$pid"
	finish
	nothing_left
	says 't: died' checkpointer status t
	[[ $output == *'checkpointer restore t'* ]]
	says 'no chain is at work' checkpointer status
}

@test "status: of several steps, one whose supervisor has died" {
	start_two_steps
	says 'step 2      bash gated.sh ' checkpointer status t
	p=$(field steps 0 pid)
	kill -9 "$p"
	gone "$p"
	[ "$(field steps 0 state)" = died ]
	[ "$(field state)" = running ]
	touch one two
	finish
}

@test "status: in colour on a terminal, plain elsewhere" {
	gated
	run -0 script -qec 'checkpointer status t' /dev/null
	[[ $output == *$'\033[32mrunning\033[0m'* ]]
	run -0 checkpointer status t
	[[ $output != *$'\033'* ]]
	touch one
	ends_with 0
}

@test "status --watch: a line for each leg and state, until the end" {
	gated
	checkpointer status t --watch >watch 3>&- &
	local watcher=$!
	started+=("$watcher")
	await watch 'leg 1  running'
	run -0 checkpointer dump t --leave
	await watch 'leg 2  restored'
	touch one
	ends_with 0
	await watch 'leg 2  finished'
	gone "$watcher"
	run ! grep -v '^..:..:..  t  leg [12]  [a-z]*$' watch
}

@test "a slow dump tells how far it is, and leaves nothing of it" {
	start -s checkpoint.compression=zstd -s checkpoint.compression_level=19 \
		-s checkpoint.threads=1 -- python3 big.py 40 one
	await out ready
	run -0 checkpointer dump t --no-wait
	[ "$output" = "" ]
	await "$store/step-1/progress" '"done":'
	says 't: dumping' checkpointer status t
	# A fast machine has read it all before it is asked.
	[[ $output =~ dumping\ *([0-9]+\ %,\ .*\ of\ about\ |.*\ read,\ waiting) ]] ||
		fail "$output"
	[ "$(field steps 0 progress kind)" = dump ]
	[ "$(field steps 0 progress total)" -gt 40000000 ]
	says 'dumping ' checkpointer status
	[[ $output == *' %'* || $output == *waiting* ]] || fail "$output"
	await err 'checkpoint 1 of t:'
	[ ! -e "$store/step-1/progress" ]
	touch one
	ends_with 0
}

# --- dump ---

@test "dump: a checkpoint now, and another one" {
	gated
	says 'checkpoint 1 of t: ' checkpointer dump t
	[ "${#lines[@]}" = 1 ]
	says 'checkpoint 2 of t: ' checkpointer dump t
	await_event dumped 2
	touch one
	ends_with 0
	wrong 69 'it is finished' dump t
	wrong 66 'no chain nobody' dump nobody
	wrong 64 'dump takes' dump
	wrong 64 'dump takes' dump t t
}

@test "dump --leave: the leg ends, the next one continues" {
	bash count.sh 40 0 >want
	start -- bash count.sh 40 0.05
	await out '^5 '
	says 'checkpoint 1 of t: ' checkpointer dump t --leave
	[ "${lines[1]}" = 'leg 1 leaves, the next one continues' ]
	ends_with 0
	want_same want out
	want_legs 2
}

@test "dump: by the signals that are configured" {
	gated -s signals.save=WINCH -s signals.checkpoint=37
	says 'checkpoint 1 of t: ' checkpointer dump t
	says 'leg 1 leaves' checkpointer dump t --leave
	await_state restored
	touch one
	ends_with 0
}

@test "dump: all steps of a batch script" {
	start_two_steps
	says 'checkpoint 1 of t, step 1: ' checkpointer dump t
	[[ $output == *'checkpoint 1 of t, step 2: '* ]]
	[ "${#lines[@]}" = 2 ]
	touch one two
	finish
}

@test "dump: one that is under way is waited for" {
	hold_dump
	gated -s "criu.extra=action-script $PWD/hold"
	kill -USR2 "$pid"
	reached at
	checkpointer -v dump t >asked 2>&1 3>&- &
	started+=("$!")
	# Else it would be another one.
	await asked 'waiting for the journal'
	release go
	await asked 'checkpoint 1 of t: '
	touch one
	ends_with 0
	want_lines 1 "$journal" '"on":"dumped"'
}

@test "dump: why there is none" {
	gated -s checkpoint.max_size=1
	wrong 69 max_size dump t
	# It runs on.
	touch one
	ends_with 0
}

@test "dump: while it is restored, afterwards" {
	slow_criu
	gated
	kill -TERM "$pid"
	ends_with 75
	start_plain checkpointer -s "criu.binary=$PWD/slow-criu" restore t
	reached at
	checkpointer dump t >asked 2>&1 3>&- &
	started+=("$!")
	wrong 69 'does not run yet' dump t --no-wait
	release go
	reached at
	release go
	await asked 'checkpoint 2 of t: '
	touch one
	ends_with 0
}

@test "dump: the command ends, or everything dies, before it is made" {
	hold_dump
	gated -s "criu.extra=action-script $PWD/hold"
	checkpointer dump t >asked 2>&1 3>&- &
	local asker=$!
	reached at
	kill -9 "$pid"
	finish
	status=0
	wait "$asker" || status=$?
	[ "$status" = 69 ]
	want asked 'its process has died'
}

@test "dump: no other process gets the signal" {
	sleep 1000 3>&- &
	local p=$!
	started+=("$p")
	holding '{"t":1,"event":"leg","leg":1,"scheduler":"local"}' \
		'{"t":1,"event":"step","leg":1,"step":1,"argv":["a"]}' \
		"$(begun "$p" 7)"
	# Another one has this number by now.
	wrong 69 'is gone' dump t
	# It is the one, but would die of it.
	holding '{"t":1,"event":"leg","leg":1,"scheduler":"local"}' \
		'{"t":1,"event":"step","leg":1,"step":1,"argv":["a"]}' \
		"$(begun "$p" "$(born "$p")")"
	wrong 69 'does not listen to SIGUSR2' dump t
	kill -0 "$p"
}

@test "dump: on another machine, and no batch system to ask" {
	holding '{"t":1,"event":"leg","leg":1,"scheduler":"local"}' \
		'{"t":1,"event":"step","leg":1,"step":1,"argv":["a"]}' \
		"$(begun 1 1 elsewhere)"
	wrong 69 'it runs on elsewhere: ask there' dump t
}
