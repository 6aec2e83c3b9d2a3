#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# carry.bats - what a script has staged on its node goes with the command. That
# another node has nothing of it is played by removing it between two legs.

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# staged: a directory of this test in the host's /tmp
staged() {
	s=/tmp/${work##*/}.staged
	mkdir "$s"
}

# leave_node: a last checkpoint, and then the node is another one
leave_node() {
	kill -TERM "$pid"
	ends_with 75
	chmod -R u+rwX "$@"
	rm -rf "$@"
}

# go_on [OPTION...]: to the end, which is 0
go_on() {
	start_plain checkpointer "$@" restore t
	ends_with 0
}

# both ARG...: `want' is what the command prints without a checkpoint
undisturbed() {
	mkdir -p "$work/plain"
	touch one
	CHECKPOINTER_INSIDE=1 "$@" >want
	rm one
}

@test "a staged file is open, and its neighbours are opened later" {
	staged
	seq 1 6 >"$s/numbers"
	mkdir "$s/more"
	for i in 1 2 3; do echo "file $i" >"$s/more/$i"; done
	cat >work.sh <<-'X'
		exec 7<"$1/numbers"
		read -r a <&7; echo "$a"
		bash gated.sh one
		cat <&7; cat "$1"/more/*
	X
	undisturbed bash work.sh "$s"
	start -- bash work.sh "$s"
	await out 'at one'
	leave_node "$s"
	touch one
	go_on
	want_same want out
	[ ! -e "$s" ]
}

@test "a staged working directory, and what a command line names" {
	staged
	mkdir "$s/cwd" "$s-2"
	echo here >"$s/cwd/x"
	echo named >"$s-2/y"
	echo lonely >"$s-3"
	cat >work.sh <<-'X'
		(cd "$1" && exec bash -c 'until [ -e "$0/one" ]; do sleep 0.05; done
			cat x' "$OLDPWD$PWD") &
		wait
		cat "${2#--in=}/y" "$3"
	X
	sed -i "s,\"\$OLDPWD\$PWD\",'$work'," work.sh
	start -- bash work.sh "$s/cwd" --in="$s-2" "$s-3"
	await err running
	save_one 1
	leave_node "$s" "$s-2" "$s-3"
	touch one
	go_on
	printf '%s\n' here named lonely >want
	want_same want out
}

@test "modes, times, holes, links and odd names of what was staged" {
	staged
	(
		cd "$s"
		echo 1 >'a b'; echo 2 >$'new\nline'; echo 3 >-rf; echo 4 >"$(printf '\377')"
		mkdir -m 1750 dir; echo 5 >dir/.hidden; touch -d @1100000000 dir
		truncate -s 1G sparse; echo 6 >>sparse
		ln -s /nonexistent link; ln -- -rf hard; mkfifo -m 640 fifo
		touch -d @1000000000 old; chmod 4711 old; mkdir -m 000 closed
	)
	cat >list.sh <<-'X'
		exec 7<"$1/old"
		bash gated.sh one
		cd "$1"
		find . ! -name . -printf '%P %y %m %s %n %l\n' | LC_ALL=C sort
		stat -c %Y old dir
		[ "$(stat -c %b sparse)" -lt 1000 ] && echo sparse
		tail -c 2 sparse
	X
	undisturbed bash list.sh "$s"
	start -- bash list.sh "$s"
	await out 'at one'
	leave_node "$s"
	touch one
	go_on
	want_same want out
}

@test "a staged program that runs, and a staged file that is mapped" {
	staged
	cp "$(command -v python3)" "$s/python"
	head -c 1M /dev/urandom >"$s/data"
	cat >map.py <<-'X'
		import hashlib, mmap, os, sys, time
		f = open(sys.argv[1], "rb")
		m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		f.close()
		print("at one", flush=True)
		while not os.path.exists("one"):
		    time.sleep(0.02)
		print(hashlib.sha256(m).hexdigest())
	X
	undisturbed "$s/python" map.py "$s/data"
	start -- "$s/python" map.py "$s/data"
	await out 'at one'
	save_one 1
	save_one 2
	leave_node "$s"
	touch one
	go_on
	want_same want out
}

@test "what was staged and then changed or removed by the command" {
	staged
	for f in kept changed removed; do echo "$f" >"$s/$f"; done
	cat >work.sh <<-'X'
		exec 7<"$1/kept"
		rm "$1/removed"; echo more >>"$1/changed"; echo new >"$1/new"
		bash gated.sh one
		cat "$1/changed" "$1/new" <&7
		cat <&7
		ls "$1"
	X
	start -- bash work.sh "$s"
	await out 'at one'
	save_one 1
	leave_node "$s"
	touch one
	go_on
	printf '%s\n' 'at one' 'past one' end changed more new kept changed kept new >want
	want_same want out
}

@test "what others have staged, and what is not used, stays" {
	staged
	echo used >"$s/used"
	mkdir "$s-unused"
	head -c 3M /dev/urandom >"$s-unused/large"
	start -s files.carry_limit=1M -- bash -c 'exec 7<"$1/used"; bash gated.sh one
		cat <&7; ls "$1-unused"' - "$s"
	await out 'at one'
	leave_node "$s" "$s-unused"
	touch one
	start_plain checkpointer restore t
	ends_with 2
	printf '%s\n' 'at one' 'past one' end used >want
	want_same want out
}

@test "more than carry_limit: refused by name, and the command runs on" {
	staged
	head -c 3M /dev/urandom >"$s/large"
	start -s files.carry_limit=2M -- bash -c 'exec 7<"$1/large"
		bash gated.sh one; wc -c <&7' - "$s"
	await out 'at one'
	kill -USR2 "$pid"
	await err "the largest, $s/large, has 3"
	want err 'carry_limit is 2'
	touch one
	ends_with 0
	[ "$(tail -n 1 out)" = 3145728 ]
}

@test "much is told before it is copied" {
	staged
	head -c 101M /dev/zero | tr '\0' x >"$s/large"
	start -- bash -c 'exec 7<"$1/large"; bash gated.sh one; wc -c <&7' - "$s"
	await out 'at one'
	leave_node "$s"
	want err 'carrying 101 MB in 1 files that other nodes do not see'
	touch one
	go_on
	[ "$(tail -n 1 out)" = 105906176 ]
}

@test "carry = no: only what the command has written goes" {
	staged
	echo staged >"$s/x"
	start -s files.carry=no -- bash -c 'echo own >/tmp/own; bash gated.sh one
		cat /tmp/own; cat "$1/x" 2>&1' - "$s"
	await out 'at one'
	leave_node "$s"
	touch one
	start_plain checkpointer restore t
	ends_with 1
	want out own
	want out 'No such file'
}

# --- TMPDIR ---

# tmpdir DIR: that of the job
tmpdir() {
	mkdir -p "$1"
	export TMPDIR=$1
}

@test "TMPDIR of the job's own: all in it goes, the path stays" {
	tmpdir "$work/scratch/11"
	for i in 1 2 3; do echo "input $i" >"$TMPDIR/$i"; done
	cat >work.sh <<-'X'
		echo mine >"$TMPDIR/mine"; rm "$TMPDIR/3"
		bash gated.sh one
		cat "$TMPDIR"/*; echo "$TMPDIR"
	X
	start -s files.local_paths="$work/scratch" -- bash work.sh
	await out 'at one'
	[ ! -e "$TMPDIR/mine" ]
	leave_node "$TMPDIR"
	unset TMPDIR
	touch one
	go_on
	printf '%s\n' 'at one' 'past one' end 'input 1' 'input 2' mine "$work/scratch/11" >want
	want_same want out
}

# with_closed_scratch: the same user, without any capability, where $work/scratch
# cannot be written to
with_closed_scratch() {
	unshare --user --map-current-user --mount --keep-caps true ||
		skip "no user namespaces here"
	plainly unshare --user --map-current-user --mount --keep-caps bash -c '
		mount --bind scratch scratch
		mount -o remount,bind,ro scratch
		exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' - "$@"
}

@test "TMPDIR in a directory that may not be written to: it appears" {
	tmpdir "$work/scratch/12"
	echo input >"$TMPDIR/1"
	mkdir scratch/neighbour
	echo known >scratch/neighbour/x
	ln -s neighbour scratch/link
	echo 'cd "$TMPDIR"; bash "$1/gated.sh" "$1/one"; cat 1 ../link/x; ls ..
		echo new >2; cat 2; touch ../new' >work.sh
	start -s files.local_paths="$work/scratch" -- bash work.sh "$work"
	await out 'at .*one'
	leave_node "$TMPDIR"
	touch one
	run -1 with_closed_scratch checkpointer restore t
	printf '%s\n' "$output" >>out
	grep -v checkpointer: out >got
	printf '%s\n' "at $work/one" "past $work/one" end input known 12 link neighbour new \
		"touch: cannot touch '../new': Read-only file system" >want
	want_same want got
	[ ! -e scratch/12 ]
}

@test "TMPDIR below /tmp: all in it goes" {
	tmpdir "/tmp/${work##*/}.job"
	echo input >"$TMPDIR/1"
	start -- bash -c 'bash gated.sh one; cat "$TMPDIR/1"'
	await out 'at one'
	leave_node "$TMPDIR"
	touch one
	go_on
	[ "$(tail -n 1 out)" = input ]
}

@test "TMPDIR on a shared file system is left as it is" {
	tmpdir "$work/tmp"
	start -- bash -c 'echo mine >"$TMPDIR/mine"; bash gated.sh one'
	await out 'at one'
	[ "$(<tmp/mine)" = mine ]
	touch one
	ends_with 0
}

# --- the list of private directories ---

@test "a checkpoint knows its private directories, whatever is configured now" {
	mkdir "$work/private"
	echo host >private/x
	start -s capsule.private_dirs="/dev/shm $work/private /tmp" -- bash -c '
		for d in /dev/shm "$1" /tmp; do echo "$d" >"$d/x"; done
		bash gated.sh one; cat /dev/shm/x "$1/x" /tmp/x' - "$work/private"
	await out 'at one'
	kill -TERM "$pid"
	ends_with 75
	touch one
	go_on -s capsule.private_dirs=/tmp
	[ "$(tail -n 3 out)" = "$(printf '%s\n' /dev/shm "$work/private" /tmp)" ]
	[ "$(<private/x)" = host ]
}

# --- what lives in private directories ---

@test "semaphores, shared memory, sockets, FIFOs, memfds, deleted files" {
	cat >many.py <<-'X'
		import ctypes, mmap, os, socket, time
		libc = ctypes.CDLL(None, use_errno=True)
		libc.sem_open.restype = ctypes.c_void_p
		# Its maker has it mapped by a name that is gone at once.
		if os.fork() == 0:
		    libc.sem_open(b"/s", os.O_CREAT, 0o600, 3)
		    os._exit(0)
		os.wait()
		sem = libc.sem_open(b"/s", 0)
		assert sem
		fd = os.open("/dev/shm/m", os.O_RDWR | os.O_CREAT, 0o600)
		os.ftruncate(fd, 8192)
		shm = mmap.mmap(fd, 8192)
		shm[5000:5004] = b"shm!"
		mem = os.memfd_create("x")
		os.write(mem, b"memfd!")
		ghost = os.open("/tmp/ghost", os.O_RDWR | os.O_CREAT)
		os.unlink("/tmp/ghost")
		os.write(ghost, b"ghost!" + bytes(3 << 20) + b"end")
		os.mkfifo("/tmp/fifo")
		fifo = os.open("/tmp/fifo", os.O_RDWR)
		os.write(fifo, b"fifo!")
		server = socket.socket(socket.AF_UNIX)
		server.bind("/tmp/socket")
		server.listen()
		one = socket.socket(socket.AF_UNIX)
		one.connect("/tmp/socket")
		two, _ = server.accept()
		one.send(b"sent before")
		print("at one", flush=True)
		while not os.path.exists("one"):
		    time.sleep(0.02)
		value = ctypes.c_int()
		libc.sem_getvalue(ctypes.c_void_p(sem), ctypes.byref(value))
		again = libc.sem_open(b"/s", 0)
		libc.sem_post(ctypes.c_void_p(again))
		after = ctypes.c_int()
		libc.sem_getvalue(ctypes.c_void_p(sem), ctypes.byref(after))
		print(value.value, after.value, shm[5000:5004], os.pread(mem, 9, 0))
		print(os.pread(ghost, 6, 0), os.pread(ghost, 9, 6 + (3 << 20)))
		print(os.read(fifo, 9), two.recv(20))
		three = socket.socket(socket.AF_UNIX)
		three.connect("/tmp/socket")
		print(server.accept()[0] is not None)
	X
	start -- python3 many.py
	await out 'at one'
	save_one 1
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	cat >want <<-'X'
		at one
		3 4 b'shm!' b'memfd!'
		b'ghost!' b'end'
		b'fifo!' b'sent before'
		True
	X
	want_same want out
}
