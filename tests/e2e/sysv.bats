#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# sysv.bats - System V IPC: memory, semaphores and messages go with the command.
# Run by an ordinary user and by root; CRIU_CAPABLE is as in isolation.bats.

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# leave_at WORD...: a leg ends when out has a line that begins with it; then
# the file past.WORD lets the command go on
leave_at() {
	local word n=1

	for word; do
		await out "^$word\b"
		kill -USR1 "$pid"
		n=$((n + 1))
		await err "leg $n of t: restored"
		touch "past.$word"
	done
}

# shm.py: the calls that Python has not; argv[1] is where it waits
write_shm() {
	cat >shm.py <<-'X'
		import ctypes, os, signal, subprocess, sys, time
		c = ctypes.CDLL(None, use_errno=True)
		c.shmat.restype = ctypes.c_void_p
		c.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
		c.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
		c.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
		PRIVATE, CREATE, RDONLY = 0, 0o1000, 0o10000

		def line(*what):
		    print(*what, flush=True)

		def wait(gate=sys.argv[1]):
		    while not os.path.exists(gate):
		        time.sleep(0.02)

		# of /proc/sysvipc/shm: key, id, ..., bytes that exist, swapped
		def segments():
		    return [l.split() for l in open("/proc/sysvipc/shm")][1:]
	X
}

@test "System V: over three legs nothing is lost, and nobody has noticed" {
	gcc -O2 -pthread -o sysv "$BATS_TEST_DIRNAME/sysv.c"
	# In a namespace of its own, as the keys are taken on this machine once.
	mkdir plain
	touch plain/past.{3,9,15}
	(cd plain && unshare --user --map-root-user --ipc ../sysv 20) >want
	start -- ./sysv 20
	leave_at 3 9 15
	ends_with 0
	want_same out want
}

@test "System V: memory that was never written to takes no room" {
	write_shm
	cat >sparse.py <<-'X'
		from shm import *
		id = c.shmget(PRIVATE, 1 << 30, CREATE | 0o600)
		at = c.shmat(id, None, 0)
		for page in 3, 200000:
		    ctypes.memset(at + page * 4096, page % 251, 4096)
		size = segments()[0][-2]
		line("ready")
		wait()
		line(segments()[0][-2] == size, int(size) < 1 << 24)
		line(*(ctypes.string_at(at + p * 4096, 1)[0]
		       for p in (3, 200000, 4)))
	X
	start -- python3 sparse.py past.ready
	leave_at ready
	ends_with 0
	printf '%s\n' ready 'True True' "3 $((200000 % 251)) 0" >want
	want_same out want
}

@test "System V: what nobody has attached is there, and what was stopped stays so" {
	write_shm
	cat >kept.py <<-'X'
		from shm import *
		key = 0x77
		id = c.shmget(key, 100, CREATE | 0o600)
		ctypes.memset(c.shmat(id, None, 0), 65, 100)
		child = os.fork()
		if child == 0:
		    os.kill(os.getpid(), signal.SIGSTOP)
		    line("child goes on")
		    os._exit(0)
		os.waitpid(child, os.WUNTRACED)
		other = c.shmget(0x78, 10, CREATE | 0o400)
		line("ready")
		wait()
		state = open(f"/proc/{child}/stat").read().rsplit(")")[1].split()[0]
		line(state, c.shmget(key, 0, 0) == id, c.shmget(0x78, 0, 0) == other)
		os.kill(child, signal.SIGCONT)
		os.waitpid(child, 0)
		line(sorted(oct(int(s[2], 8)) for s in segments()))
	X
	start -- python3 kept.py past.ready
	leave_at ready
	ends_with 0
	printf '%s\n' ready 'T True True' 'child goes on' "['0o400', '0o600']" >want
	want_same out want
}

@test "System V: a part of a segment is refused, with a reason" {
	write_shm
	cat >part.py <<-'X'
		from shm import *
		at = c.shmat(c.shmget(PRIVATE, 1 << 16, CREATE | 0o600), None, 0)
		c.munmap(at + 4096, 4096)
		line("ready")
		wait()
	X
	start -- python3 part.py gate
	await out ready
	kill -USR2 "$pid"
	await err 'only a part of a System V shared memory segment left'
	touch gate
	ends_with 0
}

@test "System V: without a capsule memory is refused, with a reason" {
	options=(--isolation=none)
	if [ "$(id -u)" != 0 ]; then
		[ -x "${CRIU_CAPABLE:-}" ] || fail "CRIU_CAPABLE is not set"
		options+=(-s "criu.binary=$CRIU_CAPABLE")
	fi
	write_shm
	cat >none.py <<-'X'
		from shm import *
		id = c.shmget(PRIVATE, 100, CREATE | 0o600)
		c.shmat(id, None, 0)
		c.shmctl(id, 0, None)
		line("ready")
		wait()
	X
	start "${options[@]}" -- python3 none.py gate
	await out ready
	kill -USR2 "$pid"
	await err 'System V shared memory is attached: this needs isolation = user'
	touch gate
	ends_with 0
}
