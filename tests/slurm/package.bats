#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# package.bats - Debian's package: built, installed on all nodes, and used

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load chain

top=$BATS_TEST_DIRNAME/../..

setup_file() {
	sh "$top/contrib/debian-root" make debhelper dpkg-dev &&
		own_cluster package || return
	shared=$(cluster path /shared)
	rm "$shared/bin/checkpointer"
	mkdir -p "$shared/package/src"
	tar -c -C "$top" VERSION Makefile configure README.md ChangeLog COPYING src \
		conf docs contrib tests/unit | tar -x -C "$shared/package/src" --no-same-owner
	cluster run n0 env DEB_CFLAGS_APPEND=-g0 \
		DEB_BUILD_OPTIONS="noopt nocheck nostrip parallel=$(nproc)" \
		/shared/package/src/contrib/package-deb /shared/package -b -d \
		>"$shared/package/log" 2>&1 || { tail -n 40 "$shared/package/log"; return 1; }
	for n in n0 n1 n2 n3; do
		cluster run "$n" sh -c 'dpkg -i /shared/package/checkpointer_*.deb' || return
	done
}
teardown_file() { cluster down; }

@test "all is in its place, and removed without the configuration" {
	run -0 on n1 sh -c 'command -v checkpointer'
	[ "$output" = /usr/bin/checkpointer ]
	run -0 on n1 checkpointer --version
	[ "$output" = "checkpointer $(<"$top/VERSION")" ]
	run -0 on n1 dpkg -L checkpointer
	for f in /etc/checkpointer.ini /usr/share/man/man1/checkpointer.1.gz \
		/usr/share/bash-completion/completions/checkpointer \
		/usr/share/zsh/vendor-completions/_checkpointer \
		/usr/share/doc/checkpointer/README.md.gz \
		/usr/share/doc/checkpointer/examples/slurm/epilog.sh; do
		[[ $output == *"$f"* ]] || fail "no $f in: $output"
	done
	run -0 on n1 sh -c 'dpkg-query -W -f "\${Conffiles}\n\${Depends}\n" checkpointer'
	[[ $output == *'/etc/checkpointer.ini '*criu*libslurm* ]]
	on_root n3 dpkg -r checkpointer
	fails on_root n3 test -e /usr/bin/checkpointer
	on_root n3 test -e /etc/checkpointer.ini
	on_root n3 sh -c 'dpkg -i /shared/package/checkpointer_*.deb'
}

@test "a chain goes on over two nodes" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1
		/usr/bin/checkpointer -- Rscript piece.R R 0 g2
	X
	wanted script.sh
	start script.sh
	leave A g1
	leave R g2
	ends_as COMPLETED 0:0
	want_output
	once A R
}
