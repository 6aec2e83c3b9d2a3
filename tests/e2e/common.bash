# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# common.bash - what the end-to-end tests share
#
# Needs `checkpointer' in PATH, a criu that works in a capsule, an ordinary
# user, and nothing else that matters. Each test has a directory of its own
# below the user's home: /tmp is private in a capsule, so that host and
# command would not see the same files there.
#
# A test waits for events only: a line in a file, the end of a process, a
# FIFO. The pauses in the workloads make them last; nobody relies on how long.

bats_require_minimum_version 1.8.0
# shellcheck source=tests/want.bash disable=SC1091
. "$BATS_TEST_DIRNAME/../want.bash"
export BATS_TEST_TIMEOUT=60

# A leg lasts 0.75 s: what takes 2 s needs three of them at least.
legs_of_time=(-t 1.5s -m 0.75s)

setup() {
	# shellcheck disable=SC2086
	unset ${!CHECKPOINTER_*} XDG_RUNTIME_DIR
	work=$(mktemp -d "$(getent passwd "$(id -u)" | cut -d: -f6)/e2e.XXXXXX")
	export HOME=$work/home XDG_CONFIG_HOME=$work/config
	mkdir "$HOME" "$XDG_CONFIG_HOME"
	store=$HOME/.checkpointer/t
	journal=$store/journal
	started=()
	cd "$work" || return
	write_workloads
}

teardown() {
	local p bad=0

	[ -n "${work:-}" ] || return
	for p in "${started[@]}"; do
		kill -9 "$p" 2>/dev/null && wait "$p"
	done
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		for p in err out "$journal"; do
			[ ! -s "$p" ] || { echo "--- $p:"; tail -n 40 "$p"; }
		done
	fi
	if grep -aEs 'Sanitizer:|runtime error:' ./*err*; then
		echo "a sanitizer has found something"
		bad=1
	fi
	cd / || return
	chmod -R u+rwX "$work"
	rm -rf "$work" /tmp/"${work##*/}"*
	return "$bad"
}

# --- workloads; each prints the same, however long it pauses ---

write_workloads() {
	# count.sh LINES PAUSE: sums that depend on all before
	cat >count.sh <<-'X'
		sum=7
		for ((i = 1; i <= $1; i++)); do
			sum=$(((sum * 31 + i) % 1000003))
			echo "$i $sum"
			sleep "$2"
		done
		echo end
	X
	# gated.sh GATE...: waits at each gate until a file of that name exists
	cat >gated.sh <<-'X'
		for gate; do
			echo "at $gate"
			until [ -e "$gate" ]; do sleep 0.05; done
			echo "past $gate"
		done
		echo end
	X
	# big.py MEGABYTES GATE: much memory; its checksum at the end
	cat >big.py <<-'X'
		import hashlib, os, random, sys, time
		data = random.Random(1).randbytes(int(sys.argv[1]) << 20)
		print("ready", flush=True)
		while not os.path.exists(sys.argv[2]):
		    time.sleep(0.02)
		print(hashlib.sha256(data).hexdigest(), flush=True)
	X
}

# filter.py: has a seccomp filter of its own, prints 0, waits for a file `go', and
# prints 1 if the filter is still there
write_filter() {
	cat >filter.py <<-'X'
		import ctypes, os, struct, time
		libc = ctypes.CDLL(None)
		libc.prctl(38, 1, 0, 0, 0)
		allow = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
		prog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(allow)))
		print(libc.prctl(22, 2, prog), flush=True)
		while not os.path.exists("go"):
		    time.sleep(0.02)
		print(open("/proc/self/status").read().count("Seccomp:\t2"), flush=True)
	X
}

# --- running checkpointer ---

# Run it with all signals at their defaults and without bats' descriptors.
plainly() {
	(
		exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
		exec env --default-signal "$@"
	)
}

# in_legs COMMAND [ARG...]: as chain t, in short legs, silent unless wrong
in_legs() {
	plainly checkpointer -q -c t "${legs_of_time[@]}" -- "$@"
}

# start ARG...: checkpointer as chain t, in the background; out, err, $pid
start() {
	start_plain checkpointer -c t "$@"
}

start_plain() {
	(
		exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
		exec env --default-signal "$@"
	) </dev/null >>out 2>>err &
	pid=$!
	started+=("$pid")
}

# finish: wait for the end of what was started last; $status
finish() {
	local p=$pid i

	gone "$p" 60 || fail "process $p did not end"
	status=0
	wait "$p" || status=$?
	for i in "${!started[@]}"; do
		[ "${started[i]}" != "$p" ] || unset "started[i]"
	done
}

# ends_with STATUS: finish, and look at the status
ends_with() {
	finish
	[ "$status" = "$1" ] || fail "exit status $status, not $1"
}

# status_of COMMAND...: prints the exit status, or minus the signal
status_of() {
	plainly python3 -c 'import subprocess, sys
print(subprocess.run(sys.argv[1:], stdout=open("out", "a"),
	stderr=open("err", "a")).returncode)' "$@"
}

# --- events ---

# await_state STATE [N]: until the journal tells of it for the Nth time
await_state() { await "$journal" "\"state\":\"$1\"" "${2:-1}"; }
await_event() { await "$journal" "\"on\":\"$1\"" "${2:-1}"; }

# save_one N: take a checkpoint now, the Nth
save_one() {
	kill -USR2 "$pid"
	await_event dumped "$1"
	# The state after it: only then is the next signal heard.
	await err "checkpoint $1 of t:"
}

# --- what is wanted; more in want.bash ---

# want_legs N: there were N legs or more
want_legs() {
	local n

	n=$(lines_with "$journal" '"event":"leg"')
	[ "$n" -ge "$1" ] || fail "only $n legs, not $1"
}

# want_messages N: stderr holds N messages, one line each, and nothing else
want_messages() {
	if [ "$(wc -l <err) $(lines_with err 'checkpointer: ')" != "$1 $1" ]; then
		echo "not just $1 messages:"
		cat err
		return 1
	fi
}

# --- processes ---

# The children of the supervisor: its keeper, and what that has
keeper_of() { pgrep -P "$1" -x checkpt-keeper | head -n 1; }

# root_of SUPERVISOR: the command's process, as the host sees it; pasta is the
# keeper's child, too
root_of() {
	local p
	for p in $(pgrep -P "$(keeper_of "$1")"); do
		[[ $(<"/proc/$p/comm") == pasta* ]] || { echo "$p"; return; }
	done
}

# nothing_left: no process that has to do with this test; HOME tells, but for
# criu and what it starts, which have a clean environment
nothing_left() {
	local p

	for p in $(grep -laF "HOME=$work" /proc/[0-9]*/environ 2>/dev/null |
		cut -d/ -f3) $(pgrep -f "$work") $(pgrep -x criu); do
		gone "$p" || fail "left over: $(ps -fp "$p" | tail -n 1)"
	done
}

# --- a criu that stops at a wanted point ---

# slow_criu: a criu program that tells the FIFO `at' when it is to work, and
# waits for a line in the FIFO `go'. Use with --set criu.binary=$PWD/slow-criu
slow_criu() {
	mkfifo at go
	cat >slow-criu <<-X
		#!/bin/bash
		if [ "\$1" = dump ] || [ "\$1" = restore ]; then
			echo criu >'$work/at'
			read -r _ <'$work/go'
		fi
		exec '$(real_criu)' "\$@"
	X
	chmod +x slow-criu
}

# hold_dump: at the end of a dump, with the tree still frozen, criu tells `at'
# and waits for `go'. Use with --set "criu.extra=action-script $PWD/hold"
hold_dump() {
	mkfifo at go
	cat >hold <<-X
		#!/bin/bash
		[ "\$CRTOOLS_SCRIPT_ACTION" = post-dump ] || exit 0
		echo post-dump >'$work/at'
		read -r _ <'$work/go'
	X
	chmod +x hold
}

real_criu() { PATH=$PATH:/usr/sbin:/sbin command -v criu; }

# reached FIFO: wait until somebody writes to it; release FIFO: let them go
reached() { timeout 30 head -n 1 "$1" >/dev/null || fail "nobody came to $1"; }
release() { echo | timeout 30 tee "$1" >/dev/null || fail "nobody waits at $1"; }
