#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check.bats - `checkpointer check' tells whether checkpoints work, and if not,
# what to do

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# check STATUS ARG...: what it prints goes to out
check() {
	local want=$1 is=0
	shift
	plainly timeout 50 checkpointer check "$@" </dev/null >out 2>err || is=$?
	[ "$is" = "$want" ] || { cat out err; fail "exit status $is, not $want"; }
}

# problem TEXT, warning TEXT: a line of that level has the text, and an advice
problem() { level problem "$1"; }
warning() { level warning "$1"; }
level() {
	grep "^$1  .*; " out | grep -qF -e "$2" ||
		{ cat out; fail "no $1 with '$2' and an advice"; }
}

# nothing_is_left: neither a chain nor a process
nothing_is_left() {
	[ ! -e "$HOME/.checkpointer" ] || fail "left: $(ls -R "$HOME/.checkpointer")"
	nothing_left
}

write_loop() {
	cat >loop.sh <<-'X'
		for ((i = 1; ; i++)); do echo "line $i"; sleep 0.1; done
	X
}

# --- this machine ---

@test "all is well: a line for each finding, and nothing is left" {
	check 0
	want_empty err
	for topic in configuration scheduler isolation ptrace pid_max criu tar \
		scratch directory room speed proof; do
		grep -Eq "^(ok|warning) +$topic: " out || fail "nothing about $topic"
	done
	want out 'auto chooses user'
	want out 'was dumped in'
	want_not out 'problem'
	want_not out $'\033'
	[ "$(tail -n 1 out)" = 'Yes, checkpoints work here.' ]
	nothing_is_left
}

@test "on a terminal it is coloured, unless that is not wanted" {
	TERM=xterm script -qec 'checkpointer check' coloured >/dev/null </dev/null
	want coloured $'\033[32mok'
	TERM=xterm NO_COLOR=1 script -qec 'checkpointer check' plain >/dev/null </dev/null
	want_not plain $'\033[32m'
}

@test "for programs: an object with all findings and the exit status" {
	check 69 --json -s criu.binary=nosuch
	python3 - <<-'X'
		import json
		j = json.load(open("out"))
		assert j["works"] is False and j["status"] == 69, j
		bad = [f for f in j["findings"] if f["level"] == "problem"]
		assert [f["topic"] for f in bad] == ["criu"], bad
		assert "nosuch" in bad[0]["text"] and "install" in bad[0]["advice"]
		for f in j["findings"]:
		    assert (f["level"] == "ok") != ("advice" in f), f
	X
	check 0 --json
	python3 -c 'import json; assert json.load(open("out"))["works"] is True'
}

@test "quiet: only what is amiss" {
	check 69 -q -s criu.binary=nosuch
	problem 'no program nosuch'
	want_not out 'ok  '
}

@test "no criu, one that is too old, one that is none" {
	check 69 -s criu.binary=nosuch
	problem 'criu: there is no program nosuch'
	printf '#!/bin/sh\necho Version: 3.17.1\n' >old
	printf '#!/bin/sh\nexit 3\n' >none
	chmod +x old none
	check 69 -s criu.binary="$PWD/old"
	problem 'criu: criu 3.17'
	want out 'CRIU 4.1 or newer'
	check 69 -s criu.binary="$PWD/none"
	problem 'says nothing'
}

@test "a criu that does not answer" {
	# Nothing but the time-out ends it.
	printf '#!/bin/sh\nexec sleep 3600\n' >stuck
	chmod +x stuck
	check 69 -s criu.binary="$PWD/stuck"
	problem 'criu: no answer within 30 s'
	nothing_is_left
}

@test "a criu that anybody may misuse" {
	check 69 -s criu.binary="$CRIU_MIGHTY"
	problem 'take the place of those that it is lent'
	warning 'criu: '"$CRIU_MIGHTY"' has the file capability cap_sys_admin'
	want out "setcap -r $CRIU_MIGHTY"
}

@test "in a capsule: a criu with the right capabilities works, too" {
	check 0 --isolation=user -s criu.binary="$CRIU_CAPABLE"
	want out 'was dumped in'
}

@test "without a capsule: criu with and without its capabilities" {
	check 69 --isolation=none
	problem 'has no cap_checkpoint_restore'
	check 0 --isolation=none -s criu.binary="$CRIU_CAPABLE"
	want out 'isolation: none, as is set'
	want out 'was dumped in'
	nothing_is_left
}

# as_where_closed COMMAND...: in a user namespace that allows no further one
as_where_closed() {
	unshare -U -c --keep-caps sh -c '
		echo 0 >/proc/sys/user/max_user_namespaces
		exec setpriv --inh-caps=-all --ambient-caps=-all "$@"' sh "$@"
}

@test "where user namespaces are closed it says what opens them" {
	status=0
	as_where_closed checkpointer check >out 2>err || status=$?
	[ "$status" = 69 ]
	warning 'isolation: auto chooses none'
	want out 'sysctl user.max_user_namespaces='
	problem 'has no cap_checkpoint_restore'
	status=0
	as_where_closed checkpointer check --isolation=user >out 2>err || status=$?
	[ "$status" = 69 ]
	problem 'isolation = user is set, and no capsule can be made'
}

@test "a checkpoint directory that cannot be written to, or by all" {
	mkdir closed open
	chmod 500 closed
	check 69 -d "$PWD/closed"
	problem "directory: $PWD/closed cannot be written to"
	check 69 -d "$PWD/closed/below"
	problem "directory: $PWD/closed cannot be written to"
	check 69 -d /proc/1/fd
	problem 'directory: '
	chmod 777 open
	check 0 -d "$PWD/open"
	warning "directory: others may write to $PWD/open"
	want out "chmod go-w $PWD/open"
	want_empty <(ls -A open)
	check 0 -d /dev/shm/"${work##*/}"
	warning 'is in memory (tmpfs)'
}

@test "a full disk" {
	mkdir disk
	plainly unshare --user --map-current-user --mount --keep-caps bash -c '
		mount -t tmpfs -o size=1M,mode=700 tmpfs disk
		head -c 2M /dev/zero >disk/filler 2>/dev/null
		exec setpriv --ambient-caps=-all --inh-caps=-all \
			checkpointer check -d "$PWD/disk"' >out 2>err && fail 'it was content'
	problem 'is full'
	problem 'No space left on device'
}

@test "a mistake in the configuration" {
	printf '[checkpoint]\nmargn = 5m\n' >"$XDG_CONFIG_HOME/checkpointer.ini"
	check 78
	problem 'checkpointer.ini:2: [checkpoint] margn'
	want out "did you mean 'margin'"
	check 78 --json
	python3 -c 'import json; assert json.load(open("out"))["status"] == 78'
	printf '[checkpoint]\nmargin = 5m\n' >"$XDG_CONFIG_HOME/checkpointer.ini"
	check 0
	want out "$XDG_CONFIG_HOME/checkpointer.ini"
}

@test "what is no argument of it" {
	check 64 foo
	want err "put -- before it"
	check 64 --prove
	want err 'is about a command'
	check 64 --for=soon -- true
	want err '--for'
	check 64 --step=1
	want err "of \`verify' and \`export'"
	check 0 --help
	want out '--prove'
}

# --- a command ---

@test "a command is run, looked at and ended" {
	write_loop
	check 0 --for=0.5s -- bash loop.sh
	want out 'line 2'
	want out 'nothing that cannot be checkpointed'
	check 0 -q --for=0.5s -- bash loop.sh
	want_empty out
	nothing_is_left
}

@test "--prove: it is dumped, restored, and runs on" {
	write_loop
	check 0 --prove --for=0.5s -- bash loop.sh
	grep -Eq '^ok +dump: [0-9.]+ KB in [0-9.]+ s$' out
	grep -Eq '^ok +restore: in [0-9.]+ s, and it runs on$' out
	# No line is lost, none comes twice.
	sed -n 's/^line //p' out >lines
	want_same lines <(seq "$(wc -l <lines)")
	[ "$(wc -l <lines)" -gt 5 ]
	nothing_is_left
	check 0 --prove --json --for=0.5s -- bash loop.sh
	python3 - <<-'X'
		import json
		by = {f["topic"]: f for f in json.load(open("out"))["findings"]}
		assert by["dump"]["bytes"] > 1000 and by["dump"]["seconds"] > 0
		assert by["restore"]["seconds"] > 0
	X
}

@test "--prove: without a capsule" {
	write_loop
	check 0 --prove --for=0.5s --isolation=none \
		-s criu.binary="$CRIU_CAPABLE" -- bash loop.sh
	want out 'and it runs on'
	nothing_is_left
}

@test "--prove: what criu refuses is told" {
	cat >uring.py <<-'X'
		import ctypes, time
		params = ctypes.create_string_buffer(120)
		fd = ctypes.CDLL(None).syscall(425, 4, params)
		print("io_uring", fd >= 0, flush=True)
		time.sleep(3600)
	X
	check 69 --prove --for=1s -- python3 uring.py
	grep -q 'io_uring True' out || skip 'no io_uring here'
	problem 'an io_uring, cannot be checkpointed'
	problem 'dump: '
	nothing_is_left
}

@test "a TCP connection" {
	cat >tcp.py <<-'X'
		import socket, time
		s = socket.create_server(("127.0.0.1", 0))
		c = socket.create_connection(s.getsockname())
		time.sleep(3600)
	X
	ip link set lo up 2>/dev/null || :
	check 69 --for=1s -- python3 tcp.py
	problem 'TCP'
}

@test "a command that cannot be started, or ends at once" {
	check 69 --for=1s -- ./nosuch
	problem 'cannot run ./nosuch'
	check 0 --for=20s -- sh -c 'exit 3'
	warning 'it ended with status 3'
	check 69 --prove --for=20s -- sh -c 'kill -9 $$'
	problem 'it ended by SIGKILL'
	nothing_is_left
}

@test "a command that does not mind SIGTERM is killed" {
	cat >stubborn.sh <<-'X'
		trap '' TERM
		while :; do sleep 0.2; done
	X
	check 0 --for=0.5s -- bash stubborn.sh
	want out 'did not end within 5 s of SIGTERM'
	nothing_is_left
}

@test "it is interrupted: nothing is left, and it ends by the signal" {
	start_plain checkpointer check --prove --for=50s -- sh -c 'echo begun; exec sleep 3600'
	await out begun
	[ -d "$HOME/.checkpointer" ]
	kill -INT "$pid"
	ends_with 130
	nothing_is_left
}
