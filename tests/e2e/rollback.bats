#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# rollback.bats - promises 1 and 4: after a crash, files are what they were at
# the checkpoint, so that what the command writes again stands there once

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# Each workload waits at gates: files that the test makes. A checkpoint is made
# at gate two; what is written between gates two and three is written again
# after a restore, and must not stand there twice.

# python NAME: a workload in Python, with gates
python() {
	{
		cat <<-'X'
			import os, sys, time
			def gate(name):
			    print("at", name, flush=True)
			    while not os.path.exists(name):
			        time.sleep(0.02)
		X
		cat
	} >"$1"
}

# begin [OPTION...] -- COMMAND...: with a checkpoint at gate two, killed at three
begin() {
	start "$@"
	touch one
	await out 'at two'
	save_one 1
	touch two
	await out 'at three'
	crash
}

crash() {
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	: >out
}

# again: restore, and run to gate three
again() {
	start_plain checkpointer restore t
	await out 'at three'
}

# to_the_end: restore, and run to the end
to_the_end() {
	touch three
	start_plain checkpointer restore t
	ends_with 0
}

# uninterrupted COMMAND...: what it leaves without a checkpoint; in ./plain
uninterrupted() {
	mkdir plain
	touch plain/one plain/two plain/three
	(cd plain && "$@" >/dev/null)
}

kept() { (cd "$store/step-1" && ls) | grep -E '\.(tail|file)-' || true; }

# --- files that grow ---

@test "a log that two processes append to: every line is there once" {
	cat >two.sh <<-'X'
		write() {
			exec 5>>log
			for g in one two three; do
				echo "$1 before $g" >&5
				echo >"$1.$g"
				until [ -s "a.$g" ] && [ -s "b.$g" ]; do sleep 0.05; done
				[ "$1" = b ] || echo "at $g"
				until [ -e "$g" ]; do sleep 0.05; done
			done
			echo "$1 at the end" >&5
		}
		write b &
		write a
		wait
	X
	uninterrupted bash "$work/two.sh"
	begin -- bash two.sh
	want_lines 1 log 'a before three'
	touch three
	start_plain checkpointer restore t
	ends_with 0
	want err "/log: 30 bytes written after the checkpoint are cut off"
	sort log >have
	sort plain/log >want
	want_same want have
}

@test "with --interval: the log of an uninterrupted run" {
	cat >lines.sh <<-'X'
		exec 5>>log
		for ((i = 1; i <= 40; i++)); do
			echo "line $i" >&5
			[ $((i % 10)) != 0 ] || echo "at $i"
			sleep 0.05
		done
	X
	start -i 0.3s -- bash lines.sh
	await err 'checkpoint 2 of t:'
	crash
	start_plain checkpointer restore t
	ends_with 0
	for ((i = 1; i <= 40; i++)); do echo "line $i"; done >want
	want_same want log
}

# noisy.py: what it writes behind a gate differs from run to run
noisy() {
	python noisy.py <<-'X'
		import random
		def noise():
		    return "x" * random.randrange(1, 9) + repr(time.time())
		f = open("data", "w")
		g = open("log", "a")
		for name in "one", "two", "three":
		    f.write(name * 1000); f.flush()
		    g.write("before " + name + "\n"); g.flush()
		    gate(name)
		    if name == "two" and not os.path.exists("three"):
		        f.write(noise()); f.flush()
		        g.write(noise() + "\n"); g.flush()
		f.write("end\n")
		g.write("end\n")
	X
	uninterrupted python3 ../noisy.py
}

@test "restored twice from the same checkpoint: the same files, all tails kept" {
	local f

	noisy
	begin -- python3 noisy.py
	start_plain checkpointer restore t
	await out 'at three'
	crash
	start_plain checkpointer restore t
	await out 'at three'
	[ "$(kept | wc -l)" = 4 ]
	[ "$(kept | grep -c '\.2$')" = 2 ]
	for f in $(kept | grep -v '\.2$'); do
		! cmp -s "$store/step-1/$f" "$store/step-1/$f.2" || fail "$f twice"
	done
	crash
	to_the_end
	want_same plain/data data
	want_same plain/log log
}

@test "no room for what is cut off: nothing is lost, and it says so" {
	noisy
	begin -- python3 noisy.py
	head -c 3000000 /dev/zero | tr '\0' x >>log
	cp log before
	mkdir disk
	unshare --user --map-current-user --mount --keep-caps true ||
		skip "no user namespaces here"
	plainly unshare --user --map-current-user --mount --keep-caps bash -c '
		mount -t tmpfs -o size=6M,mode=700 tmpfs disk
		cp -a "$0" disk/
		head -c 100000000 /dev/zero >disk/full 2>/dev/null || :
		truncate -s -1000000 disk/full
		s=0
		setpriv --ambient-caps=-all --inh-caps=-all checkpointer \
			-d "$PWD/disk" restore t >>out 2>>err || s=$?
		ls disk/t/step-1 >left
		exit "$s"' "$store" || status=$?
	[ "$status" = 69 ] || fail "status $status"
	want err 'No space left on device'
	want err '/log'
	want_same before log
	! grep -E '\.(tail|file)-' left || fail "a part is left"
	# With room, it goes on.
	to_the_end
	want_same plain/data data
	want_same plain/log log
}

@test "a file that got its name after the checkpoint has the old one again" {
	python rename.py <<-'X'
		f = open("result.new", "w")
		f.write("begun\n"); f.flush()
		gate("one")
		gate("two")
		f.write("done\n"); f.close()
		os.rename("result.new", "result")
		gate("three")
	X
	uninterrupted python3 ../rename.py
	begin -- python3 rename.py
	again
	want err '/result is /'
	touch three
	ends_with 0
	want_same plain/result result
	[ ! -e result.new ]
}

# --- files that are written in place ---

@test "a file that is rewritten in place is put back" {
	python inplace.py <<-'X'
		f = open("state", "w+")
		f.write("0" * 100000)
		for name in "one", "two", "three":
		    f.seek(0)
		    n = int(f.read(10))
		    f.seek(0)
		    f.write("%010d" % (n * 7 + 3)); f.flush()
		    gate(name)
	X
	uninterrupted python3 ../inplace.py
	begin -- python3 inplace.py
	cp state before
	again
	want err '/state, which was overwritten'
	want_same before "$store/step-1/$(kept)"
	touch three
	ends_with 0
	want_same plain/state state
}

@test "a file that is mapped, and not open any more, is put back" {
	python mapped.py <<-'X'
		import mmap
		with open("state", "w+b") as f:
		    f.write(bytes(20000)); f.flush()
		    m = mmap.mmap(f.fileno(), 20000)
		for name in "one", "two", "three":
		    for i in range(0, 20000, 1000):
		        m[i] = (m[i] * 3 + i // 1000 + 1) % 256
		    gate(name)
		m.flush()
	X
	uninterrupted python3 ../mapped.py
	begin -- python3 mapped.py
	to_the_end
	want_same plain/state state
}

@test "an unchanged file takes no room in the second checkpoint" {
	local first second

	python still.py <<-'X'
		f = open("state", "w+b")
		f.write(os.urandom(8 << 20)); f.flush()
		gate("one")
	X
	start -- python3 still.py
	await out 'at one'
	save_one 1
	save_one 2
	first=$(stat -c %s "$store/step-1/0001.pack")
	second=$(stat -c %s "$store/step-1/0002.pack")
	[ "$first" -gt $((8 << 20)) ]
	[ "$second" -lt $((4 << 20)) ]
	touch one
	ends_with 0
}

@test "snapshot_limit: a larger file is not put back, which is said" {
	python inplace.py <<-'X'
		f = open("state", "w+")
		f.write("0" * 100000)
		for name in "one", "two", "three":
		    f.seek(0)
		    f.write(name); f.flush()
		    gate(name)
	X
	begin -s files.snapshot_limit=64K -- python3 inplace.py
	to_the_end
	want err '/state was overwritten'
	want err 'stays so'
	[ -z "$(kept)" ]
}

# --- databases ---

# database.py MODE: transactions; the checkpoint and the crash are in the midst
# of one if the second argument says so
database() {
	python database.py <<-'X'
		import sqlite3
		mode, inside = sys.argv[1], sys.argv[2]
		db = sqlite3.connect("base", isolation_level=None)
		db.execute("pragma journal_mode=" + mode)
		db.execute("pragma cache_size=4")
		db.execute("pragma wal_autocheckpoint=8")
		db.execute("create table t (n integer, v integer, pad text)")
		def work(name):
		    db.execute("begin immediate")
		    for i in range(300):
		        (n,) = db.execute("select count(*) from t").fetchone()
		        db.execute("insert into t values (?, ?, ?)",
		                   (n, (n * 31 + len(name)) % 1009, "x" * 200))
		        db.execute("update t set v = v + 1 where n % 7 = ?", (n % 7,))
		        if i == 150 and name in inside.split(","):
		            gate(name)
		    db.execute("commit")
		    if name not in inside.split(","):
		        gate(name)
		for name in "one", "two", "three", "four":
		    work(name)
		db.execute("drop table if exists gone")
		db.close()
	X
	cat >look.py <<-'X'
		import sqlite3, sys
		db = sqlite3.connect(sys.argv[1])
		print(db.execute("pragma integrity_check").fetchone()[0])
		for row in db.execute("select n, v, pad from t order by rowid"):
		    print(*row)
	X
}

# database_test MODE INSIDE
database_test() {
	database
	touch four
	mkdir plain
	touch plain/one plain/two plain/three plain/four
	(cd plain && python3 ../database.py "$1" none >/dev/null)
	python3 look.py plain/base >want
	[ "$(head -n 1 want) $(wc -l <want)" = 'ok 1201' ]
	begin -- python3 database.py "$1" "$2"
	# A second crash, at the same place, makes no difference.
	start_plain checkpointer restore t
	await out 'at three'
	crash
	to_the_end
	python3 look.py base >have
	want_same want have
}

@test "SQLite, journal: checkpoint and crash between transactions" {
	database_test delete none
}

@test "SQLite, journal: the checkpoint in a transaction that ends later" {
	database_test delete two
	want err 'base-journal, which is not there any more'
}

@test "SQLite, journal: the crash in a transaction that began later" {
	database_test delete three
	want err 'base-journal, which did not exist at the checkpoint, is removed'
}

@test "SQLite, journal: both in a transaction" {
	database_test delete two,three
}

@test "SQLite, a journal that persists" {
	database_test persist three
}

@test "SQLite, write-ahead log: between transactions" {
	database_test wal none
}

@test "SQLite, write-ahead log: both in a transaction" {
	database_test wal two,three
}

# --- others, while the command is stopped ---

# stopped: as begin, but ended with a last checkpoint at gate two
stopped() {
	start "$@"
	touch one
	await out 'at two'
	kill -TERM "$pid"
	ends_with 75
	touch three two
	: >err
}

@test "others have appended to the log meanwhile: theirs stays" {
	noisy
	stopped -- python3 noisy.py
	echo 'of another job' >>log
	start_plain checkpointer restore t
	ends_with 0
	want err '/log has 15 bytes more than at the checkpoint, and stays so'
	want_lines 1 log 'of another job'
	want_same plain/data data
	grep -v 'of another job' log >have
	want_same plain/log have
}

@test "others have changed what was saved: it is not put back" {
	python inplace.py <<-'X'
		f = open("state", "w+")
		f.write("0" * 1000); f.flush()
		for name in "one", "two", "three":
		    gate(name)
	X
	stopped -- python3 inplace.py
	printf 1 | dd of=state conv=notrunc status=none
	start_plain checkpointer restore t
	ends_with 0
	want err 'somebody else has changed it while the command was stopped'
	[ "$(head -c 2 state)" = 10 ]
}

@test "nothing has changed: nothing is said" {
	noisy
	stopped -- python3 noisy.py
	start_plain checkpointer restore t
	ends_with 0
	want_messages 1
	want_same plain/data data
}

# refused TEXT...: a restore ends with 69, and one error that has these texts
refused() {
	local text

	: >err
	cp -a "$store" kept.chain
	start_plain checkpointer restore t
	ends_with 69
	for text; do
		want err "$text"
	done
	want_not err 'cut off'
	[ -z "$(kept)" ]
	nothing_left
}

@test "a file that is shorter: named, and when it is mended all is well" {
	noisy
	stopped -- python3 noisy.py
	cp data before
	truncate -s -10 data
	refused '/data has 10 bytes less than at the checkpoint' \
		'criu would refuse it'
	cp before data
	to_the_end
	want_same plain/data data
}

@test "a file that is gone: named" {
	noisy
	stopped -- python3 noisy.py
	mv data before
	refused '/data is not there any more'
	mv before data
	to_the_end
	want_same plain/data data
}

@test "a file that was replaced: named, and nothing of it is cut" {
	noisy
	begin -- python3 noisy.py
	mv data before
	head -c 50000 /dev/zero >data
	refused '/data is another file than at the checkpoint'
	[ "$(stat -c %s data)" = 50000 ]
	mv before data
	to_the_end
	want_same plain/data data
}

@test "a file that another process writes is not cut" {
	noisy
	begin -- python3 noisy.py
	exec 8>>data
	refused '/data has' 'another process has it open for writing'
	exec 8>&-
	to_the_end
	want_same plain/data data
}

# --- policies ---

@test "rollback = refuse: any difference, and nothing is touched" {
	noisy
	begin -s files.rollback=refuse -- python3 noisy.py
	cp log before
	touch three
	start_plain checkpointer -s files.rollback=refuse restore t
	ends_with 69
	want err '[files] rollback = refuse'
	want_lines 1 err 'at the checkpoint'
	want_same before log
	[ -z "$(kept)" ]
	to_the_end
	want_same plain/log log
	want_same plain/data data
}

@test "rollback = refuse: without a difference it goes on" {
	noisy
	stopped -s files.rollback=refuse -- python3 noisy.py
	start_plain checkpointer -s files.rollback=refuse restore t
	ends_with 0
	want_same plain/log log
}

@test "rollback = keep: a log goes on as it is" {
	cat >lines.sh <<-'X'
		exec 5>>log
		for g in one two three; do
			echo "before $g" >&5
			echo "at $g"
			until [ -e "$g" ]; do sleep 0.05; done
		done
	X
	begin -- bash lines.sh
	touch three
	start_plain checkpointer -s files.rollback=keep restore t
	ends_with 0
	want err '[files] rollback = keep'
	want_lines 2 log 'before three'
	[ -z "$(kept)" ]
}

@test "rollback = keep: what criu would refuse is said before" {
	noisy
	begin -- python3 noisy.py
	cp data before
	start_plain checkpointer -s files.rollback=keep restore t
	ends_with 69
	want err 'rollback = keep, which criu refuses'
	want_same before data
	to_the_end
	want_same plain/data data
}
