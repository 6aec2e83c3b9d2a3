#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# configure.bats - from the unpacked sources to an installed program
#
# Needs what configure needs, but neither root nor CRIU nor Slurm at work. All
# happens in a copy of the tree.
#
# A $ in single quotes is make's, and a failing cd ends a test by itself.
# shellcheck disable=SC2016,SC2164

bats_require_minimum_version 1.5.0

setup() {
	unset CC CFLAGS CPPFLAGS LDFLAGS LIBS PKG_CONFIG PKG_CONFIG_PATH
	unset DESTDIR MAKEFLAGS MAKELEVEL SOURCE_DATE_EPOCH
	version=$(<"$BATS_TEST_DIRNAME/../../VERSION")
	tree=$BATS_TEST_TMPDIR/tree
	mkdir "$tree"
	tar -c -C "$BATS_TEST_DIRNAME/../.." configure Makefile VERSION COPYING \
		.clang-format .clang-tidy .gitignore src conf docs tests contrib |
		tar -x -C "$tree"
	cd "$tree"
	make -s distclean
}

# A compiler that finds none of these libraries, in the words of ld.
compiler_without() {
	local cc=$BATS_TEST_TMPDIR/cc-without
	cat >"$cc" <<-CC
		#!/bin/sh
		for arg; do
			case " $* " in *" \${arg#-l} "*)
				echo "/usr/bin/ld: cannot find \$arg: No such file or directory" >&2
				exit 1 ;;
			esac
		done
		exec cc "\$@"
	CC
	chmod +x "$cc"
	echo "$cc"
}

# Sources that take a second to compile, where the real ones do not matter.
small_sources() {
	rm -f src/* tests/unit/*
	cat >src/main.c <<-'C'
		#include <stdio.h>

		int main(void)
		{
			return puts("version " VERSION " conf " SYSCONFDIR
				" criu " CRIU_BINARY) < 0;
		}
	C
	cat >src/answer.h <<-'C'
		int answer(void);
	C
	cat >src/answer.c <<-'C'
		#include "answer.h"

		int answer(void)
		{
			return 42;
		}
	C
	cat >tests/unit/test_answer.c <<-'C'
		#include <setjmp.h>
		#include <stdarg.h>
		#include <stddef.h>
		#include <stdint.h>
		#include <cmocka.h>

		#include "answer.h"

		static void test_answer(void **state)
		{
			(void)state;
			assert_int_equal(answer(), 42);
			assert_non_null(SRCDIR);
		}

		int main(void)
		{
			const struct CMUnitTest tests[] = {
				cmocka_unit_test(test_answer),
			};

			return cmocka_run_group_tests(tests, NULL, NULL);
		}
	C
}

has_cmocka() { grep -q '^have_cmocka = 1' config.mak; }

# exists FILE...; missing FILE...
exists() {
	local f
	for f; do [ -e "$f" ] || { echo "missing: $f"; return 1; }; done
}
missing() {
	local f
	for f; do [ ! -e "$f" ] || { echo "there: $f"; return 1; }; done
}

# file_has FILE TEXT
file_has() { grep -qF -e "$2" "$1" || { echo "no '$2' in $1:"; cat "$1"; return 1; }; }
output_has() {
	[[ $output == *"$1"* ]] || { echo "no '$1' in: $output"; return 1; }
}

@test "--help lists every option and writes nothing" {
	run -0 ./configure --help
	for option in prefix exec-prefix bindir libexecdir sysconfdir localstatedir \
		mandir docdir with-slurm without-slurm disable-rpath with-criu \
		enable-debug enable-sanitizers enable-werror help; do
		output_has "--$option"
	done
	for var in CC CFLAGS CPPFLAGS LDFLAGS LIBS PKG_CONFIG; do
		output_has "$var"
	done
	missing config.mak config.log
}

@test "an unknown or wrong argument is refused with a hint" {
	for arg in --with-slrum=/opt/slurm --enable-everything prefix=/usr FOO=1; do
		run -1 ./configure "$arg"
		output_has "unknown argument '$arg'"
		output_has "--help"
	done
	run -1 ./configure --prefix /usr
	output_has "--prefix=VALUE"
	run -1 ./configure --prefix=relative
	output_has "not an absolute path"
	run -1 ./configure --with-criu=sbin/criu
	output_has "neither an absolute path nor a plain name"
	run -1 ./configure "--prefix=/with blank"
	output_has "blank"
	missing config.mak
}

@test "make without configure says what to do" {
	run -2 make
	output_has "run ./configure first"
	run -0 make clean
}

@test "what rpm and debhelper pass is accepted" {
	run -0 ./configure --build=x86_64-linux-gnu --prefix=/usr \
		'--includedir=${prefix}/include' '--mandir=${prefix}/share/man' \
		'--infodir=${prefix}/share/info' --sysconfdir=/etc \
		--localstatedir=/var --disable-option-checking \
		--disable-silent-rules '--libdir=${prefix}/lib/x86_64-linux-gnu' \
		--runstatedir=/run --disable-maintainer-mode \
		--disable-dependency-tracking
	output_has "/usr/share/man"
	run -0 ./configure --build=x86_64-redhat-linux-gnu \
		--host=x86_64-redhat-linux-gnu --program-prefix= \
		--disable-dependency-tracking --prefix=/usr --exec-prefix=/usr \
		--bindir=/usr/bin --sbindir=/usr/sbin --sysconfdir=/etc \
		--datadir=/usr/share --includedir=/usr/include \
		--libdir=/usr/lib64 --libexecdir=/usr/libexec \
		--localstatedir=/var --sharedstatedir=/var/lib \
		--mandir=/usr/share/man --infodir=/usr/share/info
	run -1 ./configure --build=x86_64-linux-gnu --host=aarch64-linux-gnu
	output_has "CC="
}

@test "a missing library is named with the packages that have it" {
	run -1 ./configure CC="$(compiler_without jansson)"
	output_has "cannot find -ljansson"
	output_has "libjansson-dev"
	output_has "jansson-devel"
	missing config.mak
	file_has config.log "cannot find -ljansson"
	file_has config.log "#include <jansson.h>"
}

@test "all missing libraries are named at once" {
	run -1 ./configure CC="$(compiler_without ev inih jansson zstd)"
	output_has "libev, inih, jansson, zstd"
	output_has "apt install libev-dev libinih-dev libjansson-dev libzstd-dev"
	output_has "dnf install libev-devel inih-devel jansson-devel libzstd-devel"
}

@test "Slurm is optional, unless it is asked for" {
	local cc
	cc=$(compiler_without slurm)
	run -0 ./configure CC="$cc"
	output_has "not found (cannot find -lslurm"
	output_has "libslurm-dev"
	run -1 ./configure CC="$cc" --with-slurm
	output_has "not usable: Slurm"
	run -0 ./configure CC="$cc" --without-slurm
	run -1 ./configure --with-slurm=/nonexistent
	output_has "no /nonexistent/include/slurm/slurm.h"
	file_has config.log "--with-slurm=/nonexistent"
}

@test "without cmocka make check says what is missing" {
	small_sources
	run -0 ./configure CC="$(compiler_without cmocka)"
	output_has "libcmocka-dev"
	run -0 make
	run -2 make check
	output_has "libcmocka-dev"
}

@test "options and variables reach the program" {
	small_sources
	CFLAGS='-O1 -DFROM_ENVIRONMENT' ./configure --prefix=/opt/x \
		--sysconfdir=/opt/conf --with-criu=/opt/criu/sbin/criu \
		LDFLAGS=-Wl,-O1 LIBS=-lm
	run -0 make V=1
	output_has "-DFROM_ENVIRONMENT"
	output_has "-Wl,-O1"
	output_has "-lm"
	run -0 ./checkpointer
	[ "$output" = "version $version conf /opt/conf criu /opt/criu/sbin/criu" ]
}

@test "the configuration is in /etc, whatever the prefix" {
	small_sources
	./configure --prefix=/opt/x
	make
	run -0 ./checkpointer
	[ "$output" = "version $version conf /etc criu criu" ]
}

@test "_FORTIFY_SOURCE only when optimising, and not twice" {
	./configure CFLAGS=-O2 CC='cc -U_FORTIFY_SOURCE'
	file_has config.mak -D_FORTIFY_SOURCE=2
	for flags in -O0 '-O2 -Wp,-D_FORTIFY_SOURCE=3' '-O1 -fsanitize=undefined'; do
		./configure CFLAGS="$flags" CC='cc -U_FORTIFY_SOURCE'
		run -1 grep -F -e -D_FORTIFY_SOURCE=2 config.mak
	done
}

@test "a changed configure is run again with the same options" {
	small_sources
	CFLAGS='-O1  -DONE=1' ./configure --prefix=/opt/x --with-criu=/opt/criu
	cp config.mak before
	touch -d '+2 seconds' configure
	run make all
	output_has "running it again"
	run -0 diff before config.mak
}

@test "a build outside the sources leaves them alone" {
	small_sources
	find . | sort >"$BATS_TEST_TMPDIR/before"
	chmod -R a-w .
	mkdir "$BATS_TEST_TMPDIR/build"
	cd "$BATS_TEST_TMPDIR/build"
	../tree/configure
	make
	exists checkpointer src/main.o
	if has_cmocka; then make check; fi
	make install DESTDIR="$PWD/dest"
	exists dest/usr/local/bin/checkpointer
	make distclean
	missing Makefile config.mak checkpointer src/main.o
	chmod -R u+w "$tree"
	cd "$tree"
	find . | sort | diff "$BATS_TEST_TMPDIR/before" -
}

@test "configure by its full path in the sources keeps the Makefile" {
	"$PWD/configure"
	[ -f Makefile ] && [ ! -L Makefile ]
	file_has config.mak 'srcdir = .'
	mkdir other && cd other
	echo mine >Makefile
	run -1 ../configure
	output_has "has a Makefile already"
	[ "$(<Makefile)" = mine ]
}

@test "make check fails, after all tests, if one fails" {
	small_sources
	./configure
	has_cmocka || skip "needs cmocka"
	make check
	sed 's/42/41/' tests/unit/test_answer.c >tests/unit/test_aaa.c
	run -2 make check
	output_has "tests/unit/test_aaa: exit status 1"
	output_has "== tests/unit/test_answer"
	rm tests/unit/test_aaa*
	make check
}

@test "a changed header makes what includes it" {
	small_sources
	./configure
	make
	sleep 0.02
	touch src/answer.h
	run -0 make
	output_has "CC   src/answer.o"
	[[ $output != *"CC   src/main.o"* ]]
}

@test "make install puts all in place; uninstall leaves the configuration" {
	local dest=$BATS_TEST_TMPDIR/dest page man
	small_sources
	echo '.Dd x' | tee docs/t.1 docs/t.5 docs/t.7 >/dev/null
	mkdir -p conf
	echo '[site]' >conf/checkpointer.ini
	./configure --prefix=/opt/x --bindir=/opt/x/tools --docdir=/opt/doc
	make
	make install DESTDIR="$dest"
	exists "$dest"/opt/x/tools/checkpointer "$dest"/etc/checkpointer.ini \
		"$dest"/opt/doc/COPYING "$dest"/opt/x/share/man/man{1/t.1,5/t.5,7/t.7} \
		"$dest"/opt/x/share/bash-completion/completions/checkpointer \
		"$dest"/opt/x/share/zsh/site-functions/_checkpointer \
		"$dest"/opt/x/share/fish/vendor_completions.d/checkpointer.fish
	[ -x "$dest/opt/x/tools/checkpointer" ]
	for page in docs/*.[157]; do
		man=$dest/opt/x/share/man/man${page##*.}/${page##*/}
		[ "$(stat -c %a "$man")" = 644 ]
	done

	echo '# ours' >"$dest/etc/checkpointer.ini"
	run -0 make install DESTDIR="$dest"
	output_has "left as it is"
	[ "$(<"$dest/etc/checkpointer.ini")" = '# ours' ]

	make uninstall DESTDIR="$dest"
	run -0 find "$dest" ! -type d
	[ "$output" = "$dest/etc/checkpointer.ini" ]
}

@test "the tarball builds, checks, and makes the same tarball" {
	local tarball=checkpointer-$version.tar.gz
	small_sources
	./configure
	make
	if has_cmocka; then make check; fi
	make dist
	mkdir unpacked
	tar -x -C unpacked -f "$tarball"
	cd "unpacked/checkpointer-$version"
	exists configure Makefile VERSION COPYING .clang-format src/main.c \
		tests/unit/test_answer.c
	missing config.mak checkpointer src/main.o tests/unit/test_answer
	./configure
	make
	if has_cmocka; then make check; fi
	make dist
	cmp "$tarball" "../../$tarball"
}

@test "the tarball of a git checkout has its files and no others" {
	command -v git >/dev/null || skip "needs git"
	local tarball=checkpointer-$version.tar.gz
	small_sources
	export HOME=$BATS_TEST_TMPDIR GIT_CONFIG_NOSYSTEM=1
	git init -q .
	git add .
	git -c user.name=test -c user.email=test@example.org commit -q -m test
	echo >src/untracked.c
	make dist
	tar -t -f "$tarball" | sed "s,^checkpointer-$version/,," | LC_ALL=C sort >files
	git ls-files | LC_ALL=C sort | diff - files
	cp "$tarball" first.tar.gz
	touch src/main.c
	make dist
	cmp first.tar.gz "$tarball"
}
