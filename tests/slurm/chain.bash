# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# chain.bash - what the tests of batch scripts over several legs share
#
# A piece of work stops at gates: it tells the file `side' that it is there, and
# waits for a file of the gate's name. So a leg ends where a test wants it to,
# however fast the machine is.

# shellcheck disable=SC2034,SC2154 # variables of common.bash, and for the tests

# write_pieces: piece.sh NAME STATUS GATE..., and the same in R; what they write
# depends on all that they have written before
write_pieces() {
	write piece.sh <<-'X'
		name=$1 status=$2 sum=7
		shift 2
		echo "start $name" >>side
		for gate in "$@"; do
			for i in 1 2 3 4 5; do
				sum=$(((sum * 31 + i) % 1000003))
				echo "$name $i $sum"
			done
			echo "$name at $gate" >>side
			until [ -e "$gate" ]; do sleep 0.05; done
		done
		echo "$name ends with $sum"
		echo "end $name" >>side
		exit "$status"
	X
	write piece.R <<-'X'
		args <- commandArgs(TRUE)
		side <- function(...) cat(..., "\n", file = "side", append = TRUE)
		side("start", args[1])
		set.seed(3)
		x <- numeric()
		for (gate in args[-(1:2)]) {
		    x <- c(x, rnorm(1000))
		    cat(args[1], format(mean(x), digits = 15), "\n")
		    side(args[1], "at", gate)
		    while (!file.exists(gate)) Sys.sleep(0.05)
		}
		cat(args[1], "ends with", format(sd(x), digits = 15), "\n")
		side("end", args[1])
		quit(status = as.integer(args[2]))
	X
}

# wanted SCRIPT [ARG...]: the file `want' is what it writes without a checkpoint
# (all gates are open), `plain' the directory where it has run, and $want_status
# its exit status
wanted() {
	want_status=0
	[ -e piece.sh ] || write_pieces
	# shellcheck disable=SC2016 # that is for the other shell
	on n0 bash -c 'mkdir -p plain && cp -- *.sh *.R plain && cd plain &&
		touch g{1..9} && CHECKPOINTER_INSIDE=1 exec "$@"' _ \
		"./$1" "${@:2}" >want 2>&1 || want_status=$?
}

# start [SBATCH-OPTION...] SCRIPT [ARG...]: the first leg of a chain
start() {
	[ -e piece.sh ] || write_pieces
	submit -t 20 "$@"
	legs_from "$job"
}

legs_from() {
	job=$1
	out=slurm-$job.out
	legs=("$job")
	journal=$(cluster path /home/alice/.checkpointer)/vc-$job/journal
}

# reaches NAME GATE: a piece of work does
reaches() { await side "^$1 at $2"; }

successors() {
	sed -n 's/.*"event":"submitted".*"job":"\([0-9]*\)".*/\1/p' "$journal"
}

# next_leg: wait for the successor to be accepted, which is $job then
next_leg() {
	await "$journal" '"event":"submitted"' "${#legs[@]}"
	job=$(successors | tail -n 1)
	legs+=("$job")
}

# warn: what Slurm sends for --signal=B:USR1@N, now
warn() { on_root n0 scancel -b -s USR1 "$job"; }

# leave NAME GATE...: a new leg at this gate, which is opened then
leave() {
	reaches "$1" "$2"
	warn
	next_leg
	shift
	touch "$@"
}

# block NODE: when its widgets are free, another job has them
block() { on n0 sbatch -w "$1" --gres=widget:2 -o block --wrap 'sleep 100'; }

# ends_as STATE CODE: the chain's last leg, as Slurm knows it; all before it
# were completed
ends_as() {
	local leg
	job_ends "$job"
	want_state "$1"
	[ "$(job_field "$job" ExitCode)" = "$2" ] ||
		fail "job $job: exit code $(job_field "$job" ExitCode), not $2"
	for leg in "${legs[@]}"; do
		[ "$leg" = "$job" ] || want_state COMPLETED "$leg" || return
	done
}

# plain FILE: without the lines that are checkpointer's own
plain() { grep -ahv '^checkpointer: ' "$1" || :; }

# want_output: the job's output is that of an undisturbed run
want_output() {
	plain "$out" >got
	want_same want got
}

# once NAME...: each piece of work was started and ended exactly once
once() {
	local n
	for n; do
		[ "$(grep -c "^start $n *\$" side)" = 1 ] || fail "start $n: $(<side)" || return
		[ "$(grep -c "^end $n *\$" side)" = 1 ] || fail "end $n: $(<side)" || return
	done
}

# forbid_tracing: $untraced makes ptrace(2) fail in a job, as Yama can
forbid_tracing() {
	cat >untraced.c <<-'X'
		#include <errno.h>
		long ptrace(int request, ...)
		{
			(void)request;
			errno = EPERM;
			return -1;
		}
	X
	on n0 gcc -shared -fPIC -o untraced.so untraced.c
	export untraced=--export=ALL,LD_PRELOAD=$work/untraced.so
}

# --- jobs that wait for Slurm's clock: they run beside the tests ---

# begin NAME LEGS [SBATCH-OPTION...]: in setup_file; the script is standard
# input. After so many legs the gate g1 is opened.
begin() {
	setup
	write script.sh
	wanted script.sh
	submit -t 1 "${@:3}" script.sh
	echo "$job" >job
	legs_from "$job"
	export "begun_$1=$work"
	{ await "$journal" '"event":"submitted"' "$2"; touch g1; } \
		</dev/null >opened 2>&1 3>&- &
}

# take NAME: make it that of this test, when all its legs have begun
take() {
	local name=begun_$1
	cd / && rmdir "$(cluster path "$work")"
	work=${!name}
	cd "$(cluster path "$work")" || return
	await_seconds=200 await side '^end '
	legs_from "$(<job)"
	mapfile -t -O 1 legs < <(successors)
	job=${legs[-1]}
}

# finish_begun: in teardown_file
finish_begun() {
	local name
	wait
	for name in ${!begun_*}; do
		work=${!name}
		cd "$(cluster path "$work")" || return
		BATS_TEST_COMPLETED=1 teardown
	done
}
