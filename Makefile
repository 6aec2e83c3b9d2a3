# SPDX-License-Identifier: GPL-2.0-or-later
# Makefile - needs GNU make; the settings are in config.mak, from configure
#
#   all check fuzz install uninstall    clean distclean    dist    lint format
#
# V=1 shows the compiler's command lines.
#
# check runs the unit tests, which need neither root nor CRIU nor Slurm; fuzz
# runs what reads files and messages on damaged ones, and needs clang.

srcdir = .
INSTALL = install
TEST_TIMEOUT = 120

all:

# These work without a configured tree.
FREE = clean distclean dist format
ifneq ($(filter-out $(FREE),$(or $(MAKECMDGOALS),all)),)
ifeq ($(wildcard config.mak),)
$(error Not configured: run ./configure first)
endif
include config.mak
config.mak: $(srcdir)/configure
	@echo '$< has changed: running it again'
	@eval "$$(sed -n 's/^# \$$ //p' $@)"
else
-include config.mak
endif

VERSION := $(shell cat $(srcdir)/VERSION)
PACKAGE = checkpointer-$(VERSION)

SRC   := $(notdir $(wildcard $(srcdir)/src/*.c))
# What includes Slurm's headers.
SLURM_SRC = sched_slurm.c slurm_check.c slurm_job.c slurm_look.c slurm_present.c \
	slurm_request.c
ifeq ($(have_slurm),)
SRC   := $(filter-out $(SLURM_SRC),$(SRC))
endif
OBJ    = $(SRC:%.c=src/%.o)
LIBOBJ = $(filter-out src/main.o,$(OBJ))
UNIT  := $(patsubst $(srcdir)/%.c,%,$(wildcard $(srcdir)/tests/unit/test_*.c))
MAN   := $(foreach s,1 5 7,$(wildcard $(srcdir)/docs/*.$s))
CONF  := $(wildcard $(srcdir)/conf/checkpointer.ini)
DOC   := $(wildcard $(addprefix $(srcdir)/,README README.md ChangeLog COPYING))

# -iquote and not -I: our sched.h is not to be taken for <sched.h>. The user's
# flags come after ours and before those of the libraries.
DEFS = $(defs) -DVERSION='"$(VERSION)"' -DSYSCONFDIR='"$(sysconfdir)"' \
	-DCRIU_BINARY='"$(criu)"'
UNIT_DEFS = -DSRCDIR='"$(abspath $(srcdir))"'
ALL_CPPFLAGS = -iquote $(srcdir)/src $(DEFS) $(CPPFLAGS) $(lib_cflags)
COMPILE = $(CC) $(cflags_auto) $(ALL_CPPFLAGS) $(CFLAGS) -MMD -MP -c
LINK = $(CC) $(cflags_auto) $(CFLAGS) $(ldflags_auto) $(LDFLAGS)
LINK_LIBS = $(lib_libs) $(slurm_libs) $(LIBS) -lm -ldl

# say WORD: what is done, before a command that is not shown
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $@ &&)

all: checkpointer

checkpointer: $(OBJ)
	$(call say,LINK) $(LINK) -o $@ $(OBJ) $(LINK_LIBS)

$(SLURM_SRC:%.c=src/%.o): ALL_CPPFLAGS += $(slurm_cflags)
src/%.o: $(srcdir)/src/%.c config.mak $(srcdir)/VERSION
	@mkdir -p $(@D)
	$(call say,CC) $(COMPILE) -o $@ $<

# A unit test is one program, with what it needs of all but main.o.
tests/unit/all.a: $(LIBOBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR) $(AR) rcs $@ $(LIBOBJ)

tests/unit/%.o: ALL_CPPFLAGS += $(UNIT_DEFS) $(cmocka_cflags)
tests/unit/%.o: $(srcdir)/tests/unit/%.c config.mak $(srcdir)/VERSION
	@mkdir -p $(@D)
	$(call say,CC) $(COMPILE) -o $@ $<

$(UNIT): %: %.o tests/unit/all.a
	$(call say,LINK) $(LINK) -o $@ $< tests/unit/all.a $(cmocka_libs) $(LINK_LIBS)

ifeq ($(have_cmocka),)
check:
	@echo 'make check needs cmocka: install libcmocka-dev (RHEL, Rocky:'
	@echo 'libcmocka-devel) and run configure again'
	@false
else
check: all $(UNIT)
	@bad=; for t in $(UNIT); do \
		echo "== $$t"; \
		timeout $(TEST_TIMEOUT) ./$$t; rc=$$?; \
		[ $$rc -eq 0 ] || bad="$$bad\n  $$t: exit status $$rc"; \
	done; \
	[ -z "$$bad" ] || { printf "== failed (124 is a timeout):$$bad\n"; exit 1; }; \
	echo '== all $(words $(UNIT)) unit test programs passed'
endif

# Harnesses for clang's libFuzzer: so many inputs each, but not for longer.
FUZZ_CC = clang
FUZZ_RUNS = 20000
FUZZ_SECONDS = 20
FUZZ := $(patsubst $(srcdir)/%.c,%,$(wildcard $(srcdir)/tests/fuzz/fuzz_*.c))
FUZZ_OBJ = $(patsubst %,tests/fuzz/%.o,codec disk err frames index log pack_read \
	pack_write pages spool store store_read store_write request text util)
FUZZ_FLAGS = -std=gnu17 -D_GNU_SOURCE -O1 -g -pthread $(ALL_CPPFLAGS) \
	-fsanitize=address,undefined -fno-sanitize-recover=undefined

$(FUZZ_OBJ): tests/fuzz/%.o: $(srcdir)/src/%.c config.mak
	@mkdir -p $(@D)
	$(call say,CC) $(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

$(FUZZ): %: $(srcdir)/%.c $(srcdir)/tests/fuzz/fuzz.h $(FUZZ_OBJ)
	$(call say,LINK) $(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_OBJ) $(LINK_LIBS)

# In memory, as each input is a file. The seeds are what is good.
fuzz: $(FUZZ)
	@top=$$PWD work=$$(mktemp -d -p /dev/shm || mktemp -d) && cd $$work && \
	mkdir index pack manifest request && \
	printf '\000\001x' >index/1 && printf '\000\020xyz' >pack/1 && \
	printf '{"version":2,"gen":2,"host":"here"}' >manifest/1 && \
	printf '\n\rinventory.img' >request/1 && \
	for t in $(FUZZ); do \
		echo "== $$t"; \
		"$$top/$$t" -runs=$(FUZZ_RUNS) -max_total_time=$(FUZZ_SECONDS) \
			-timeout=10 -print_final_stats=1 "$${t##*_}" 2>&1 | \
			tee log | grep -E '^(stat::number_of|Done)' && \
		grep -q '^Done' log || { cat log; mkdir -p "$$top/crash"; \
			cp crash-* timeout-* leak-* oom-* "$$top/crash"; \
			cd "$$top" && rm -rf "$$work"; exit 1; }; \
	done; cd "$$top" && rm -rf "$$work"

# The place of a manual page: man1/checkpointer.1
man_target = $(DESTDIR)$(mandir)/man$(subst .,,$(suffix $1))/$(notdir $1)

# Where the shells look, below /usr and /usr/local.
bashdir = $(prefix)/share/bash-completion/completions
zshdir = $(prefix)/share/zsh/site-functions
fishdir = $(prefix)/share/fish/vendor_completions.d
completions = $(srcdir)/contrib/completions
COMPLETIONS = $(addprefix $(DESTDIR),$(bashdir)/checkpointer \
	$(zshdir)/_checkpointer $(fishdir)/checkpointer.fish)

install: all
	$(INSTALL) -d $(DESTDIR)$(bindir)
	$(INSTALL) -m 755 checkpointer $(DESTDIR)$(bindir)/checkpointer
ifneq ($(MAN),)
	$(foreach p,$(MAN),$(INSTALL) -D -m 644 $p $(call man_target,$p) &&) :
endif
ifneq ($(wildcard $(completions)),)
	$(INSTALL) -D -m 644 $(completions)/checkpointer.bash $(DESTDIR)$(bashdir)/checkpointer
	$(INSTALL) -D -m 644 $(completions)/_checkpointer $(DESTDIR)$(zshdir)/_checkpointer
	$(INSTALL) -D -m 644 $(completions)/checkpointer.fish $(DESTDIR)$(fishdir)/checkpointer.fish
endif
ifneq ($(DOC),)
	$(INSTALL) -d $(DESTDIR)$(docdir)
	$(INSTALL) -m 644 $(DOC) $(DESTDIR)$(docdir)
endif
ifneq ($(CONF),)
	$(INSTALL) -d $(DESTDIR)$(sysconfdir)
	@f=$(DESTDIR)$(sysconfdir)/checkpointer.ini; \
	if [ -e "$$f" ] || [ -L "$$f" ]; then \
		echo "$$f exists and is left as it is"; \
	else \
		echo "$(INSTALL) -m 644 $(CONF) $$f"; \
		$(INSTALL) -m 644 $(CONF) "$$f"; \
	fi
endif

uninstall:
	rm -f $(DESTDIR)$(bindir)/checkpointer
	rm -f $(foreach p,$(MAN),$(call man_target,$p))
	rm -f $(COMPLETIONS)
	rm -f $(addprefix $(DESTDIR)$(docdir)/,$(notdir $(DOC)))
	-[ ! -d $(DESTDIR)$(docdir) ] || rmdir $(DESTDIR)$(docdir)
	@echo 'left: $(DESTDIR)$(sysconfdir)/checkpointer.ini'

clean:
	rm -f checkpointer src/*.[od] tests/unit/*.[oda] tests/fuzz/*.o $(UNIT) $(FUZZ)

distclean: clean
	rm -f config.mak config.log $(PACKAGE).tar $(PACKAGE).tar.gz
	[ ! -L Makefile ] || rm Makefile

# The files that git knows; in an unpacked tarball, all but what make makes.
# The same commit gives the same bytes, from git or from its own tarball.
here = $(patsubst $(srcdir)/%,%,$(wildcard $(addprefix $(srcdir)/,$1)))
DIST = $(call here,configure Makefile VERSION README README.md INSTALL ChangeLog COPYING \
	.clang-format .clang-tidy .editorconfig .gitignore .ci .github src conf \
	docs tests contrib)
LIST = $(CURDIR)/$(PACKAGE).list
dist:
	@cd $(srcdir) && if [ -e .git ]; then \
		date=$$(git log -1 --format=%ct) && git ls-files -z >$(LIST); \
	else \
		date=$$(stat -c %Y VERSION) && find $(DIST) ! -type d \
			! -name '*.[oda]' $(UNIT:%=! -path %) \
			$(FUZZ:%=! -path %) -print0 >$(LIST); \
	fi && LC_ALL=C sort -z -o $(LIST) $(LIST) && \
	tar -c -f $(LIST:.list=.tar) --format=ustar --hard-dereference \
		--mtime=@$${SOURCE_DATE_EPOCH:-$$date} --mode=u=rwX,go=rX \
		--owner=0 --group=0 --numeric-owner \
		--transform 's,^,$(PACKAGE)/,S' --no-recursion --null -T $(LIST)
	@rm $(LIST)
	gzip -9 -n -f $(PACKAGE).tar

C_FILES := $(wildcard $(srcdir)/src/*.[ch] $(srcdir)/tests/*/*.[ch])
LINT_C  := $(SRC:%=$(srcdir)/src/%) $(UNIT:%=$(srcdir)/%.c)
SCRIPT_DIRS = $(call here,configure contrib tests .ci)
PAGES   := $(foreach s,1 5 7 8,$(wildcard $(srcdir)/docs/*.$s))

lint: lint-format lint-cppcheck lint-tidy lint-clang lint-analyzer lint-shell lint-man

lint-format:
	clang-format --dry-run -Werror $(C_FILES)

# cppcheck does not know __attribute__((cleanup)), by which auto_free and its
# like work (gcc -fanalyzer does), nor that a file descriptor may be -1, nor
# that a comparison is an exit status, nor that a struct on the stack may point
# to another one that outlives it; and there are no threads.
CPPCHECK_OFF = missingIncludeSystem unknownMacro normalCheckLevelMaxBranches \
	memleak resourceLeak readdirCalled getpwuidCalled invalidFunctionArg \
	invalidFunctionArgBool autoVariables
lint-cppcheck:
	cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability \
		$(CPPCHECK_OFF:%=--suppress=%) \
		-I $(srcdir)/src $(DEFS) $(UNIT_DEFS) $(LINT_C)

# What it says on standard error is of interest only if it fails. Nearly all of
# its time is that of clang's analyzer, which is a target of its own.
comma = ,
tidy = @printf '%s\n' $(LINT_C) | xargs -P "$$(nproc)" -I FILE sh -c \
	'said=$$(clang-tidy --quiet "$$@" 2>&1) || \
	{ printf "%s\n" "$$said"; exit 1; }' sh $(1) \
	FILE -- -std=gnu17 -D_GNU_SOURCE -Wall -Wextra $(ALL_CPPFLAGS) \
	$(UNIT_DEFS) $(slurm_cflags)
lint-tidy:
	$(call tidy,'--checks=-clang-analyzer-*')

lint-clang:
	$(call tidy,'--checks=-bugprone-*$(comma)-cert-*$(comma)-misc-*')

# Its check of descriptors takes dup2() onto 0, 1 and 2 for a leak.
lint-analyzer:
	@printf '%s\n' $(SRC:%=$(srcdir)/src/%) | xargs -P "$$(nproc)" -I FILE \
		gcc -std=gnu17 -D_GNU_SOURCE -O1 -Werror -fanalyzer \
		-Wno-analyzer-fd-leak -c -o /dev/null \
		$(ALL_CPPFLAGS) $(slurm_cflags) FILE

lint-shell:
	cd $(srcdir) && shellcheck $$( \
		{ grep -r -I -l -E '^#!.*[/ ](sh|dash|bash|bats)( |$$)' $(SCRIPT_DIRS); \
		find $(SCRIPT_DIRS) -name '*.bash'; } | sort -u)

lint-man:
ifneq ($(PAGES),)
	mandoc -T lint -W warning $(PAGES)
endif

format:
	clang-format -i $(C_FILES)

-include $(OBJ:.o=.d) $(UNIT:=.d)

.PHONY: all check fuzz install uninstall clean distclean dist format
.PHONY: lint lint-format lint-cppcheck lint-tidy lint-clang lint-analyzer lint-shell lint-man
.DELETE_ON_ERROR:
