#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# legs.bats - promise 1: what a chopped computation writes is byte for byte
# what an uninterrupted one writes

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# --- standard output and error ---

@test "output goes on: a file" {
	bash count.sh 40 0 >want
	in_legs bash count.sh 40 0.05 >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "output goes on: a file that is appended to" {
	echo before | tee want >out
	bash count.sh 40 0 >>want
	in_legs bash count.sh 40 0.05 >>out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "output goes on: a pipe into tee" {
	bash count.sh 40 0 >want
	in_legs bash count.sh 40 0.05 2>err | tee out >copy
	want_legs 3
	want_same want out
	want_same want copy
	want_empty err
}

@test "output goes on: a pipe made by process substitution" {
	bash count.sh 40 0 >want
	mkfifo over
	in_legs bash count.sh 40 0.05 > >(cat >out; echo >over) 2>err
	reached over
	want_legs 3
	want_same want out
	want_empty err
}

@test "output goes on: a FIFO with a name" {
	bash count.sh 40 0 >want
	mkfifo pipe
	cat pipe >out &
	in_legs bash count.sh 40 0.05 >pipe 2>err
	wait "$!"
	want_legs 3
	want_same want out
	want_empty err
}

@test "output to /dev/null, and a file of its own" {
	bash count.sh 40 0 >want
	in_legs bash -c 'echo lost; exec bash count.sh 40 0.05 >out' \
		>/dev/null 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "output goes on: a terminal" {
	script -qec 'bash count.sh 40 0' /dev/null </dev/null >want
	script -qec "exec 3>&-; checkpointer -q -c t ${legs_of_time[*]} \
		-- bash count.sh 40 0.05" /dev/null </dev/null >out
	want_legs 3
	want_same want out
}

@test "no standard output at all" {
	bash count.sh 40 0 >want
	in_legs bash -c 'bash count.sh 40 0.05 >out' >&- 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "output without pauses, from a program that never sleeps" {
	local loop='for ((i = 0; ; i++)); do
		echo "$i $((i * i % 97))"
		((i % 500 || SECONDS < 6)) || break
	done'
	in_legs bash -c "$loop" >out 2>err
	want_legs 3
	want_empty err
	awk '$1 != NR - 1 || $2 != $1 * $1 % 97 {
		print "line " NR ": " $0; exit 1 }' out
}

@test "standard output and error go on separately" {
	cat >both.sh <<-'X'
		for ((i = 0; i < 40; i++)); do
			echo "out $i"
			echo "err $i" >&2
			sleep "$1"
		done
	X
	bash both.sh 0 >want.out 2>want.err
	in_legs bash both.sh 0.05 >out 2>err
	want_legs 3
	want_same want.out out
	want_same want.err err
}

@test "2>&1 keeps its order: a file" {
	cat >both.sh <<-'X'
		for ((i = 0; i < 40; i++)); do
			echo "out $i"
			echo "err $i" >&2
			sleep "$1"
		done
	X
	bash both.sh 0 >want 2>&1
	in_legs bash both.sh 0.05 >out 2>&1
	want_legs 3
	want_same want out
}

@test "2>&1 keeps its order: a pipe" {
	cat >both.sh <<-'X'
		for ((i = 0; i < 40; i++)); do
			echo "out $i"
			echo "err $i" >&2
			sleep "$1"
		done
	X
	bash both.sh 0 >want 2>&1
	in_legs bash both.sh 0.05 2>&1 | cat >out
	want_legs 3
	want_same want out
}

@test "files that were open before the start go on, read and written" {
	seq 100 >numbers
	cat >side.sh <<-'X'
		for ((i = 0; i < 40; i++)); do
			read -r n <&6
			echo "$n" >&7
			echo "more $n" >&8
			sleep "$1"
		done
	X
	printf 'old\n' | tee want.8 >out.8
	bash side.sh 0 6<numbers 7>want.7 8>>want.8
	(
		exec 6<numbers 7>out.7 8>>out.8 3>&- 4>&- 5>&-
		exec checkpointer -q -c t "${legs_of_time[@]}" -- bash side.sh 0.05
	) >out 2>err
	want_legs 3
	want_same want.7 out.7
	want_same want.8 out.8
	want_empty err
}

# --- standard input ---

cat_slowly='while read -r line; do echo "got $line"; sleep "$0"; done'

@test "input goes on: a file that is read bit by bit" {
	seq 1000 1039 >numbers
	bash -c "$cat_slowly" 0 <numbers >want
	in_legs bash -c "$cat_slowly" 0.05 <numbers >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "input goes on: a buffered reader" {
	seq 100000 >numbers
	cat >slow.py <<-'X'
		import sys, time
		n = 0
		for line in sys.stdin:
		    n += int(line)
		    if n % 2500 == 0:
		        print(n, flush=True)
		        time.sleep(float(sys.argv[1]))
		print(n)
	X
	python3 slow.py 0 <numbers >want
	in_legs python3 slow.py 0.05 <numbers >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "input goes on: a pipe" {
	seq 1000 1039 >numbers
	bash -c "$cat_slowly" 0 <numbers >want
	in_legs bash -c "$cat_slowly" 0.05 < <(cat numbers) >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "input from /dev/null ends at once, in every leg" {
	cat >null.sh <<-'X'
		for ((i = 0; i < 40; i++)); do
			read -r line || echo "$i nothing"
			sleep "$1"
		done
	X
	bash null.sh 0 </dev/null >want
	in_legs bash null.sh 0.05 </dev/null >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

# --- programs ---

@test "R with tempfile()" {
	cat >walk.R <<-'X'
		set.seed(1)
		pause <- as.numeric(commandArgs(TRUE)[1])
		f <- tempfile()
		x <- 0
		for (i in 1:40) {
			x <- x + sum(rnorm(1000))
			cat(i, format(x, digits = 15), "\n", file = f, append = TRUE)
			cat("step", i, "\n")
			Sys.sleep(pause)
		}
		cat(readLines(f), sep = "\n")
		cat(file.exists(tempdir()), unlink(f), "\n")
	X
	Rscript walk.R 0 >want
	in_legs Rscript walk.R 0.05 >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "Python with threads" {
	cat >threads.py <<-'X'
		import sys, threading, time
		pause = float(sys.argv[1])
		sums = [0] * 4
		def work(k):
		    for i in range(40):
		        sums[k] = (sums[k] * 31 + i * (k + 1)) % 1000003
		        time.sleep(pause)
		threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
		for t in threads: t.start()
		for t in threads: t.join()
		print(sums)
	X
	python3 threads.py 0 >want
	in_legs python3 threads.py 0.05 >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "several processes: a pipeline inside the command" {
	cat >pipeline.sh <<-'X'
		bash count.sh 40 "$1" |
			while read -r line; do echo "<$line>"; done |
			tee copy | tr 0-9 a-j
	X
	bash pipeline.sh 0 >want
	mv copy want.copy
	in_legs bash pipeline.sh 0.05 >out 2>err
	want_legs 3
	want_same want out
	want_same want.copy copy
	want_empty err
}

@test "several processes: a background process, and one that lost its parent" {
	cat >orphan.sh <<-'X'
		(bash -c 'bash count.sh 40 "$0" >orphan.new; mv orphan.new orphan' "$1" &)
		bash count.sh 30 "$1" >child &
		wait
		until [ -e orphan ]; do sleep 0.02; done
		cat child orphan
	X
	bash orphan.sh 0 >want
	rm orphan child
	in_legs bash orphan.sh 0.05 >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "several processes: one in a session of its own" {
	cat >session.sh <<-'X'
		setsid bash count.sh 40 "$1" >other &
		bash count.sh 30 "$1"
		wait
		cat other
	X
	bash session.sh 0 >want
	in_legs bash session.sh 0.05 >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "a process that was stopped stays stopped, the others go on" {
	cat >stopped.py <<-'X'
		import os, signal, subprocess, time
		child = subprocess.Popen(["sleep", "1000"])
		os.kill(child.pid, signal.SIGSTOP)
		os.waitpid(child.pid, os.WUNTRACED)
		def state():
		    with open(f"/proc/{child.pid}/stat") as f:
		        return f.read().rsplit(")", 1)[1].split()[0]
		for i in range(40):
		    print(i, flush=True)
		    time.sleep(0.05)
		# While criu lets go of the processes, one after the other, "t".
		while state() != "T":
		    time.sleep(0.05)
		child.kill()
		print(child.wait())
	X
	{ seq 0 39; echo -9; } >want
	in_legs python3 stopped.py >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

# --- what a process knows of itself ---

@test "process numbers, session and directory stay the same" {
	mkdir sub
	cat >who.py <<-'X'
		import os, time
		for i in range(40):
		    print(os.getpid(), os.getsid(0), os.getpgid(0), os.getuid(),
		        os.getgid(), os.getcwd(), flush=True)
		    time.sleep(0.05)
	X
	(cd sub && in_legs python3 ../who.py) >out 2>err
	want_legs 3
	[ "$(wc -l <out)" = 40 ]
	[ "$(sort -u out | wc -l)" = 1 ]
	[ "$(tail -n 1 out | cut -d' ' -f4-)" = "$(id -u) $(id -g) $work/sub" ]
	want_empty err
}

@test "the parent stays the same" {
	cat >parent.py <<-'X'
		import os, time
		end = time.monotonic() + 5
		while time.monotonic() < end:
		    if os.getppid() != 1:
		        print(os.getppid())
		        time.sleep(0.05)
		print("fine")
	X
	in_legs python3 parent.py >out 2>err
	want_legs 3
	[ "$(<out)" = fine ]
	want_empty err
}

@test "a command that wants to end with its parent lives on" {
	bash count.sh 40 0 >want
	in_legs setpriv --pdeathsig KILL bash count.sh 40 0.05 >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "new processes get numbers that nobody has" {
	cat >fork.py <<-'X'
		import os, subprocess, time
		keep = [subprocess.Popen(["sleep", "1000"]) for i in range(10)]
		seen = {p.pid for p in keep} | {os.getpid()}
		for i in range(40):
		    p = subprocess.Popen(["true"])
		    assert p.pid not in seen, p.pid
		    assert p.wait() == 0
		    time.sleep(0.05)
		for p in keep:
		    p.kill()
		    assert p.wait() == -9
		print("fine")
	X
	in_legs python3 fork.py >out 2>err
	want_legs 3
	[ "$(<out)" = fine ]
	want_empty err
}

@test "[environment] reaches the command, and the rest is left alone" {
	printf '[environment]\nFROM_FILE = one two\nBOTH = file\n' \
		>"$XDG_CONFIG_HOME/checkpointer.ini"
	export MINE='a  b'
	in_legs bash -c 'for ((i = 0; i < 40; i++)); do sleep 0.05; done
		echo "$FROM_FILE|$BOTH|$MINE"' >out 2>err
	want_legs 3
	[ "$(<out)" = "one two|file|a  b" ]
	plainly checkpointer -q -s environment.BOTH=option -- \
		bash -c 'echo "$FROM_FILE|$BOTH"' >out 2>err
	[ "$(<out)" = "one two|option" ]
}

@test "the command keeps its supplementary groups" {
	# As the host sees them; inside, those that are not mapped are all 65534.
	groups_of() { sed -n 's/^Groups://p' "/proc/$1/status" | xargs -n 1 | sort -n; }
	[ "$(groups_of "$$" | wc -l)" -ge 2 ] || skip "the user has one group only"
	start -- bash gated.sh one two
	await out 'at one'
	[ "$(groups_of "$(root_of "$pid")")" = "$(groups_of "$$")" ]
	kill -USR1 "$pid"
	await_state restored
	touch one
	await out 'at two'
	[ "$(groups_of "$(root_of "$pid")")" = "$(groups_of "$$")" ]
	touch two
	ends_with 0
}

@test "the command has no capability and cannot get one" {
	start -- bash gated.sh one two
	await out 'at one'
	caps() { grep -E '^Cap(Inh|Prm|Eff|Amb)' "/proc/$(root_of "$pid")/status"; }
	[ "$(caps | awk '$2 !~ /^0+$/')" = "" ]
	kill -USR1 "$pid"
	await_state restored
	touch one
	await out 'at two'
	[ "$(caps | awk '$2 !~ /^0+$/')" = "" ]
	touch two
	ends_with 0
}

@test "umask, limits and ignored signals are those of the start" {
	cat >self.sh <<-'X'
		for ((i = 0; i < 40; i++)); do
			echo "$(umask) $(ulimit -n) $(ulimit -c) $(grep SigIgn /proc/self/status)"
			sleep "$1"
		done
	X
	(
		umask 027
		ulimit -n 512
		ulimit -S -c 100
		trap '' PIPE
		bash self.sh 0 >want
		exec 3>&-
		exec checkpointer -q -c t "${legs_of_time[@]}" -- bash self.sh 0.05
	) >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

# --- private files ---

@test "a file in /tmp travels, and the host does not see it" {
	local name=/tmp/${work##*/}.private

	cat >tmp.sh <<-'X'
		for ((i = 0; i < 40; i++)); do
			echo "line $i" >>"$1"
			sleep 0.05
		done
		echo end >>"$1"
		cat "$1"
	X
	start "${legs_of_time[@]}" -- bash tmp.sh "$name"
	await_state restored 2
	[ ! -e "$name" ]
	ends_with 0
	[ ! -e "$name" ]
	for ((i = 0; i < 40; i++)); do echo "line $i"; done >want
	echo end >>want
	want_same want out
}

@test "an open file in /tmp, a deleted one, and a directory travel" {
	cat >open.py <<-'X'
		import os, tempfile, time
		d = tempfile.mkdtemp()
		os.chdir(d)
		named = open(os.path.join(d, "named"), "w+")
		unnamed = tempfile.TemporaryFile("w+")
		os.symlink("named", "link")
		os.link("named", "hard")
		for i in range(40):
		    print(i, file=named, flush=True)
		    print(-i, file=unnamed, flush=True)
		    time.sleep(0.05)
		for f in named, unnamed:
		    f.seek(0)
		    print(f.read().split())
		print(os.getcwd() == d, os.readlink("link"), os.stat("hard").st_nlink,
		    os.path.samefile("hard", "named"), sorted(os.listdir(".")))
	X
	python3 open.py >want
	in_legs python3 open.py >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "a file of the host in /tmp is seen, and is not changed" {
	local name=/tmp/${work##*/}.staged

	echo staged >"$name"
	start -- bash -c 'cat "$1"; echo changed >>"$1"; cat "$1"
		bash gated.sh one; cat "$1"' - "$name"
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	[ "$(<"$name")" = staged ]
	printf '%s\n' staged staged changed 'at one' 'past one' end \
		staged changed >want
	want_same want out
}

@test "a file of the host that was deleted in /tmp stays deleted" {
	local name=/tmp/${work##*/}.staged

	echo staged >"$name"
	start -- bash -c 'rm "$1"; bash gated.sh one; ls "$1" 2>&1' - "$name"
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 2
	[ "$(<"$name")" = staged ]
	want out 'No such file'
}

@test "files in /var/tmp and /dev/shm travel" {
	local name=${work##*/}

	start -- bash -c 'for d in /var/tmp /dev/shm; do echo $d >"$d/$1"; done
		exec 7<>"/dev/shm/$1"; read -r a <&7
		bash gated.sh one
		cat "/var/tmp/$1" "/dev/shm/$1"; echo more >&7; cat "/dev/shm/$1"' - "$name"
	await out 'at one'
	[ ! -e "/var/tmp/$name" ]
	[ ! -e "/dev/shm/$name" ]
	kill -USR1 "$pid"
	await_state restored
	[ ! -e "/var/tmp/$name" ]
	[ ! -e "/dev/shm/$name" ]
	touch one
	ends_with 0
	printf '%s\n' 'at one' 'past one' end /var/tmp /dev/shm /dev/shm more >want
	want_same want out
}

@test "shared memory between processes travels" {
	cat >shm.py <<-'X'
		import mmap, os, time
		fd = os.open("/dev/shm/x", os.O_RDWR | os.O_CREAT)
		os.ftruncate(fd, 4096)
		file, anon = mmap.mmap(fd, 4096), mmap.mmap(-1, 4096)
		if os.fork() == 0:
		    for i in range(40):
		        file[i] = anon[i] = i
		        time.sleep(0.05)
		    os._exit(0)
		os.wait()
		print(sum(file[:40]), sum(anon[:40]))
	X
	in_legs python3 shm.py >out 2>err
	want_legs 3
	[ "$(<out)" = "780 780" ]
	want_empty err
}

@test "nothing is left of private files, processes and generations" {
	private() { find /var/tmp /tmp /dev/shm -user "$(id -u)" ! -path '*bats*' | sort; }
	private >before
	in_legs bash -c 'echo x >/tmp/x; exec bash count.sh 40 0.05' >out 2>err
	want_legs 3
	nothing_left
	private | diff before - | grep -v "/checkpointer-$(id -u)\$" >after || true
	run ! grep '^[<>]' after
	run -0 find "$store/step-1" -mindepth 1
	[ "$output" = "" ]
}
