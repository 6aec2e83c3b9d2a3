#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# signals.bats - what each signal does, and that the others are passed on

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

gated_output() { printf 'at %s\npast %s\n' "$1" "$1"; }

# reporter.py: tells each signal that it gets; ends with status 9 on QUIT
reporter() {
	cat >reporter.py <<-'X'
		import os, signal, sys, time
		skip = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
		mine = {s for s in signal.valid_signals() - skip
		    if signal.getsignal(s) != signal.SIG_IGN}
		# With handlers and pause(), one that comes just before it waits is
		# told with the next one only.
		signal.pthread_sigmask(signal.SIG_BLOCK, mine)
		print("ready", os.getpid(), flush=True)
		while True:
		    sig = signal.sigwait(mine)
		    print("got", signal.Signals(sig).name if sig < 32 else sig - signal.SIGRTMIN,
		        flush=True)
		    if sig == signal.SIGQUIT:
		        sys.exit(9)
	X
}

# --- the three that are ours ---

@test "USR1: a checkpoint, and the next leg" {
	start -- bash gated.sh one two
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	touch one
	await out 'at two'
	kill -USR1 "$pid"
	await_state restored 2
	touch two
	ends_with 0
	want_lines 3 "$journal" '"event":"leg"'
	{ gated_output one; gated_output two; echo end; } >want
	want_same want out
}

@test "USR2: a checkpoint, and the command goes on" {
	local root

	start -- bash gated.sh one two
	await out 'at one'
	root=$(root_of "$pid")
	save_one 1
	[ -s "$store/step-1/0001.json" ]
	touch one
	await out 'at two'
	save_one 2
	[ -s "$store/step-1/0002.json" ]
	[ "$(root_of "$pid")" = "$root" ]
	touch two
	ends_with 0
	want_lines 1 "$journal" '"event":"leg"'
	want_lines 0 "$journal" '"state":"restored"'
	{ gated_output one; gated_output two; echo end; } >want
	want_same want out
}

@test "USR2 again and again keeps the newest two" {
	start -- bash gated.sh one
	await out 'at one'
	for i in 1 2 3 4; do save_one "$i"; done
	[ "$(cd "$store/step-1" && echo ????.json)" = "0003.json 0004.json" ]
	[ "$(cd "$store/step-1" && echo ????.index)" = "0003.index 0004.index" ]
	touch one
	ends_with 0
}

@test "TERM: a checkpoint, status 75, and restore continues" {
	start -- bash gated.sh one two
	await out 'at one'
	kill -TERM "$pid"
	ends_with 75
	want err 'checkpointer restore t'
	nothing_left
	touch one
	start_plain checkpointer restore t
	await out 'at two'
	kill -TERM "$pid"
	ends_with 75
	touch two
	start_plain checkpointer restore t
	ends_with 0
	{ gated_output one; gated_output two; echo end; } >want
	want_same want out
}

@test "TERM, then the same command line continues" {
	start -- bash gated.sh one
	await out 'at one'
	kill -TERM "$pid"
	ends_with 75
	touch one
	start -- bash gated.sh one
	ends_with 0
	{ gated_output one; echo end; } >want
	want_same want out
}

@test "TERM of a command in short legs stops the chain for good" {
	start "${legs_of_time[@]}" -- bash count.sh 60 0.05
	await_state restored
	kill -TERM "$pid"
	ends_with 75
	want_lines 1 "$journal" '"state":"stopped","on":"no successor wanted"'
	start_plain checkpointer "${legs_of_time[@]}" restore t
	ends_with 0
	bash count.sh 60 0 >want
	want_same want out
}

@test "a second TERM ends the command" {
	slow_criu
	start -s "criu.binary=$work/slow-criu" -- bash gated.sh one
	await out 'at one'
	kill -TERM "$pid"
	reached at
	kill -TERM "$pid"
	ends_with 143
	want_lines 0 out end
	nothing_left
}

@test "a second TERM: the command may do as it likes" {
	slow_criu
	start -s "criu.binary=$work/slow-criu" -- bash -c '
		trap "echo bye; exit 6" TERM; echo ready
		while :; do sleep 0.02; done'
	await out ready
	kill -TERM "$pid"
	reached at
	kill -TERM "$pid"
	ends_with 6
	[ "$(tail -n 1 out)" = bye ]
	nothing_left
}

@test "signals that come while a dump is under way are not lost" {
	slow_criu
	start -s "criu.binary=$work/slow-criu" -- bash gated.sh one two
	await out 'at one'
	kill -USR2 "$pid"
	reached at
	kill -USR1 "$pid"
	kill -USR2 "$pid"
	release go
	# The second dump is that of USR1, the leave.
	reached at
	release go
	# The third criu restores.
	reached at
	release go
	await_state restored
	touch one two
	ends_with 0
	want_lines 2 "$journal" '"on":"dumped"'
	want_lines 2 "$journal" '"event":"leg"'
	{ gated_output one; gated_output two; echo end; } >want
	want_same want out
}

@test "USR1 during a restore leaves again after it" {
	slow_criu
	start -s "criu.binary=$work/slow-criu" -- bash gated.sh one
	await out 'at one'
	kill -USR1 "$pid"
	reached at
	release go
	reached at
	kill -USR1 "$pid"
	release go
	reached at
	release go
	reached at
	release go
	await_state restored 2
	touch one
	ends_with 0
	want_lines 3 "$journal" '"event":"leg"'
	{ gated_output one; echo end; } >want
	want_same want out
}

@test "INI and --set name other signals" {
	printf '[signals]\ncheckpoint = WINCH 34\nsave = ALRM\n' \
		>"$XDG_CONFIG_HOME/checkpointer.ini"
	reporter
	start -s signals.terminate=PWR -- python3 reporter.py
	await out ready
	kill -ALRM "$pid"
	await_event dumped
	await err "checkpoint 1 of t:"
	# Now the command's own:
	kill -USR1 "$pid"
	await out 'got SIGUSR1'
	kill -USR2 "$pid"
	await out 'got SIGUSR2'
	kill -TERM "$pid"
	await out 'got SIGTERM'
	kill -WINCH "$pid"
	await_state restored
	kill -34 "$pid"
	await_state restored 2
	kill -PWR "$pid"
	ends_with 75
	want_lines 0 out 'got SIGALRM'
	want_lines 0 out 'got SIGWINCH'
}

@test "no signal at all for us" {
	reporter
	start -s signals.checkpoint=none -s signals.save=none \
		-s signals.terminate=none -- python3 reporter.py
	await out ready
	for s in USR1 USR2 TERM; do
		kill "-$s" "$pid"
		await out "got SIG$s"
	done
	kill -QUIT "$pid"
	ends_with 9
	want_lines 0 "$journal" dumping
}

# --- the others ---

@test "INT and HUP are passed on" {
	reporter
	start -- python3 reporter.py
	await out ready
	kill -INT "$pid"
	await out 'got SIGINT'
	kill -HUP "$pid"
	await out 'got SIGHUP'
	kill -QUIT "$pid"
	ends_with 9
}

# Not a shell that waits for a child: if the child ends in that moment, and not of
# the signal, the shell goes on.
@test "INT ends a command that does not care" {
	start -- sh -c 'echo at one; exec sleep 60'
	await out 'at one'
	kill -INT "$pid"
	ends_with 130
	nothing_left
}

@test "INT reaches the children, too" {
	reporter
	start -- bash -c 'trap : INT HUP QUIT; python3 reporter.py; exit "$?"'
	await out ready
	kill -INT "$pid"
	await out 'got SIGINT'
	kill -HUP "$pid"
	await out 'got SIGHUP'
	kill -QUIT "$pid"
	ends_with 9
}

@test "other signals are passed on, also after a restore" {
	reporter
	start -- python3 reporter.py
	await out ready
	for leg in 1 2; do
		for s in ALRM WINCH VTALRM PROF PWR URG; do
			kill "-$s" "$pid"
			await out "got SIG$s\$" "$leg"
		done
		for s in 0 1 30; do
			kill "-$(($(kill -l RTMIN) + s))" "$pid"
			await out "got $s\$" "$leg"
		done
		[ "$leg" = 2 ] || kill -USR1 "$pid"
		[ "$leg" = 2 ] || await_state restored
	done
	kill -QUIT "$pid"
	ends_with 9
}

@test "every single signal of a queue arrives in its turn" {
	cat >queue.py <<-'X'
		import signal, os
		n = 0
		signals = {signal.SIGALRM, signal.SIGPROF, signal.SIGVTALRM}
		signal.pthread_sigmask(signal.SIG_BLOCK, signals)
		print("ready", flush=True)
		got = set()
		while got != signals:
		    got.add(signal.sigwait(signals))
		print("all", flush=True)
	X
	start -- python3 queue.py
	await out ready
	kill -ALRM "$pid"
	kill -PROF "$pid"
	kill -VTALRM "$pid"
	ends_with 0
	want out all
}

@test "a pending, blocked signal travels" {
	cat >pending.py <<-'X'
		import os, signal, time
		s = {signal.SIGALRM}
		signal.pthread_sigmask(signal.SIG_BLOCK, s)
		os.kill(os.getpid(), signal.SIGALRM)
		print("ready", flush=True)
		while not os.path.exists("one"):
		    time.sleep(0.02)
		print(sorted(signal.sigpending()) == [signal.SIGALRM])
		print(signal.sigwait(s) == signal.SIGALRM)
	X
	start -- python3 pending.py
	await out ready
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	printf 'ready\nTrue\nTrue\n' >want
	want_same want out
}

# It goes off while the tree is dumped: see timers.h.
@test "a timer that ticks goes on ticking" {
	cat >tick.py <<-'X'
		import os, signal, time
		n = 0
		def tick(*a):
		    global n
		    n += 1
		signal.signal(signal.SIGALRM, tick)
		signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
		print("ready", flush=True)
		while not os.path.exists("one"):
		    time.sleep(0.01)
		was = n
		while n < was + 20:
		    signal.pause()
		signal.setitimer(signal.ITIMER_REAL, 0)
		print("ticks")
	X
	start -- python3 tick.py
	await out ready
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	printf 'ready\nticks\n' >want
	want_same want out
}

@test "an alarm goes off in the next leg" {
	cat >alarm.py <<-'X'
		import signal, time
		signal.signal(signal.SIGALRM, lambda *a: print("alarm", flush=True))
		signal.setitimer(signal.ITIMER_REAL, 1)
		print("ready", flush=True)
		signal.pause()
		print("end")
	X
	start -- python3 alarm.py
	await out ready
	kill -USR1 "$pid"
	ends_with 0
	want "$journal" '"state":"restored"'
	printf 'ready\nalarm\nend\n' >want
	want_same want out
}

@test "nohup keeps HUP ignored" {
	reporter
	start_plain nohup checkpointer -c t -- python3 reporter.py
	await out ready
	for leg in 1 2; do
		kill -HUP "$pid"
		kill -ALRM "$pid"
		await out 'got SIGALRM' "$leg"
		grep -q '^SigIgn:.*1$' "/proc/$(root_of "$pid")/status"
		[ "$leg" = 2 ] || kill -USR1 "$pid"
		[ "$leg" = 2 ] || await_state restored
	done
	kill -QUIT "$pid"
	ends_with 9
	want_lines 0 out 'got SIGHUP'
}

@test "TSTP stops all of the command, CONT lets all of it go on" {
	local tree p

	state_of() { sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status"; }
	all_are() { # all_are STATES PID...
		local want=$1 p

		shift
		for p; do
			timeout 10 bash -c "until [[ \$(sed -n 's/^State:.//p' \
				/proc/$p/status) == [$want]* ]]; do :; done" ||
				fail "$p is $(state_of "$p"), not $want"
		done
	}
	start -- bash -c 'python3 -c "
import time
print(\"ready\", flush=True)
while True: time.sleep(1000)" | cat'
	await out ready
	tree=$(root_of "$pid")
	# shellcheck disable=SC2046
	tree="$tree $(pgrep -P "$tree")"
	[ "$(wc -w <<<"$tree")" = 3 ]
	kill -TSTP "$pid"
	# shellcheck disable=SC2086
	all_are T "$pid" $tree
	kill -CONT "$pid"
	# shellcheck disable=SC2086
	all_are SR "$pid" $tree
	kill -KILL "$pid"
	ends_with 137
	nothing_left
}

@test "Ctrl-C and Ctrl-\\ on a terminal reach the command" {
	reporter
	cat >typist.py <<-'X'
		import os, pty, sys
		pid, tty = pty.fork()
		if pid == 0:
		    os.execvp("checkpointer", ["checkpointer", "-q", "-c", "t", "--",
		        "python3", "reporter.py"])
		seen = b""
		def until(text):
		    global seen
		    while text not in seen:
		        seen += os.read(tty, 1024)
		until(b"ready")
		os.write(tty, b"\x03")
		until(b"got SIGINT")
		os.write(tty, b"\x1c")
		until(b"got SIGQUIT")
		print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	X
	run -0 plainly timeout 30 python3 typist.py
	[ "$output" = 9 ]
}
