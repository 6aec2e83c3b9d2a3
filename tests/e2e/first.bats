#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# first.bats - what goes wrong in the first hour is told in one paragraph: what,
# why, and a command that mends it or tells more

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# told STATUS TEXT... -- COMMAND...: it ends so, and one line of its messages
# has all these texts
told() {
	local want=$1 texts=() line t is=0

	shift
	while [ "$1" != -- ]; do
		texts+=("$1")
		shift
	done
	shift
	plainly "$@" >out 2>err </dev/null || is=$?
	[ "$is" = "$want" ] || { cat err; fail "status $is, not $want"; }
	while read -r line; do
		for t in "${texts[@]}"; do
			[[ $line == *"$t"* ]] || continue 2
		done
		return
	done <err
	cat err
	fail "no message has: ${texts[*]}"
}

# --- criu ---

@test "no criu" {
	told 3 'no program no-criu' 'CRIU 4.1' 'apt install criu' -- \
		checkpointer -s criu.binary=no-criu -- sh -c 'exit 3'
	told 3 /nonexistent/criu 'No such file' 'apt install criu' -- \
		checkpointer -s criu.binary=/nonexistent/criu -- sh -c 'exit 3'
}

@test "a criu that is too old, or none" {
	printf '#!/bin/sh\necho Version: 3.11\n' >old
	chmod +x old
	start -s criu.binary="$work/old" -- bash gated.sh one
	await err 'criu 3.11'
	touch one
	ends_with 0
	grep 'criu 3.11.*apt install criu.*--set criu.binary=' err
	rm one
	start_plain checkpointer -c u -s criu.binary=/bin/true -- bash gated.sh one
	await err 'is no criu'
	touch one
	ends_with 0
	grep '/bin/true --version.*no criu.*apt install criu' err
}

@test "isolation = none, and a criu without a capability" {
	start --isolation=none -- bash gated.sh one
	await err 'no checkpoint can be made'
	touch one
	ends_with 0
	grep 'no checkpoint can be made.*setcap cap_checkpoint_restore,cap_setpcap+ep /' err
}

# --- the kernel ---

closed() {
	unshare -U -c --keep-caps sh -c '
		echo 0 >/proc/sys/user/max_user_namespaces
		exec setpriv --inh-caps=-all --ambient-caps=-all "$@"' sh "$@"
}
export -f closed

@test "user namespaces that are closed" {
	told 70 'cannot make a capsule' max_user_namespaces \
		"'checkpointer check'" -- bash -c 'closed "$@"' - \
		checkpointer --isolation=user -- true
	told 5 'cannot make a capsule' max_user_namespaces \
		"'checkpointer check'" 'isolation = none' -- \
		bash -c 'closed "$@"' - checkpointer -- sh -c 'exit 5'
	is=0
	closed checkpointer check >out 2>err || is=$?
	[ "$is" = 69 ]
	want out "'sysctl user.max_user_namespaces=15000'"
}

@test "a kernel that is too old" {
	# What uname(2) says is all that is looked at: 2.6.something.
	setarch --uname-2.6 true || skip "no setarch"
	start_plain setarch --uname-2.6 checkpointer -c t -- bash gated.sh one
	await err 'no checkpoint can be made'
	touch one
	ends_with 0
	grep "no checkpoint can be made: Linux 2\.6 .*5\.9 or newer.*'uname -r'" err
	is=0
	setarch --uname-2.6 checkpointer check >out 2>err || is=$?
	[ "$is" = 69 ]
	want out 'Linux 2.6 is too old'
}

# --- a batch system that it knows nothing of ---

@test "built without Slurm, in a job" {
	# shellcheck disable=SC2086
	unset ${!SLURM_*}
	told 3 'job 4711' 'built without Slurm' --with-slurm \
		'checkpointer restore CHAIN' -- \
		env SLURM_JOB_ID=4711 checkpointer -- sh -c 'exit 3'
	# The bare form does not work there.
	told 64 'no command' 'built without Slurm' --with-slurm -- \
		env SLURM_JOB_ID=4711 checkpointer
	SLURM_JOB_ID=4711 checkpointer check >out
	grep '^warning .*built without Slurm.*--with-slurm' out
}

@test "built without Slurm, in a job: it is said once, not in each leg" {
	SLURM_JOB_ID=4711 plainly checkpointer -c t "${legs_of_time[@]}" -- \
		bash count.sh 20 0.1 >out 2>err
	want_legs 2
	want_lines 1 err 'built without Slurm'
	printf '#!/bin/sh\ncheckpointer -- true\ncheckpointer -- true\n' >job.sh
	chmod +x job.sh
	told 0 'built without Slurm' -- env SLURM_JOB_ID=4711 \
		checkpointer -m 1s -t 1h batch ./job.sh
	want_lines 1 err 'built without Slurm'
}

# --- the directory ---

@test "a checkpoint directory that cannot be made" {
	mkdir -m 500 closed
	told 73 "$work/closed/x" 'Permission denied' --dir= -- \
		checkpointer -d "$work/closed/x" -- touch side
	: >file
	told 73 "$work/file" 'Not a directory' --dir= -- \
		checkpointer -d "$work/file" -- touch side
	[ ! -e side ]
}

@test "a checkpoint directory that is there and cannot be written to" {
	mkdir -m 500 closed
	told 73 "$work/closed" 'Permission denied' --dir= -- \
		checkpointer -d "$work/closed" -- touch side
	[ ! -e side ]
}

@test "a home that is missing" {
	told 73 /nonexistent 'Permission denied' --dir= -- \
		env HOME=/nonexistent checkpointer -- touch side
	[ ! -e side ]
}

@test "a checkpoint directory that is full" {
	mkdir disk
	unshare --user --map-current-user --mount --keep-caps true ||
		skip "no user namespaces here"
	cat >small.sh <<-'X'
		mount -t tmpfs -o size=64k,nr_inodes=3,mode=700 tmpfs disk
		touch disk/a disk/b
		exec setpriv --ambient-caps=-all --inh-caps=-all "$@"
	X
	told 73 'No space left' "'checkpointer purge'" --dir= -- \
		unshare --user --map-current-user --mount --keep-caps \
		bash small.sh checkpointer -d "$work/disk" -c t -- touch side
	[ ! -e side ]
}

# --- the command line ---

@test "a command that is not there or cannot be run" {
	: >file
	told 127 "'type -a nonesuch'" PATH -- checkpointer -- nonesuch
	told 127 "'ls -l ./nonesuch'" -- checkpointer -- ./nonesuch
	told 126 'chmod +x ./file' -- checkpointer -- ./file
	told 126 'is a directory' "'ls $work'" -- checkpointer -- "$work"
	printf '#!/no/such/shell\n' >bad
	chmod +x bad
	told 127 interpreter "'head -n 1 ./bad'" -- checkpointer -- ./bad
}

@test "a command without --" {
	told 64 "'bash'" 'checkpointer -- bash' -- checkpointer bash x.sh
	told 64 'checkpointer -- Rscript script.R' -- checkpointer
}

@test "a batch script that is not executable, or is none" {
	echo 'checkpointer -- true' >job.sh
	told 66 'chmod +x job.sh' -- checkpointer batch job.sh
	chmod +x job.sh
	told 126 '#!/bin/sh' -- checkpointer -m 1s -t 5s batch ./job.sh
	told 66 nonesuch.sh -- checkpointer batch nonesuch.sh
}

@test "a time limit below the margin" {
	told 78 '1 min' '10 min' --margin=20s -- checkpointer -m 10m -t 1m -- true
	told 78 '1 min' '10 min' --margin=20s -- \
		env CHECKPOINTER_CHECKPOINT_MARGIN=10m checkpointer -t 1m -- true
}

@test "a short time limit, and no margin: a third of it" {
	told 0 'the margin is 20 s' '1 min' --margin=TIME -- checkpointer -t 1m -- true
	told 0 running -- checkpointer -t 30m -- true
	want_not err 'the margin is'
	# In two legs, and told once.
	plainly checkpointer -c t -t 2s -- bash count.sh 20 0.1 >out 2>err
	want_legs 2
	want_lines 1 err 'the margin is 1 s, as a leg lasts only 2 s'
	want_same out <(bash count.sh 20 0)
}

@test "no time limit" {
	told 0 'without a time limit' --time-limit -- checkpointer -- true
	told 0 running -- checkpointer -i 1h -- true
	want_not err 'without a time limit'
}

@test "an unknown signal, a misspelt word" {
	told 78 "'USR9'" "did you mean 'USR1'" "'kill -l'" -- \
		checkpointer -s signals.save=USR9 -- true
	told 78 "'XYZZY'" USR1 "'kill -l'" -- \
		checkpointer -s signals.save=XYZZY -- true
	told 78 "'usre'" "did you mean 'user'" -- \
		checkpointer --isolation=usre -- true
}

@test "a chain that is not there" {
	run -0 plainly checkpointer -q -c myjob -- true
	told 66 'chain myjbo' "did you mean 'myjob'" -- checkpointer restore myjbo
	told 66 'chain xyzzy' "$HOME/.checkpointer" "'checkpointer list'" -- \
		checkpointer report xyzzy
	want_not err "did you mean"
}
