#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# security.bats - another user, a user against the site, and a command that
# wants to get out of its capsule: the tests that docs/security.md names
#
# Run as root, by tests/in-sandbox: root makes what only root can make, alice
# uses checkpointer, and bob does what he can. The kernel's own guards against
# links and FIFOs of others (fs.protected_*) may be on or off: none is relied on.

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

setup() {
	[ "$(id -u)" = 0 ] || skip "root makes what these tests need"
	# shellcheck disable=SC2086
	unset ${!CHECKPOINTER_*} XDG_RUNTIME_DIR TMPDIR
	work=$(mktemp -d ~alice/e2e.XXXXXX)
	chmod 755 "$work"
	# Where both may write, as in the /scratch of many a site.
	open=$(mktemp -d /home/open.XXXXXX)
	chmod 1777 "$open"
	export HOME=$work/home XDG_CONFIG_HOME=$work/config
	store=$HOME/.checkpointer/t
	journal=$store/journal
	started=()
	uid=$(id -u alice)
	capable=${CRIU_CAPABLE:-}
	user alice HOME="$HOME" XDG_CONFIG_HOME="$XDG_CONFIG_HOME"
	as_alice=("${as[@]}")
	user bob HOME=/home/bob
	as_bob=("${as[@]}")
	cd "$work" || return
	write_workloads
	mkdir home config
	chown -R alice:alice .
}

# user NAME VAR=VALUE...: how to become her, with nothing of root's
user() {
	as=(setpriv --reuid "$1" --regid "$1" --init-groups --inh-caps=-all
		env -i --default-signal PATH="$PATH" LC_ALL=C.UTF-8 USER="$1"
		LOGNAME="$1" "${@:2}")
}

teardown() {
	local p

	[ -n "${work:-}" ] || return
	for p in "${started[@]}"; do
		kill -9 "$p" 2>/dev/null && wait "$p"
	done
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 40 out err 2>/dev/null
	[ ! -e ini ] || cp ini /etc/checkpointer.ini
	cd / || return
	rm -rf "$work" "$open" "/var/tmp/checkpointer-$uid" \
		"/tmp/checkpointer-$uid"-*
}

alice() { "${as_alice[@]}" "$@"; }
bob() { "${as_bob[@]}" "$@"; }

# What alice starts has streams of her own, which she can open again. With umask,
# or over=">FILE" in place of out, which is appended to.
start_plain() {
	(
		exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
		exec "${as_alice[@]}" sh -c "umask ${umask:-022}
			exec \"\$@\" </dev/null ${over:->>out} 2>>err" sh "$@"
	) &
	pid=$!
	started+=("$pid")
}

# try ARG...: checkpointer, by alice, to its end: neither a hang nor a crash
try() {
	status=0
	alice timeout 20 sh -c 'umask 022; exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
		exec checkpointer "$@" </dev/null >out 2>err' sh "$@" || status=$?
	[ "$status" -lt 124 ] || { cat err; fail "status $status: checkpointer $*"; }
}

# refused STATUS TEXT ARG...: and this is why
refused() {
	try "${@:3}"
	[ "$status" = "$1" ] || { cat err; fail "status $status, not $1"; }
	want err "$2"
}

# forbidden COMMAND...: bob is told that he may not
forbidden() {
	! bob "$@" >denied 2>&1 || { cat denied; fail "bob may: $*"; }
	grep -Eq 'Permission denied|not permitted|belongs to|no chain t' denied ||
		{ cat denied; fail "it failed for another reason: $*"; }
}

# stopped_chain NAME [ARG...]: one that was stopped at its checkpoint 1
stopped_chain() {
	start_plain checkpointer -c "$1" "${@:2}" -- bash gated.sh "gate-$1"
	await out "at gate-$1"
	kill -TERM "$pid"
	ends_with 75
	rm out err
}

# --- another user ---

@test "umask 0, a directory for all: what is made there is of no use to another user" {
	local f p

	umask=0 start -d "$open" -s capsule.scratch="$open" -- bash gated.sh one
	await out 'at one'
	kill -USR2 "$pid"
	await err 'checkpoint 1 of t:'
	find "$open"/* -perm /077 ! -path '*/layer-*' >others
	want_empty others
	[ -s "$open/t/step-1/0001.pack" ]
	for f in journal lease log step-1/0001.pack step-1/0001.json; do
		forbidden cat "$open/t/$f"
	done
	forbidden ls "$open/t"
	forbidden flock -n "$open/t/lease" true
	forbidden mv "$open/t" "$open/u"
	forbidden ls "$open/checkpointer-$uid"
	for f in status dump report verify restore purge; do
		forbidden checkpointer -d "$open" "$f" t
	done
	[ "$(bob checkpointer -d "$open" list 2>/dev/null | grep -c '^t ')" = 0 ]
	for p in "$pid" "$(root_of "$pid")"; do
		for f in environ maps mem; do forbidden cat "/proc/$p/$f"; done
		for f in fd map_files root/; do forbidden ls "/proc/$p/$f"; done
		forbidden sh -c "kill -USR1 $p"
	done
	touch one
	ends_with 0
}

@test "what another user has put where a chain is to be" {
	bob sh -c 'umask 0; cd "$0" && mkdir t && echo his >t/journal' "$open"
	refused 73 "belongs to user $(id -u bob)" -c t -d "$open" -- true
	bob rm -r "$open/t"
	# A link, to what is alice's own as well.
	alice mkdir own
	bob ln -s "$work/own" "$open/t"
	refused 73 "$open/t" -c t -d "$open" -- true
	bob rm "$open/t"
	want_empty <(ls own)
	# A directory that was open to all when he put something into it.
	alice sh -c 'umask 0; mkdir -p "$0/t/step-1"' "$open"
	bob sh -c 'cd "$0" && echo his >log && mkdir step-2 &&
		echo his >step-1/0001.index' "$open/t"
	try -c t -d "$open" -- true
	forbidden ls "$open/t"
	want err 'not a regular file of yours'
	[ "$(cat "$open/t/log")" = his ]
}

@test "in a directory that all may write, without the sticky bit: chains change places" {
	stopped_chain t -d "$open"
	stopped_chain u -d "$open"
	touch gate-t gate-u
	chmod 777 "$open"
	bob sh -c 'cd "$0" && mv t x && mv u t && mv x u' "$open"
	refused 75 't/journal is that of chain u' -d "$open" restore t
	bob sh -c 'cd "$0" && mv t x && mv u t && mv x u' "$open"
	bob mv "$open/u" "$open/v"
	refused 66 'there is none' -d "$open" restore u
	bob mv "$open/v" "$open/u"
	try -d "$open" restore t
	[ "$status" = 0 ]
}

# in_place KIND FILE: something of this kind in the place of the file of chain t,
# which is then continued as `again' says, in a directory of its own
in_place() {
	local kind=$1 f=t/$2 dir=$1-${2##*/} name=${2##*/}

	cp -a template "$dir"
	cd "$dir" || return
	rm -rf "$f"
	case $kind in
	fifo) mkfifo "$f" ;;
	directory) mkdir "$f" ;;
	link) ln -s "$work/precious" "$f" ;;
	hardlink) ln "$open/his" "$f" ;;
	device) mknod "$f" c 1 3 ;;
	esac
	[ "$kind" = hardlink ] || chown -h alice:alice "$f"
	try -d "$PWD" "${again[@]}"
	# What stops it is told, by its name.
	[ "$status" = 0 ] || want err "${name#0001.}"
	echo "$kind $f $status" >>"$work/statuses"
}

# each_in_place KIND... -- FILE...: all of them, some at a time; alice's other
# files, and bob's, are as they were
each_in_place() {
	local kinds=() p pids=()

	while [ "$1" != -- ]; do kinds+=("$1"); shift; done
	for p in "${@:2}"; do
		for kind in "${kinds[@]}"; do
			(in_place "$kind" "$p") &
			pids+=($!)
			[ $((${#pids[@]} % 4)) != 0 ] || wait "${pids[-4]}"
		done
	done
	for p in "${pids[@]}"; do wait "$p"; done
	[ "$(cat precious "$open/his")" = $'mine\nhis' ] ||
		fail "another file was changed"
}

victims() {
	echo mine | alice tee precious
	echo his | bob tee "$open/his"
	# Others may write: it is not the mode that keeps them as they are.
	chmod 666 "$open/his" precious
}

@test "something else in the place of a chain's file: told by name, never a hang" {
	victims
	stopped_chain t
	touch gate-t
	mv "$HOME/.checkpointer" template
	again=(restore t)
	each_in_place fifo link hardlink device -- journal step-1 step-1/0001.index
	each_in_place directory -- journal step-1/0001.index
	each_in_place fifo link -- lease present step-1/0001.pack step-1/0001.json
	want_not statuses ' 0'
}

@test "something else in the place of what a chain can do without" {
	victims
	printf '%s\n' '#!/bin/sh' 'checkpointer -- bash gated.sh one' >script
	chmod 755 script
	over='>o' start_plain checkpointer -c t batch ./script
	await o 'at one'
	kill -TERM "$pid"
	ends_with 75
	[ -s "$store/step-1/output-1" ]
	touch one
	mv "$HOME/.checkpointer" template
	cp script gated.sh one template/
	again=(-c t batch ./script)
	each_in_place fifo link hardlink -- log step-1/output-1
	each_in_place fifo -- step-1/0001.restored step-1/progress
	want fifo-log/err 'the chain has no log: log is not a regular file of yours'
	want fifo-output-1/err 'output-1 is not a regular file of yours'
	want_lines 8 statuses ' 0'
}

@test "whoever only looks at such a chain does not wait either" {
	local f

	stopped_chain t
	for f in step-1/0001.index journal; do
		rm "$store/$f"
		alice mkfifo "$store/$f"
		try status t
		try list t
		try report t
		try verify t
		try export t 1 images
		try dump t
		try purge t
		[ -p "$store/$f" ] || break
	done
}

@test "checkpoints of another chain, of another step, older ones: refused by name" {
	local f

	stopped_chain t
	stopped_chain u
	touch gate-t gate-u
	mv "$HOME/.checkpointer" all
	fresh() { rm -rf "$HOME/.checkpointer"; cp -a all "$HOME/.checkpointer"; }

	fresh
	for f in "$store"/../u/step-1/0001.*; do cp -a "$f" "$store/step-1/"; done
	refused 69 'checkpoint 1 cannot be used: it is of chain u, step 1' restore t
	fresh
	mv "$store/step-1" "$store/step-2"
	sed -i 's/"step":1/"step":2/' "$store/journal"
	refused 69 'it is of chain t, step 1' restore t
	for f in index pack json; do
		fresh
		cp -a "$store/../u/step-1/0001.$f" "$store/step-1/"
		refused 69 'checkpoint 1 cannot be used' restore t
	done
	fresh
	cp -a "$store/../u/journal" "$store/journal"
	refused 75 'journal is that of chain u' restore t
	# An older one in the place of a newer one.
	fresh
	for f in index pack json; do
		cp -a "$store/step-1/0001.$f" "$store/step-1/0002.$f"
	done
	try restore t
	[ "$status" = 0 ]
	want err 'checkpoint 2 cannot be used'
	want err 'restored from checkpoint 1'
}

@test "private files: a scratch directory that is another user's, a link, or in a bad place" {
	local own=$open/checkpointer-$uid options=(-s capsule.scratch="$open")

	alice mkdir own
	bob ln -s "$work/own" "$own"
	try "${options[@]}" -- touch /tmp/x
	want err "$own is not a directory of yours alone"
	bob rm "$own"
	bob mkdir -m 777 "$own"
	try "${options[@]}" -- touch /tmp/x
	want err "$own is not a directory of yours alone"
	want_empty <(ls -A own)
	want_empty <(ls -A "$own")
	rmdir "$own"
	chmod 777 "$open"
	try "${options[@]}" -- touch /tmp/x
	[ "$status" = 0 ]
	want err "all may write to $open"
	[ ! -e "$own" ]
}

@test "TMPDIR without a capsule: another user has its name, in the first leg or a later one" {
	local dir

	options=(--isolation=none -s criu.binary="$capable")
	dir=/tmp/checkpointer-$uid-$(python3 -c '
h = 0xcbf29ce484222325
for c in b"t": h = (h ^ c) * 0x100000001b3 % 2**64
print(f"{h:016x}-1")')
	bob mkdir -m 777 "$dir"
	try -c t "${options[@]}" -- true
	[ "$status" != 0 ]
	want err "$dir, which is to be TMPDIR, is not a directory of yours alone"
	rmdir "$dir"
	rm -rf "$store"
	stopped_chain t "${options[@]}"
	touch gate-t
	# Gone with the node, or with what cleans /tmp.
	rmdir "$dir"
	bob mkdir -m 777 "$dir"
	refused 69 "$dir, which is to be TMPDIR, is not a directory" \
		"${options[@]}" restore t
	rmdir "$dir"
	try "${options[@]}" restore t
	[ "$status" = 0 ]
}

@test "a FIFO in the place of a file that the command has from its caller" {
	alice sh -c 'echo line >input'
	start_plain sh -c 'exec 5<input; exec checkpointer -c t -- \
		bash -c "read -r l <&5; bash gated.sh one; echo \$l"'
	await out 'at one'
	kill -TERM "$pid"
	ends_with 75
	touch one
	mv input aside
	alice mkfifo input
	refused 69 'open' restore t
	want err "$work/input"
	mv aside input
	try restore t
	want out line
}

@test "secrets: no environment in journal, log or messages; arguments are in the journal" {
	as_alice+=(TOKEN=hunter2-in-the-environment)
	start -v -- bash gated.sh one --password=sesame
	await out 'at one'
	save_one 1
	kill -USR1 "$pid"
	await err 'restored from checkpoint 1\|restored from checkpoint 2'
	touch one ./--password=sesame
	ends_with 0
	! grep -rl hunter2 err "$store" || fail 'the environment was told'
	want "$journal" sesame
	want_not "$store/log" sesame
	[ "$(stat -c '%a %U' "$journal")" = '600 alice' ]
}

# --- the user and the site ---

# site: what the standard input says is in /etc/checkpointer.ini for this test
site() {
	cp /etc/checkpointer.ini ini
	cat >/etc/checkpointer.ini
}

@test "a locked key can be set nowhere else" {
	site <<-X
		[checkpoint]
		dir = $open
		[site]
		lock = checkpoint.dir criu.binary
	X
	try -c t -- true
	[ "$status" = 0 ]
	[ -s "$open/t/journal" ]
	refused 78 'locked by the site' -d "$work/x" -- touch side
	refused 78 'locked by the site' -s checkpoint.dir="$work/x" -- touch side
	refused 78 'locked by the site' -s criu.binary=/bin/true -- touch side
	alice sh -c 'printf "[checkpoint]\ndir = /x\n" >config/checkpointer.ini'
	refused 78 'locked by the site' -- touch side
	rm config/checkpointer.ini
	as_alice+=(CHECKPOINTER_CRIU_BINARY=/bin/true)
	refused 78 'locked by the site' -- touch side
	[ ! -e side ]
}

@test "the site's file: not one that others may write" {
	site </dev/null
	chmod 666 /etc/checkpointer.ini
	refused 78 'writable by others' -- touch side
	chmod 644 /etc/checkpointer.ini
	chown bob /etc/checkpointer.ini
	refused 78 'not by root' -- touch side
	chown root /etc/checkpointer.ini
	try -- true
	[ "$status" = 0 ]
}

@test "criu takes nothing from the user's files or environment" {
	mkdir .criu home/.criu
	echo no-such-option | tee trap home/.criu/default.conf
	chmod -R a+rX home/.criu trap
	# It is a trap: criu by itself steps into it.
	run alice "$(real_criu)" check
	[[ $status != 0 && $output == *no-such-option* ]]
	run alice env HOME=/ CRIU_CONFIG_FILE="$work/trap" "$(real_criu)" check
	[[ $status != 0 && $output == *no-such-option* ]]
	cat >recorder <<-X
		#!/bin/sh
		{ tr '\\0' '\\n' </proc/\$\$/environ; echo; printf '%s\\n' "\$0" "\$@"; } \\
			>>$work/record
		exec $(real_criu) "\$@"
	X
	chmod 755 recorder
	as_alice+=(CRIU_CONFIG_FILE="$work/trap" WHATEVER=x)
	start -s criu.binary="$work/recorder" -- bash gated.sh one
	await out 'at one'
	kill -USR1 "$pid"
	await err 'restored from checkpoint 1'
	touch one
	ends_with 0
	for verb in dump restore; do
		# The program, the verb, and then this before all else.
		grep -x -A2 "$work/recorder" record | grep -x -A1 "$verb" |
			grep -qx -e --no-default-config
		# What that run had in its environment.
		awk -v verb="$verb" -v me="$work/recorder" '
			$0 == me { getline; found = $0 == verb; if (found) exit; n = 0; next }
			/^[A-Z_]+=/ { env[n++] = $0 }
			END { for (i = 0; i < n; i++) print env[i] }' record |
			sed 's/=.*//' | sort -u >names
		printf '%s\n' CRIU_FAULT PATH XDG_RUNTIME_DIR >want
		want_same names want
	done
	# From PATH only by an absolute directory.
	as_alice+=(PATH=".:$work/nosuch:$PATH")
	cp recorder criu
	rm record
	try -c u -s checkpoint.interval=0.2s -- sleep 0.5
	[ ! -e record ]
}

@test "hooks have the user's rights and no more" {
	start -s "hooks.before_dump=id -u >$work/hook; grep ^Cap /proc/self/status >>$work/hook" \
		-- bash gated.sh one
	await out 'at one'
	save_one 1
	touch one
	ends_with 0
	[ "$(head -n 1 hook)" = "$uid" ]
	want_lines 4 hook 0000000000000000
	[ "$(grep -c '^Cap\(Inh\|Prm\|Eff\|Amb\).*0000000000000000' hook)" = 4 ]
}

# checked NAME ARG...: what check says of the criu of that name is in NAME/out
checked() {
	alice mkdir "$1"
	cd "$1" || return
	try check -s criu.binary="/usr/local/lib/criu-$1" "${@:2}"
}

@test "check warns of a criu with too much power" {
	local cap criu name p pids=()

	criu=$(real_criu)
	for cap in cap_sys_ptrace cap_sys_admin; do
		cp "$criu" /usr/local/lib/criu-$cap
		setcap cap_checkpoint_restore,cap_setpcap,$cap+ep /usr/local/lib/criu-$cap
	done
	install -m 4755 "$criu" /usr/local/lib/criu-setuid
	for name in cap_sys_ptrace cap_sys_admin setuid; do
		(checked $name) &
		pids+=($!)
	done
	(checked capable --isolation=none) &
	for p in "${pids[@]}" $!; do wait "$p"; done
	for cap in cap_sys_ptrace cap_sys_admin; do
		grep "^warning *criu: .* has the file capability $cap: .*every user" $cap/out
		want $cap/out "setcap -r /usr/local/lib/criu-$cap"
	done
	grep '^warning *criu: .* is setuid root: .*becomes root; chmod u-s' setuid/out
	# This one has what it may have.
	want capable/out 'was dumped in'
	want_not capable/out 'file capabilit'
}

# --- the capsule ---

@test "the command has no capability, and no way to one, in any leg" {
	install -m 4755 "$(command -v id)" /usr/local/lib/id-setuid
	cat >inside.sh <<-'X'
		no() { "$@" >/dev/null 2>&1 && echo "could: $*" || echo "no: $*"; }
		report() {
			grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
			# Whatever the node runs: only this, and the keeper.
			for p in /proc/[0-9]*; do
				[ "$p" = /proc/1 ] || echo "sees $(<"$p/comm")"
			done
			no mount -t tmpfs none /mnt
			no mount --bind /etc /mnt
			no umount /proc
			no umount /tmp
			no chroot / true
			no sh -c 'echo 5000 >/proc/sys/kernel/ns_last_pid'
			no cat /proc/1/environ
			no readlink /proc/1/fd/0
			no sh -c 'cat </proc/1/fd/0'
			no ls /proc/1/root/
			no nsenter -t 1 -m true
			no nsenter -t 1 -U true
			no "$capable" --version
			no setpriv --reuid 0 true
			no setpriv --clear-groups true
			no python3 -c 'import ctypes as c, sys
		sys.exit(c.CDLL(None).ptrace(0x4206, 1, 0, 0) != 0)'
			echo "setuid: $(/usr/local/lib/id-setuid -u) $(id -u)"
			kill -9 1
			# A namespace within has capabilities over nothing but itself.
			no unshare -Urm umount /proc
			no unshare -Urm umount /tmp
			no unshare -Urm sh -c 'echo 5000 >/proc/sys/kernel/ns_last_pid'
			no unshare -Urm cat /proc/1/environ
			no unshare -Urm sh -c 'mount --bind /proc/1/root /mnt'
			echo the end
		}
		report >first
		bash gated.sh one
		report >second
	X
	as_alice+=(capable="$capable")
	start -- bash inside.sh
	await out 'at one'
	kill -USR1 "$pid"
	await err 'restored from checkpoint 1'
	touch one
	ends_with 0
	cat first
	want_same first second
	want_not first could:
	want_lines 5 first 0000000000000000
	want first "setuid: $uid $uid"
	want_lines 1 first sees
	want first 'the end'
}

@test "two capsules of one user: what one sees of the other" {
	cat >a.sh <<-'X'
		echo secret >/tmp/a; echo secret >/dev/shm/a; ipcmk -Q >/dev/null
		python3 -c 'import socket, time
		s = socket.socket(socket.AF_UNIX); s.bind("\0of-a"); s.listen()
		t = socket.create_server(("127.0.0.1", 7777))
		print("ready", flush=True); time.sleep(1000)'
	X
	cat >b.sh <<-'X'
		ls /tmp/a /dev/shm/a 2>&1 | grep -c 'No such file'
		ipcs -q | grep -c '^0x'
		ps -e -o args= | grep -c '[a]\.sh'
		python3 -c 'import socket
		for family, to in ((socket.AF_UNIX, "\0of-a"), (socket.AF_INET, ("127.0.0.1", 7777))):
		    s = socket.socket(family)
		    try: s.connect(to); print("connected")
		    except ConnectionRefusedError: print("refused")'
		cat shared
	X
	echo 'files of the user' >shared
	ip link set lo up
	start -s capsule.network=private -s criu.binary="$CRIU_NEXT" -- bash a.sh
	await out ready
	try -c b -s capsule.network=private -s criu.binary="$CRIU_NEXT" -- bash b.sh
	printf '%s\n' 2 0 0 refused refused 'files of the user' >want
	want_same want out
	# With the node's network its sockets are seen, and only they.
	kill -9 "$pid"
	: >out
	start -c a -s capsule.network=host -- bash a.sh
	await out ready
	try -c c -s capsule.network=host -- bash b.sh
	printf '%s\n' 2 0 0 connected connected 'files of the user' >want
	want_same want out
}
