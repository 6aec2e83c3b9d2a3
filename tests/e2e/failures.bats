#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# failures.bats - promises 2 and 7: where no checkpoint can be made, that is
# said early and by name, and the command runs on

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

gated_output() { for g; do printf 'at %s\npast %s\n' "$g" "$g"; done; echo end; }

# --- the disk ---

# with_small_disk SIZE SCRIPT: run it where $work/disk is a file system of
# that size, as the same user without any capability
with_small_disk() {
	mkdir disk
	# Mounting takes a user namespace.
	unshare --user --map-current-user --mount --keep-caps true ||
		skip "no user namespaces here"
	{
		# Nothing may be left if the script fails.
		echo 'trap "kill -9 \$(jobs -p) 2>/dev/null || :" EXIT'
		echo "$2"
	} >small.sh
	plainly unshare --user --map-current-user --mount --keep-caps bash -c '
		mount -t tmpfs -o size="$0",mode=700 tmpfs disk
		exec setpriv --ambient-caps=-all --inh-caps=-all bash -eu small.sh
	' "$1"
}

@test "a full disk: the command runs to its end, and the disk is named" {
	python3 big.py 8 /dev/null >want
	with_small_disk 4M '
		checkpointer -c t -d "$PWD/disk" -t 1s -m 0.8s \
			-s checkpoint.retry=0.2s -- bash -c "
			python3 big.py 8 one &
			wait \$!; exit 3" >out 2>err &
		pid=$!
		[ "$(timeout 30 tail -s 0.05 -n +1 -F err 2>/dev/null |
			grep -m 3 -c "is full")" = 3 ]
		touch one
		s=0; wait "$pid" || s=$?
		[ "$s" = 3 ]
		ls disk/t/step-1 >left
		cp disk/t/journal .
	'
	want_same want out
	want err 'the checkpoint directory is full'
	want err 'the command runs on'
	want_empty left
	want journal '"on":"dump failed"'
	tail -n 1 journal | grep -q '"state":"finished"'
}

@test "a full disk with room again: the next try works" {
	python3 big.py 8 /dev/null >want
	with_small_disk 30M '
		head -c 26M /dev/zero >disk/filler
		checkpointer -c t -d "$PWD/disk" -t 5s -m 3s \
			-s checkpoint.retry=0.2s -- python3 big.py 8 one >out 2>err &
		pid=$!
		timeout 30 tail -s 0.05 -n +1 -F err | grep -m 1 "is full"
		rm disk/filler
		timeout 30 tail -s 0.05 -n +1 -F err | grep -m 1 "restored from"
		touch one
		wait "$pid"
	'
	want_same want out
	want err 'the command runs on'
}

@test "a disk that is full to the last byte: the journal, too" {
	with_small_disk 1M '
		mkdir -m 700 disk/t
		head -c 2M /dev/zero >disk/filler 2>/dev/null || true
		s=0
		checkpointer -c t -d "$PWD/disk" -- bash -c "echo ran; exit 3" \
			>out 2>err || s=$?
		echo "$s" >status
	'
	# Refused at the start, or run without a journal: one or the other.
	[ "$(<status)" = 73 ] && [ ! -s out ] && [ -s err ] ||
		{ [ "$(<status)" = 3 ] && [ "$(<out)" = ran ]; }
}

@test "a limit on the size of files: the command runs on" {
	python3 big.py 8 /dev/null >want
	(
		ulimit -f 2048
		start -s checkpoint.retry=0.2s -- python3 big.py 8 one
		await out ready
		kill -USR1 "$pid"
		await_event 'dump failed' 2
		touch one
		ends_with 0
	)
	want_same want out
	want err 'the command runs on'
}

@test "a checkpoint directory that cannot be written to" {
	start -s checkpoint.retry=0.2s -- bash gated.sh one two
	await out 'at one'
	chmod 500 "$store/step-1"
	kill -USR1 "$pid"
	await_event 'dump failed'
	touch one
	await out 'at two'
	chmod 700 "$store/step-1"
	await_state restored
	touch two
	ends_with 0
	gated_output one two >want
	want_same want out
}

@test "a checkpoint directory that is gone" {
	start -s checkpoint.retry=0.2s -- bash gated.sh one
	await out 'at one'
	rm -r "$store"
	kill -USR1 "$pid"
	await err 'the command runs on'
	want err 'No such file'
	touch one
	ends_with 0
	gated_output one >want
	want_same want out
}

@test "a checkpoint directory that cannot be made: nothing is begun" {
	mkdir -m 500 closed
	run --separate-stderr plainly checkpointer -d "$work/closed/x" -- touch side
	[ "$status" -ge 64 ] && [ "$status" -le 78 ]
	[[ $stderr == *"$work/closed/x"*"Permission denied"* ]]
	[ "${#stderr_lines[@]}" = 1 ]
	[ ! -e side ]
}

# --- criu ---

# fake_criu: standard input is what it does for anything but --version
fake_criu() {
	{
		echo '#!/bin/bash'
		echo 'if [ "$1" = --version ]; then echo Version: 4.1.1; exit; fi'
		cat
	} >fake-criu
	chmod +x fake-criu
}

@test "no criu: a warning at the start, and the command runs" {
	start -s criu.binary=/nonexistent/criu -s checkpoint.retry=0.2s -- \
		bash -c 'bash gated.sh one; exit 7'
	await out 'at one'
	want_lines 1 err 'no checkpoint can be made'
	want err /nonexistent/criu
	kill -USR1 "$pid"
	await_event 'dump failed' 2
	touch one
	ends_with 7
	gated_output one >want
	want_same want out
}

@test "no criu in PATH: a warning that says what to install" {
	run -7 --separate-stderr plainly checkpointer -s criu.binary=no-such-criu \
		-- bash -c 'exit 7'
	[[ $stderr == *"no checkpoint can be made"*no-such-criu*install* ]]
}

@test "no criu, asked to end: the command is told to end" {
	start -s criu.binary=/nonexistent/criu -- bash -c '
		trap "echo bye; exit 6" TERM; echo ready
		while :; do sleep 0.02; done'
	await out ready
	kill -TERM "$pid"
	ends_with 6
	want out bye
}

@test "a criu that is too old is told at the start" {
	fake_criu <<<'exit 1'
	sed -i 's/4.1.1/3.11/' fake-criu
	start -s criu.binary="$work/fake-criu" -- bash gated.sh one
	await err 'no checkpoint can be made: criu 3.11'
	touch one
	ends_with 0
}

@test "a criu that does not fit is not tried, until it does" {
	{
		echo '#!/bin/bash'
		echo 'if [ "$1" = --version ]; then echo "Version: $(<version)"; exit; fi' |
			sed "s,<,<$work/,"
		echo "echo \"\$1\" >>$work/tries"
		echo "exec $(real_criu) \"\$@\""
	} >fake-criu
	chmod +x fake-criu
	echo 3.11 >version
	start -s criu.binary="$work/fake-criu" -s checkpoint.retry=0.2s -- \
		bash gated.sh one
	await out 'at one'
	await err 'the command runs without, and is lost when its job ends'
	kill -USR1 "$pid"
	await_event 'dump failed' 2
	want err 'no dump is tried: criu 3.11'
	[ ! -e tries ]
	echo 4.1 >version.new
	mv version.new version
	await_state restored
	touch one
	ends_with 0
	want tries dump
	gated_output one >want
	want_same want out
}

@test "a criu that is none is told at the start" {
	start -s criu.binary=/bin/true -- bash gated.sh one
	await err 'no checkpoint can be made: /bin/true --version'
	touch one
	ends_with 0
}

@test "a criu that always fails: the command survives, its status is kept" {
	fake_criu <<<'exit 1'
	start -s criu.binary="$work/fake-criu" -s checkpoint.retry=0.2s \
		"${legs_of_time[@]}" -- bash -c 'bash gated.sh one; exit 7'
	await_event 'dump failed' 3
	touch one
	ends_with 7
	gated_output one >want
	want_same want out
	want err 'the command runs on, next try in'
	want_lines 1 "$journal" '"event":"leg"'
	nothing_left
}

@test "a criu that dies of a signal: the command survives" {
	fake_criu <<<'kill -SEGV $$'
	start -s criu.binary="$work/fake-criu" -s checkpoint.retry=0.2s -- \
		bash -c 'bash gated.sh one; exit 7'
	await out 'at one'
	kill -USR1 "$pid"
	await_event 'dump failed' 2
	touch one
	ends_with 7
	nothing_left
}

@test "a criu that fails twice: the third try works" {
	fake_criu <<-X
		echo try >>$work/tries
		[ "\$(wc -l <$work/tries)" -ge 3 ] || exit 1
		exec $(real_criu) "\$@"
	X
	start -s criu.binary="$work/fake-criu" -s checkpoint.retry=0.2s -- \
		bash gated.sh one
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	want_lines 2 "$journal" '"on":"dump failed"'
	gated_output one >want
	want_same want out
}

@test "a dump for USR2 that fails is told, and the interval goes on" {
	fake_criu <<-X
		echo try >>$work/tries
		[ "\$(wc -l <$work/tries)" -ge 3 ] || exit 1
		exec $(real_criu) "\$@"
	X
	start -s criu.binary="$work/fake-criu" -i 0.2s -s checkpoint.retry=0.2s \
		-- bash gated.sh one
	# A checkpoint that was not to be the last must not become the last.
	await_event dumped 2
	touch one
	ends_with 0
	want_lines 1 "$journal" '"event":"leg"'
	gated_output one >want
	want_same want out
}

@test "a restore that fails once: the older checkpoint, and the next time" {
	start -- bash gated.sh one
	await out 'at one'
	save_one 1
	save_one 2
	kill -TERM "$pid"
	ends_with 75
	: >err
	touch one
	fake_criu <<<'exit 1'
	start_plain checkpointer -s criu.binary="$work/fake-criu" restore t
	ends_with 69
	want err 'checkpoint 3'
	want err 'checkpoint 2'
	start_plain checkpointer restore t
	ends_with 0
	want err 'restored from checkpoint 3'
	gated_output one >want
	want_same want out
}

@test "a file that the command had open is gone at the restore" {
	start -- bash -c 'exec 7<count.sh; bash gated.sh one'
	await out 'at one'
	kill -TERM "$pid"
	ends_with 75
	mv count.sh away
	touch one
	start_plain checkpointer restore t
	ends_with 69
	want err count.sh
	mv away count.sh
	start_plain checkpointer restore t
	ends_with 0
	gated_output one >want
	want_same want out
}

# --- what cannot be checkpointed ---

tcp() {
	cat >tcp.py <<-'X'
		import os, socket, sys, time
		l = socket.socket()
		l.bind(("127.0.0.1", 0))
		l.listen()
		a = socket.create_connection(l.getsockname())
		b, _ = l.accept()
		print("fd", a.fileno(), flush=True)
		while not os.path.exists("one"):
		    time.sleep(0.02)
		a.close(), b.close(), l.close()
		print("closed", flush=True)
		while not os.path.exists("two"):
		    time.sleep(0.02)
		print("end")
	X
}

@test "a TCP connection is told by process and descriptor" {
	tcp
	start -s checkpoint.look_after=2s -s checkpoint.retry=0.2s -- \
		python3 tcp.py
	await out fd
	await err 'a TCP connection'
	fd=$(sed -n 's/^fd //p' out)
	grep -E "warning: process [0-9]+ \(python3\): descriptor $fd, a TCP connection" err
	# Does it run on, and can it be checkpointed when it is closed?
	kill -USR1 "$pid"
	await_event 'dump failed' 2
	want err 'the command runs on'
	touch one
	await out closed
	await_state restored
	touch two
	ends_with 0
	[ "$(tail -n 2 out)" = $'closed\nend' ]
}

@test "a listening TCP socket is checkpointed, or told" {
	cat >listen.py <<-'X'
		import os, socket, time
		l = socket.socket()
		l.bind(("127.0.0.1", 0))
		l.listen()
		print("fd", l.fileno(), flush=True)
		while not os.path.exists("one"):
		    time.sleep(0.02)
		print("end")
	X
	start -s checkpoint.look_after=0.3s -- python3 listen.py
	await out fd
	fd=$(sed -n 's/^fd //p' out)
	# The second look has been: the other chain makes the time pass.
	run -0 plainly checkpointer -q -c u -- sleep 0.5
	kill -USR2 "$pid"
	await "$journal" '"on":"dump'
	if grep -q '"on":"dump failed"' "$journal"; then
		# With what to do about it.
		want err 'CRIU 4.2'
		want err "(python3) has descriptor $fd, "
	fi
	touch one
	ends_with 0
}

@test "a process under a debugger is told, and runs on" {
	command -v strace >/dev/null || skip "needs strace"
	start -s checkpoint.look_after=0.3s -s checkpoint.retry=0.2s -- \
		strace -o trace bash gated.sh one
	await out 'at one'
	await err 'debugger'
	kill -USR1 "$pid"
	await_event 'dump failed' 1
	touch one
	ends_with 0
	gated_output one >want
	want_same want out
}

@test "what is fine is not warned about" {
	start -s checkpoint.look_after=0.3s -- python3 -c '
import os, socket, subprocess, tempfile, time
a, b = socket.socketpair()
l = socket.socket(socket.AF_UNIX)
l.bind("/tmp/socket")
l.listen()
t = tempfile.TemporaryFile()
r, w = os.pipe()
p = subprocess.Popen(["sleep", "1000"])
print("at one", flush=True)
while not os.path.exists("one"):
    time.sleep(0.02)
p.kill()
'
	await out 'at one'
	save_one 1
	# The second look has been: the other chain makes the time pass.
	run -0 plainly checkpointer -q -c u -- sleep 0.5
	touch one
	ends_with 0
	want_not err warning
}

# --- private files ---

@test "a file that nobody may read travels" {
	start -- bash -c 'umask 077; mkdir /tmp/d; echo secret >/tmp/d/f
		chmod 000 /tmp/d/f /tmp/d
		bash gated.sh one
		stat -c %a /tmp/d; chmod 700 /tmp/d
		stat -c %a /tmp/d/f; chmod 600 /tmp/d/f; cat /tmp/d/f'
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	{ gated_output one; printf '%s\n' 0 0 secret; } >want
	want_same want out
}

@test "odd files in /tmp travel: names, modes, times, holes, links" {
	cat >odd.sh <<-'X'
		cd /tmp
		echo 1 >'a b'; echo 2 >$'new\nline'; echo 3 >-rf; echo 4 >"$(printf '\377')"
		mkdir -m 1750 dir; echo 5 >dir/.hidden
		truncate -s 1G sparse; echo 6 >>sparse
		ln -s /nonexistent link; ln -- -rf hard; mkfifo -m 640 fifo
		touch -d @1000000000 old; chmod 4711 old
		cd "$OLDPWD"
		bash gated.sh one
		cd /tmp
		sync
		find . -name '*' ! -name . -printf '%P %y %m %s %n %l\n' | LC_ALL=C sort
		stat -c '%Y' old
		[ "$(stat -c %b sparse)" -lt 1000 ] && echo sparse
		tail -c 2 sparse
	X
	touch one
	mkdir empty
	start -c ref -- bash odd.sh
	ends_with 0
	mv out want
	rm one
	start -- bash odd.sh
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	want_same want out
}

@test "many private files travel" {
	start -- bash -c 'mkdir /tmp/d && cd /tmp/d && seq 2000 | xargs touch
		cd "$1" && bash gated.sh one; ls /tmp/d | wc -l' - "$work"
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	[ "$(tail -n 1 out)" = 2000 ]
}
