# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# ends.bash - what the tests of how legs end share
#
# A test has several chains at once, each in a directory of its own name below
# the test's. The command of each, tick.sh, writes numbers to its stdout (`out')
# and to a file that it holds open (`data'), until the file `go' is there: a line
# that is lost, or written by two legs, shows.

# shellcheck disable=SC2154 # work and job: set in common.bash

write_tick() {
	cat >tick.sh <<-'X'
		# tick.sh [die|stay|tell]: what SIGTERM does to it
		case ${1:-die} in
		stay) trap '' TERM ;;
		tell) trap 'sleep 1; echo told; exit 3' TERM ;;
		esac
		exec 5>data
		i=0
		until [ -e go ]; do
			i=$((i + 1))
			echo "$i"
			echo "$i" >&5
			sleep 0.2
		done
		echo end
		echo end >&5
	X
}

# begin NAME HOW [SBATCH-OPTION...] [-- CHECKPOINTER-OPTION...]: a chain, whose
# command is `tick.sh HOW'; $job
begin() {
	local name=$1 how=$2 options=()
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift $(($# > 0))
	write_job "$name" "checkpointer $* -- bash ../tick.sh $how >out"
	submit_job "$name" -t 20 "${options[@]}"
}

# write_job NAME LINE: the batch script with this line of checkpointer's
write_job() {
	[ -e tick.sh ] || write_tick
	on n0 mkdir -p "$1"
	write "$1/job" <<-X
		#!/bin/bash
		echo leg begins
		$2
		echo "the script goes on: \$?"
	X
}

# submit_job NAME [SBATCH-OPTION...]
submit_job() {
	submit "${@:2}" -D "$work/$1" "$work/$1/job"
	echo "$job" >"$1/id"
}

# said NAME: the output of its jobs, all in one file
said() { echo "$1/slurm-$(<"$1/id").out"; }

# store NAME: its chain's directory
store() {
	local chain
	chain=$(cat "$1/chain" 2>/dev/null) || chain=vc-$(<"$1/id")
	echo "$(cluster path /home/alice)/.checkpointer/$chain"
}

# wait_for NAME PATTERN [N]: until its journal, or
# wait_said NAME TEXT [N]: until its messages have it
wait_for() { await "$(store "$1")/journal" "$2" "${3:-1}"; }
wait_said() { await "$(said "$1")" "$2" "${3:-1}"; }

# state NAME STATE [N]: until it is in the journal for the Nth time
state() { wait_for "$1" "\"state\":\"$2\"" "${3:-1}"; }

# ticks NAME...: each writes, at least three numbers more than now
ticks() {
	local name last=()
	for name; do
		last+=("$(tail -n 1 "$name/out" 2>/dev/null || :)")
	done
	for name; do
		await "$name/out" "^$((${last[0]:-0} + 3))$" || return
		last=("${last[@]:1}")
	done
}

successors() {
	sed -n 's/.*"event":"submitted".*"job":"\([0-9]*\)".*/\1/p' "$(store "$1")/journal"
}

# leg_of NAME: the job that is its newest leg
leg_of() { { cat "$1/id"; successors "$1"; } | tail -n 1; }

# node_of NAME: where its newest leg has begun
node_of() {
	sed -n 's/.*"event":"leg".*"host":"\([^"]*\)".*/\1/p' "$(store "$1")/journal" |
		tail -n 1
}

# supervisor NAME: its PID there
supervisor() {
	sed -n 's/.*"event":"leg".*"pid":\([0-9]*\).*/\1/p' "$(store "$1")/journal" |
		tail -n 1
}

# tell NAME SIGNAL: to the supervisor itself, whether or not Slurm is there
tell() { on_root "$(node_of "$1")" kill "-$2" "$(supervisor "$1")"; }

legs() { lines_with "$(store "$1")/journal" '"event":"leg"'; }

# want_legs N NAME...
want_legs() {
	local name n
	for name in "${@:2}"; do
		n=$(legs "$name")
		[ "$n" = "$1" ] || fail "$name: $n legs, not $1" || return
	done
}

# whole FILE: each number once, and the end
whole() {
	{ seq $(($(wc -l <"$1") - 1)); echo end; } >want
	want_same want "$1"
}

# complete NAME...: let them come to their end; all is as in one run
complete() {
	local name
	for name; do touch "$name/go"; done
	for name; do
		state "$name" finished || return
		job_ends "$(leg_of "$name")" || return
		want_state COMPLETED "$(leg_of "$name")" || return
		whole "$name/out" && whole "$name/data" || return
		want_lines 1 "$(said "$name")" 'the script goes on: 0' || return
	done
}

# no_successor NAME...: nothing of it is in the queue, and nothing was submitted
no_successor() {
	local name
	for name; do
		[ -z "$(successors "$name")" ] || fail "$name: $(successors "$name")" || return
		! on_root n0 squeue -h -o '%A %Z' | grep " $work/$name\$" || return
	done
}

# show_chains: for a test that has failed
show_chains() {
	local f j
	for f in */id; do
		[ -e "$f" ] || continue
		f=${f%/id}
		echo "--- $f: $(said "$f")"
		tail -n 30 "$(said "$f")" || :
		tail -n 25 "$(store "$f")/journal" || :
		tail -n 3 "$f/out" || :
		for j in $(<"$f/id") $(successors "$f"); do
			grep -E "JobId=$j\>" "$(cluster path /log)/n0/slurm/slurmctld.log" |
				tail -n 30 || :
		done
	done
}

# finish_test: for teardown, before the one of common.bash
finish_test() { [ -n "${BATS_TEST_COMPLETED:-}" ] || show_chains; }
