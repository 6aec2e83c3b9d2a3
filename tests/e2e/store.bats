#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# store.bats - list, verify, export and purge; how often a checkpoint is made

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# --- chains to look at ---

# stopped_chain: chain t with two generations, stopped
stopped_chain() {
	start -- bash gated.sh one
	await out 'at one'
	save_one 1
	kill -TERM "$pid"
	ends_with 75
	rm out
}

# fake NAME AGE STATE: a chain without any checkpoint that was last heard of so
# many seconds ago
fake() {
	local dir=$HOME/.checkpointer/$1 t

	t=$(($(date +%s) - $2))
	mkdir -p "$HOME/.checkpointer"
	mkdir -m 700 "$dir" "$dir/step-1"
	echo output >"$dir/step-1/output-1"
	{
		echo "{\"t\":$t,\"event\":\"chain\"}"
		echo "{\"t\":$t,\"event\":\"leg\",\"leg\":1}"
		echo "{\"t\":$t,\"event\":\"step\",\"leg\":1,\"step\":1}"
		[ "$3" != resubmitted ] ||
			echo "{\"t\":$t,\"event\":\"submitted\",\"leg\":1}"
		echo "{\"t\":$t,\"event\":\"state\",\"leg\":1,\"step\":1,\"state\":\"$3\"}"
	} >"$dir/journal"
}

exists() { for c; do [ -d "$HOME/.checkpointer/$c" ] || fail "$c is gone"; done; }
is_gone() { for c; do [ ! -e "$HOME/.checkpointer/$c" ] || fail "$c is there"; done; }

# damage N: a byte of the pages that generation N brought
damage() {
	python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
    n = f.seek(0, 2) // 2
    f.seek(n)
    b = f.read(1)[0]
    f.seek(n)
    f.write(bytes([b ^ 1]))' "$store/step-1/000$1.pack"
}

# wrong STATUS TEXT ARG...: refused with one message that has the text
wrong() {
	local want=$1 text=$2

	shift 2
	run "-$want" --separate-stderr checkpointer "$@"
	[ -z "$output" ] || fail "stdout: $output"
	[ "${#stderr_lines[@]}" = 1 ] || fail "not one line: $stderr"
	[[ $stderr == *"$text"* ]] || fail "no '$text' in: $stderr"
}

# --- list ---

@test "list: no chains are no mistake" {
	run -0 --separate-stderr checkpointer list
	[ "${#lines[@]}" = 1 ]
	[ "$stderr" = "" ]
	run -0 checkpointer list --json
	[ "$output" = "[]" ]
	[ ! -e "$HOME/.checkpointer" ]
}

@test "list: every chain, and how it stands" {
	fake old 100000 finished
	fake lost 10 running
	fake waits 10 resubmitted
	fake bad 10 failed
	mkdir "$HOME/.checkpointer/notes"
	touch "$HOME/.checkpointer/file"
	start -- bash gated.sh one
	await out 'at one'
	run -0 --separate-stderr checkpointer list
	[ "$stderr" = "" ]
	[ "${#lines[@]}" = 6 ]
	[[ ${lines[0]} == chain*state*legs*steps*generations*memory*disk* ]]
	[[ ${lines[1]} =~ ^bad\ +failed\ +1\ +1\ +0\  ]]
	[[ ${lines[2]} =~ ^lost\ +died\ +1\ +1\ +0\  ]]
	[[ ${lines[3]} =~ ^old\ +finished\  ]]
	[[ ${lines[4]} =~ ^t\ +running\ +1\ +1\ +0\  ]]
	[[ ${lines[5]} =~ ^waits\ +resubmitted\  ]]
	touch one
	ends_with 0
	run -0 checkpointer list
	[[ ${lines[4]} =~ ^t\ +finished\  ]]
}

@test "list: a chain whose supervisor was killed" {
	start -- bash gated.sh one
	await out 'at one'
	save_one 1
	kill -KILL "$pid"
	ends_with 137
	run -0 checkpointer list
	[[ ${lines[1]} =~ ^t\ +died\ +1\ +1\ +1\  ]]
}

@test "list: looking on does not disturb a chain" {
	bash count.sh 40 0 >want
	start "${legs_of_time[@]}" -- bash count.sh 40 0.05
	while kill -0 "$pid" 2>/dev/null; do
		checkpointer -q list >>seen 2>>err
	done
	ends_with 0
	want_same want out
	want_legs 3
	want seen running
	want_not err 'error'
}

@test "list: the checkpoints of one chain" {
	stopped_chain
	run -0 --separate-stderr checkpointer list t
	[ "$stderr" = "" ]
	[[ ${lines[0]} == "chain t: stopped since "*", legs 1, steps 1, "*" on disk" ]]
	[[ ${lines[1]} == *step*generation*made*memory*fresh*unique*shared* ]]
	[[ ${lines[2]} =~ ^\ +1\ +1\ +20[0-9-]+\ [0-9:]+\  ]]
	[[ ${lines[3]} =~ ^\ +1\ +2\ +20[0-9-]+\ [0-9:]+\  ]]
	[ "${#lines[@]}" = 4 ]
	run -66 --separate-stderr checkpointer list nobody
	wrong 64 'checkpointer list' list t u
}

@test "list: as JSON" {
	stopped_chain
	fake u 10 finished
	checkpointer list --json >all
	checkpointer list t --json >one
	python3 - <<-'X'
		import json
		t, u = json.load(open("all"))
		assert [t] == json.load(open("one"))
		assert (t["chain"], t["state"], t["legs"], t["steps"]) == \
		    ("t", "stopped", 1, 1)
		a, b = t["generations"]
		assert (a["step"], a["generation"]) == (1, 1)
		assert (b["step"], b["generation"]) == (1, 2)
		for g in a, b:
		    assert g["memory"] >= g["fresh"] >= 0 and g["memory"] > 0
		    assert g["unique"] > 0 and g["shared"] >= 0
		    assert g["time"] > 1.7e9
		assert t["disk"] >= a["unique"] + b["unique"]
		assert u["state"] == "finished" and u["generations"] == []
	X
}

# --- verify ---

@test "verify: all of them, one, and none" {
	stopped_chain
	run -0 --separate-stderr checkpointer verify t
	[[ ${lines[0]} =~ ^generation\ 1:\ good,\ [0-9.]+\ MB$ ]]
	[[ ${lines[1]} =~ ^generation\ 2:\ good,\ [0-9.]+\ MB$ ]]
	[ "${#lines[@]}" = 2 ]
	[ "$stderr" = "" ]
	run -0 checkpointer verify t 2
	[[ $output == "generation 2: good"* ]]
	run -0 checkpointer verify t 1 --step=1
	[[ $output == "generation 1: good"* ]]
	wrong 66 'no generation 3' verify t 3
	wrong 66 'no step 2' verify t --step 2
	wrong 66 nobody verify nobody
	wrong 64 "'x'" verify t x
	wrong 64 "'0'" verify t 0
	wrong 64 "'-1'" verify --step=-1 t
	wrong 64 'CHAIN' verify
	wrong 64 'CHAIN' verify t 1 2
}

@test "verify: damage is found and told" {
	stopped_chain
	damage 2
	run -65 --separate-stderr checkpointer verify t
	[[ ${lines[0]} == "generation 1: good"* ]]
	[[ ${lines[1]} == "generation 2: damaged: "* ]]
	run -0 checkpointer verify t 1
	run -65 checkpointer verify t 2
	# What is not needed for it counts for nothing.
	touch one
	start_plain checkpointer restore t
	ends_with 0
	want out 'past one'
}

@test "verify: a chain that has finished has no checkpoint" {
	fake u 10 finished
	wrong 66 'no checkpoint' verify u
}

@test "verify: steps are told apart" {
	cat >job.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash gated.sh one >out.1 &
		checkpointer -- bash gated.sh one >out.2 &
		wait
	X
	chmod +x job.sh
	start batch job.sh
	await out.1 'at one'
	await out.2 'at one'
	kill -TERM "$pid"
	ends_with 75
	run -0 checkpointer verify t
	[ "${#lines[@]}" = 2 ]
	[[ ${lines[0]} == "step 1, generation 1: good"* ]]
	[[ ${lines[1]} == "step 2, generation 1: good"* ]]
	run -0 checkpointer verify t --step 2
	[[ $output == "step 2, generation 1: good"* ]]
	wrong 64 'choose one with --step' export t 1 x
	run -0 checkpointer export t 1 x --step=2
	grep -q '"step": 2' x/manifest.json
}

@test "verify: as JSON" {
	stopped_chain
	damage 2
	run -65 checkpointer verify t
	run -65 --separate-stderr checkpointer verify t --json
	[ "$stderr" = "" ]
	python3 - "$output" <<-'X'
		import json, sys
		good, bad = json.loads(sys.argv[1])
		assert good.pop("bytes") > 1000
		assert good == {"step": 1, "generation": 1, "state": "good"}
		assert bad.pop("reason")
		assert bad == {"step": 1, "generation": 2, "state": "damaged"}
	X
	run -66 --separate-stderr checkpointer verify t 3 --json
	[ "$output" = '[]' ]
	is=0
	checkpointer verify t 1 --json >/dev/full 2>err || is=$?
	[ "$is" = 74 ]
	want err 'No space left'
}

# --- export ---

@test "export: plain images, for their owner alone" {
	umask 000
	stopped_chain
	run -0 --separate-stderr checkpointer export t 2 x
	[ "$output" = "" ]
	[[ $stderr == *"generation 2 of step 1 of t is in x: "* ]]
	[ "$(stat -c %a x)" = 700 ]
	run find x ! -type d ! -perm 600
	[ "$output" = "" ]
	[ -s x/inventory.img ]
	[ -s x/pstree.img ]
	ls x/core-*.img x/pages-*.img
	python3 - <<-'X'
		import json
		assert json.load(open("x/manifest.json"))["gen"] == 2
	X
	# The chain is as it was.
	touch one
	start_plain checkpointer restore t
	ends_with 0
}

@test "export: crit understands the images" {
	local f
	stopped_chain
	checkpointer export t 2 x
	for f in x/{inventory,pstree,files,fs-1*,mm-1*,core-1*,pagemap-1*}.img; do
		crit show "$f" >shown || fail "$f: $(<shown)"
		grep -q '"magic"' shown || fail "$f: $(<shown)"
	done
	run -0 crit x x/ ps
	[[ $output == *bash* ]]
	run -0 crit x x/ mems
	[[ $output == *bin/bash* ]]
}

@test "export: the sizes are those of the list" {
	stopped_chain
	checkpointer export t 1 x
	checkpointer list --json t >listed
	python3 - <<-'X'
		import json, os
		g = json.load(open("listed"))[0]["generations"][0]
		size = sum(os.path.getsize("x/" + f) for f in os.listdir("x")
		    if f != "manifest.json")
		assert size == g["memory"], (size, g)
	X
}

@test "export: nothing is written over" {
	stopped_chain
	mkdir -m 755 empty full
	touch full/mine
	ln -s empty link
	wrong 73 'not empty' export t 1 full
	[ "$(ls full)" = mine ]
	wrong 73 link export t 1 link
	wrong 73 'full/mine' export t 1 full/mine
	wrong 73 'no/such' export t 1 no/such
	run -0 checkpointer -q export t 1 empty
	[ "$(stat -c %a empty)" = 700 ]
	[ -s empty/manifest.json ]
	wrong 66 'no generation 7' export t 7 x
	wrong 66 nobody export nobody 1 x
	wrong 64 'DIR' export t 1
	wrong 64 'DIR' export t 1 x y
	wrong 64 "'y'" export t y x
	[ ! -e x ]
}

@test "export: of a damaged one, nothing is left" {
	stopped_chain
	damage 2
	wrong 65 damaged export t 2 x
	[ ! -e x ]
	mkdir y
	wrong 65 damaged export t 2 y
	[ -d y ]
	[ -z "$(ls -A y)" ]
}

@test "export: what cannot be written is taken back" {
	stopped_chain
	run -74 --separate-stderr bash -c '
		trap "" XFSZ
		ulimit -f 8
		exec checkpointer export t 1 x'
	[[ $stderr == *"File too large"* ]]
	[ ! -e x ]
}

# --- purge ---

@test "purge: it must be told what" {
	fake a 100000 finished
	wrong 64 'which chains' purge
	wrong 64 'which chains' purge --dry-run
	wrong 64 "'soon'" purge --older-than soon
	wrong 64 "'finished'" purge --state finishd
	wrong 64 "'x'" purge --state x
	wrong 64 'cannot be purged' purge --state=finished,running
	wrong 64 "''" purge --state ''
	wrong 66 nobody purge nobody
	wrong 64 'behind that word' --dry-run purge a
	wrong 64 'behind that word' list --state=finished
	exists a
}

@test "purge: by age" {
	fake old 100000 finished
	fake older 200000 failed
	fake new 100 finished
	run -0 --separate-stderr checkpointer purge --older-than 1d
	is_gone old older
	exists new
	[[ ${lines[0]} == "removed old: finished, 1 d 3 h, "* ]]
	[[ ${lines[1]} == "removed older: failed, 2 d 7 h, "* ]]
	[[ ${lines[2]} == "2 chains, "* ]]
	[ "$stderr" = "" ]
}

@test "purge: by state" {
	for s in finished failed stopped running resubmitted; do
		fake "$s" 100 "$s"
	done
	run -0 checkpointer purge --state=finished,stopped
	is_gone finished stopped
	exists failed running resubmitted
	run -0 checkpointer purge --state died
	is_gone running
	run -0 checkpointer purge --state failed --older-than 1h
	exists failed
	[ "$output" = "0 chains, 0 B" ]
}

@test "purge: by name, behind which options may stand" {
	fake a 100 finished
	fake b 100 finished
	fake c 100 finished
	run -0 checkpointer purge a c
	is_gone a c
	exists b
	run -0 --separate-stderr checkpointer purge b --older-than 1d
	exists b
	[[ $stderr == *"chain b is kept"* ]]
	run -0 checkpointer purge b --state failed
	exists b
	run -0 checkpointer purge b --older-than 10
	is_gone b
}

@test "purge: a dry run removes nothing" {
	fake a 100000 finished
	(cd "$HOME" && find . -type f -exec sha256sum {} + | sort) >before
	run -0 checkpointer purge --dry-run --older-than 1h
	[[ ${lines[0]} == "would remove a: finished, 1 d 3 h, "* ]]
	(cd "$HOME" && find . -type f ! -empty -exec sha256sum {} + | sort) >after
	want_same before after
}

@test "purge: as JSON, those that are kept included" {
	fake a 100000 finished
	fake b 100 finished
	fake c 100000 resubmitted
	cat >is.py <<-'X'
		import json, sys
		got = {}
		for c in json.load(sys.stdin):
		    assert c["bytes"] > 0 and 1.7e9 < c["last"] < 1e11, c
		    assert ("reason" in c) == (c["action"] == "kept"), c
		    got[c["chain"]] = (c["action"], c["state"])
		assert got == {"a": (sys.argv[1], "finished"),
		    "b": ("kept", "finished"), "c": ("kept", "resubmitted")}, got
	X
	checkpointer purge --older-than 1h --dry-run --json | python3 is.py 'would be removed'
	exists a b c
	checkpointer purge --older-than 1h --json | python3 is.py removed
	is_gone a
	exists b c
}

@test "purge: a chain that waits for its successor is only removed by word" {
	fake waits 100000 resubmitted
	run -0 checkpointer purge --older-than 1h
	exists waits
	run -0 checkpointer purge --older-than 1h --state finished,died
	exists waits
	run -0 checkpointer purge --state resubmitted --dry-run
	[[ $output == "would remove waits: resubmitted, "* ]]
	run -0 checkpointer purge waits
	is_gone waits
	fake waits 100000 resubmitted
	run -0 checkpointer purge --state resubmitted
	is_gone waits
}

@test "purge: never a chain that runs" {
	start -- bash gated.sh one
	await out 'at one'
	save_one 1
	run -0 checkpointer purge --older-than 0
	[ "$output" = "0 chains, 0 B" ]
	wrong 75 'it runs' purge t
	exists t
	kill -TERM "$pid"
	ends_with 75
	run -0 checkpointer purge t
	is_gone t
}

@test "purge: links are not followed" {
	mkdir other
	touch other/file
	fake a 100 finished
	ln -s "$work/other" "$HOME/.checkpointer/a/link"
	ln -s "$work/other" "$HOME/.checkpointer/a/step-1/0001"
	mkdir -p "$HOME/.checkpointer/a/more/and/more"
	touch "$HOME/.checkpointer/a/more/and/more/file"
	chmod 500 "$HOME/.checkpointer/a/more/and"
	cp "$HOME/.checkpointer/a/journal" other
	ln -s "$work/other" "$HOME/.checkpointer/b"
	run -0 checkpointer purge a
	is_gone a
	run -66 checkpointer purge b
	run checkpointer purge --older-than 0
	[ -L "$HOME/.checkpointer/b" ]
	[ "$(ls other)" = "$(printf 'file\njournal')" ]
}

@test "purge: what is no chain stays" {
	fake a 100 finished
	mkdir -m 700 "$HOME/.checkpointer/notes"
	touch "$HOME/.checkpointer/notes/mine" "$HOME/.checkpointer/file"
	run -0 checkpointer purge --older-than 0
	is_gone a
	run -66 checkpointer purge notes
	run -66 checkpointer purge file
	run -66 checkpointer purge ../other
	[ -e "$HOME/.checkpointer/notes/mine" ]
	[ "$(ls -A "$HOME/.checkpointer/notes")" = mine ]
	[ -e "$HOME/.checkpointer/file" ]
}

@test "purge: a purged chain begins anew" {
	stopped_chain
	run -0 checkpointer purge --state stopped
	touch one
	start -- bash gated.sh one
	ends_with 0
	[ "$(head -n 1 out)" = 'at one' ]
	want_lines 1 "$journal" '"event":"leg"'
}

# --- how often ---

@test "interval = auto: by the mean time between failures" {
	start -i auto -- bash gated.sh one
	await err 'the first checkpoint in 18 min'
	touch one
	ends_with 0
}

@test "interval = auto: by what a checkpoint costs" {
	start -i auto -s checkpoint.mtbf=1s -- bash gated.sh one
	await_event dumped 2
	want err 'the first checkpoint in 1.4 s'
	want err 'the next checkpoint in'
	touch one
	ends_with 0
	printf 'at one\npast one\nend\n' >want
	want_same want out
}

# --- room ---

@test "max_size: refused with a sentence, before anything is written; the command runs on" {
	python3 big.py 32 /dev/null >want
	start -s checkpoint.max_size=3M -- python3 big.py 32 one
	await out ready
	kill -USR2 "$pid"
	await_event 'dump failed'
	want err 'max_size leaves 3.0 MB'
	want err 'the command runs on'
	[ -z "$(ls "$store/step-1")" ]
	touch one
	ends_with 0
	want_same want out
}

# random_memory: a program with 64 MiB of it, that ends when `one' is there
random_memory() {
	cat >memory.py <<-'X'
		import os, time
		data = os.urandom(64 << 20)
		print("ready", flush=True)
		while not os.path.exists("one"): time.sleep(0.02)
		print(len(data))
	X
}

@test "max_size: what it leaves is known only on the way; nothing is left behind" {
	random_memory
	start -s checkpoint.max_size=20M -- python3 memory.py
	await out ready
	kill -USR2 "$pid"
	await_event 'dump failed'
	want err 'max_size leaves room for'
	# criu may have had a word to say.
	[ -z "$(ls --ignore=dump.log "$store/step-1")" ]
	touch one
	ends_with 0
	want out 67108864
}

@test "max_size: the next checkpoint costs what changed, and fits" {
	random_memory
	start -s checkpoint.max_size=90M -- python3 memory.py
	await out ready
	save_one 1
	save_one 2
	save_one 3
	touch one
	ends_with 0
	want out 67108864
}

# --- what runs on is not what is stored ---

@test "memory that changes after a periodic checkpoint is not in it" {
	# Two halves of a page always say the same, unless a page is read while
	# the program runs already.
	cat >twins.c <<-'C'
		#include <stdio.h>
		#include <stdlib.h>
		#include <unistd.h>
		#define PAGES 16384
		static volatile unsigned long m[PAGES][512];
		int main(void)
		{
			puts("ready");
			fflush(stdout);
			for (unsigned long i = 1; access("stop", F_OK); i++)
				for (int p = PAGES - 1; p >= 0; p--) {
					m[p][0] = i;
					m[p][511] = i;
				}
			/* Behind a restore: one round may have been cut. */
			return 0;
		}
	C
	cat >check.py <<-'X'
		import glob, sys
		bad, rounds = 0, set()
		for f in glob.glob("images/pages-*.img"):
		    data = open(f, "rb").read()
		    for i in range(0, len(data), 4096):
		        a, b = data[i:i + 8], data[i + 4088:i + 4096]
		        if any(data[i + 8:i + 4088]):
		            continue
		        bad += a != b
		        rounds.add(int.from_bytes(a, "little"))
		# A round is cut at one place: its number, and the one before it.
		rounds.discard(0)
		print(bad <= 1 and len(rounds) <= 2, bad, sorted(rounds)[:9])
	X
	command -v cc >/dev/null
	cc -O1 -o twins twins.c
	start -- ./twins
	await out ready
	for i in 1 2 3 4 5; do
		save_one "$i"
		rm -rf images
		checkpointer export t "$i" images
		run -0 python3 check.py
		[[ $output == True* ]] || fail "$output"
	done
	touch stop
	ends_with 0
}
