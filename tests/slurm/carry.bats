#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# carry.bats - files that only one node has go where the command goes

# A $ in single quotes is for the shell of the command; common.bash sets
# variables.
# shellcheck disable=SC2016,SC2154
load common
load chain

setup_file() {
	own_cluster carry
	for n in n1 n2 n3; do
		cluster run "$n" mkdir -m 1777 /local
		cluster run "$n" mkdir -m 755 /scratch
	done
}
teardown_file() { cluster down; }

# in_first_leg: what a script has to do once, as its second run would do it again
begin_script() {
	cat <<-'X'
		#!/bin/bash
		first() { [ ! -e begun ]; }
	X
}

# start_on_n1 SCRIPT: and n1 is taken when it has come to g1
start_on_n1() {
	start -w n1 --gres=widget:2 "$@"
	await side 'at g1'
	block n1
}

# to_n2: the first leg ends, the second is on n2
to_n2() {
	warn
	next_leg
	on n0 scontrol update JobId="$job" ReqNodeList=n2
}

hosts() { grep '"event":"leg"' "$journal" | grep -o '"host":"n[123]"' | tr -d '\n'; }

ends_on_n2() {
	ends_as COMPLETED 0:0
	[ "$(hosts)" = '"host":"n1""host":"n2"' ]
	plain "$out" >got
	want_same want got
}

@test "input that the script has staged in /tmp: one half in each leg" {
	{ begin_script; cat <<-'X'; } | write script.sh
		if first; then
			mkdir -p "/tmp/in $USER/more"
			seq 1 6 >"/tmp/in $USER/numbers"
			for i in 1 2 3; do echo "file $i" >"/tmp/in $USER/more/$i"; done
			echo odd >"/tmp/in $USER/$(printf 'new\nline \377')"
			touch -d @1000000000 "/tmp/in $USER/more"
			touch begun
		fi
		checkpointer -- bash work.sh "/tmp/in $USER/numbers"
	X
	cat >work.sh <<-'X'
		exec 7<"$1"
		for i in 1 2 3; do read -r n <&7; echo "$n"; done
		echo 'at g1' >>side
		until [ -e g1 ]; do sleep 0.05; done
		while read -r n <&7; do echo "$n"; done
		cat "${1%/*}"/more/*
		cat "${1%/*}"/new*
		stat -c %Y "${1%/*}/more"
	X
	start_on_n1 script.sh
	to_n2
	touch g1
	{ seq 1 6; printf 'file %d\n' 1 2 3; echo odd; echo 1000000000; } >want
	ends_on_n2
	on n2 ls /tmp >got
	want_not got "in alice"
}

@test "TMPDIR that the site makes for each job; another node has no such path" {
	{ begin_script; cat <<-'X'; } | write script.sh
		export TMPDIR=/scratch/$SLURM_JOB_ID
		if first; then
			for i in 1 2 3; do echo "input $i" >"$TMPDIR/$i"; done
			touch begun
		fi
		checkpointer -- bash work.sh
	X
	cat >work.sh <<-'X'
		cd "$TMPDIR" || exit
		echo mine >"$TMPDIR/mine"
		exec 7<>"$(mktemp)"
		echo temporary >&7
		cat 1
		cd "$OLDPWD"
		echo 'at g1' >>side
		until [ -e g1 ]; do sleep 0.05; done
		cat "$TMPDIR"/[23] "$TMPDIR/mine" /dev/fd/7
		cat /scratch/known
		case $TMPDIR in /scratch/[0-9]*) echo same ;; esac
	X
	cluster run n2 bash -c 'echo of n2 >/scratch/known'
	[ -e piece.sh ] || write_pieces
	submit -t 20 -H -w n1 --gres=widget:2 script.sh
	legs_from "$job"
	cluster run n1 install -d -o alice -g alice -m 700 "/scratch/$job"
	on n0 scontrol release "$job"
	await side 'at g1'
	block n1
	to_n2
	touch g1
	{ printf 'input %d\n' 1 2 3; printf '%s\n' mine temporary 'of n2' same; } >want
	ends_on_n2
	[ "$(cluster run n2 ls /scratch)" = known ]
}

@test "an open file in a node-local directory, its links, holes, FIFO, mode" {
	{ begin_script; cat <<-'X'; } | write script.sh
		first && mkdir -p /local/alice/run && touch begun
		checkpointer -- bash work.sh
	X
	cat >work.sh <<-'X'
		home=$PWD
		cd /local/alice/run || exit
		exec 7<>data 8>>log
		echo one >&7; echo line >&8
		truncate -s 1G sparse; echo end >>sparse
		echo hard >a; ln a b; ln -s a c; mkfifo -m 640 d
		name=$(printf 'od d\n\303\n\377'); echo odd >"$name"
		touch -d @1000000000 a; chmod 6755 a
		mkdir -m 1750 sub; echo s >sub/s; touch -d @1200000000 sub
		echo 'at g1' >>"$home/side"
		until [ -e "$home/g1" ]; do sleep 0.05; done
		echo two >&7; echo line >&8
		cat data log "$name" sub/s
		stat -c '%F %a %h' a b c d
		stat -c %Y a sub
		[ "$(stat -c %b sparse)" -lt 1000 ] && tail -c 4 sparse
		pwd
	X
	cluster run n2 install -d -o alice -g alice /local/alice
	on n2 bash -c 'mkdir /local/alice/run; echo old >/local/alice/run/data'
	start_on_n1 script.sh
	to_n2
	touch g1
	cat >want <<-'X'
		one
		two
		line
		line
		odd
		s
		regular file 6755 2
		regular file 6755 2
		symbolic link 777 1
		fifo 640 1
		1000000000
		1200000000
		end
		/local/alice/run
	X
	ends_on_n2
	[ "$(on n2 cat /local/alice/run/data)" = "$(printf 'one\ntwo')" ]
	on n2 ls -A /local/alice/run >got
	want_not got ckpt-
}

@test "somebody else's file in the way is named, and left as it is" {
	{ begin_script; cat <<-'X'; } | write script.sh
		first && echo mine >/local/taken && touch begun
		checkpointer -s checkpoint.max_moves=0 -- bash work.sh
	X
	cat >work.sh <<-'X'
		exec 7</local/taken
		echo 'at g1' >>side
		until [ -e g1 ]; do sleep 0.05; done
		cat <&7
	X
	cluster run --user bob n2 bash -c 'echo of bob >/local/taken'
	start_on_n1 script.sh
	to_n2
	job_ends "$job"
	grep '/local/taken is in the way.* belongs to bob$' "$out"
	[ "$(cluster run n2 cat /local/taken)" = 'of bob' ]
}

@test "more than carry_limit: the dump is refused, and the command runs on" {
	{ begin_script; cat <<-'X'; } | write script.sh
		dd if=/dev/urandom of=/local/large bs=1M count=3 status=none
		checkpointer -s files.carry_limit=2M -- bash work.sh
	X
	cat >work.sh <<-'X'
		exec 7</local/large
		echo 'at g1' >>side
		until [ -e g1 ]; do sleep 0.05; done
		head -c 3M <&7 | wc -c
	X
	start -w n1 script.sh
	await side 'at g1'
	warn
	await "$out" 'the largest, /local/large, has 3'
	want "$out" 'carry_limit'
	touch g1
	ends_as COMPLETED 0:0
	plain "$out" >got
	echo 3145728 >want
	want_same want got
}

@test "carry = no, and what is named as shared, stay where they are" {
	{ begin_script; cat <<-'X'; } | write script.sh
		dd if=/dev/urandom of=/local/large bs=1M count=3 status=none
		checkpointer -s files.carry_limit=2M -s files.shared_paths=/local -- \
			bash work.sh
	X
	cat >work.sh <<-'X'
		exec 7</local/large
		echo 'at g1' >>side
		until [ -e g1 ]; do sleep 0.05; done
		head -c 3M <&7 | wc -c
	X
	start -w n1 script.sh
	await side 'at g1'
	warn
	next_leg
	touch g1
	ends_as COMPLETED 0:0
	plain "$out" >got
	echo 3145728 >want
	want_same want got
}

# capable NODE: a criu as an administrator would install it there: with
# cap_setpcap (8) and cap_checkpoint_restore (40)
capable() {
	cluster run "$1" python3 -c 'import os, shutil, struct
criu = "/usr/local/lib/criu-capable"
shutil.copy("/usr/sbin/criu", criu)
os.setxattr(criu, "security.capability",
    struct.pack("<5I", 0x02000001, 1 << 8, 0, 1 << 8, 0))'
}

@test "without a capsule: TMPDIR of the step, and what is open in /tmp" {
	capable n1
	capable n2
	{ begin_script; cat <<-'X'; } | write script.sh
		unset TMPDIR
		first && { echo "staged" >/tmp/staged; touch begun; }
		checkpointer --isolation=none -s criu.binary=/usr/local/lib/criu-capable \
			-- bash work.sh
	X
	cat >work.sh <<-'X'
		exec 7</tmp/staged 8>"$TMPDIR/open"
		echo one >&8
		echo closed >"$TMPDIR/closed"
		echo "$TMPDIR" >dir
		echo 'at g1' >>side
		until [ -e g1 ]; do sleep 0.05; done
		echo two >&8
		cat <&7; cat "$TMPDIR"/*
		[ "$TMPDIR" = "$(cat dir)" ] && echo same
	X
	start_on_n1 script.sh
	to_n2
	touch g1
	printf '%s\n' staged closed one two same >want
	ends_on_n2
	for n in n1 n2; do fails on "$n" test -e "$(<dir)"; done
}
