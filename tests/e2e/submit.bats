#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# submit.bats - what `submit' adds to the line of sbatch, and what it leaves as
# it is; an sbatch that is only a script tells

# common.bash and bats set variables, for one test only.
# shellcheck disable=SC2030,SC2031,SC2154

load common

# job [SBATCH-OPTION...]: a batch script with these
job() {
	{ echo '#!/bin/sh'; printf '#SBATCH %s\n' "$@"; echo 'echo hello'; } >job.sh
}

# submits WORD... -- ARG...: `checkpointer ARG...' runs sbatch with these words
submits() {
	local want=()
	while [ "$1" != -- ]; do
		want+=("<$1>")
		shift
	done
	shift
	run -0 --separate-stderr checkpointer "$@"
	[ "$output" = "${want[*]}" ] || fail "sbatch $output, not ${want[*]}"
}

eval "common_$(declare -f setup)"
setup() {
	common_setup || return
	mkdir bin
	cat >bin/sbatch <<-'X'
		#!/bin/bash
		words=$(printf '<%s> ' "$@")
		echo "${words% }"
		env | grep ^CHECKPOINTER_ | sort >env.sbatch || :
	X
	chmod +x bin/sbatch
	PATH=$work/bin:$PATH
	job --time=1:00:00
}

@test "the signal comes with the margin, and all else as it was given" {
	submits --signal=B:USR1@600 job.sh -- submit job.sh
	submits --signal=B:USR1@600 -p main -t 30 -J 'two words' job.sh -v -x '' -- \
		submit -p main -t 30 -J 'two words' job.sh -v -x ''
	submits --signal=B:USR1@90 job.sh -- -m 1m30s submit job.sh
	submits --signal=B:USR1@1 job.sh -- -m 0.5 submit job.sh
	submits --signal=B:USR2@600 job.sh -- \
		-s signals.save=USR1 -s signals.checkpoint=USR2 submit job.sh
	submits --signal=B:USR1@600 -t 30 --wrap 'echo -t 5' -- \
		submit -t 30 --wrap 'echo -t 5'
}

@test "with requeue, Slurm may requeue the job and appends to its output" {
	requeue=(-s slurm.method=requeue)
	submits --signal=B:USR1@600 --requeue --open-mode=append job.sh -- \
		"${requeue[@]}" submit job.sh
	submits --signal=B:USR1@600 --open-mode=append --no-requeue job.sh -- \
		"${requeue[@]}" submit --no-requeue job.sh
	job --time=1:00:00 --requeue --open-mode=truncate
	submits --signal=B:USR1@600 job.sh -- "${requeue[@]}" submit job.sh
}

@test "what is given wins: on the line, in the script, in the environment" {
	submits --signal=TERM@5 job.sh -- submit --signal=TERM@5 job.sh
	submits --sig USR2 job.sh -- submit --sig USR2 job.sh
	submits --signal=B:USR1@600 job.sh --signal=5 -- submit job.sh --signal=5
	SBATCH_SIGNAL=USR2@7 submits job.sh -- submit job.sh
	job --time=1:00:00 --signal=B:USR2@5
	submits job.sh -- submit job.sh
	run -0 checkpointer submit -- job.sh
	[ "$output" = '<--> <job.sh>' ]
}

@test "a script that is linked to, or found in PATH, is read, too" {
	job --signal=B:USR2@5
	mkdir jobs
	mv job.sh jobs/real
	ln -s jobs/real link
	submits link -- submit link
	PATH=$PATH:$work/jobs submits real -- submit real
}

@test "a time limit that leaves little beside the margin" {
	for t in 30=600 29=580 10=200 5=100 2=40; do
		submits --signal=B:USR1@"${t#*=}" -t "${t%=*}" job.sh -- \
			submit -t "${t%=*}" job.sh
	done
	submits -t 1 job.sh -- submit -t 1 job.sh
	[[ $stderr == *'no --signal with a time limit of 1 min'* ]]
	submits --signal=B:USR1@600 -t UNLIMITED job.sh -- submit -t UNLIMITED job.sh
	# One that was asked for must fit.
	submits -t 11 job.sh -- -m 10m submit -t 11 job.sh
	[[ $stderr == *'no --signal with a time limit of 11 min'* ]]
	submits --signal=B:USR1@600 -t 12 job.sh -- -m 10m submit -t 12 job.sh
	for t in 10 10:00 0:10:00 5; do
		run -64 --separate-stderr checkpointer -m 10m submit -t "$t" job.sh
		[[ $stderr == *'the margin of 10 min leaves nothing'* ]]
		[ "$output" = '' ]
	done
	job --time=8
	run -64 checkpointer -m 8m submit job.sh
	submits --signal=B:USR1@60 job.sh -- --margin=1m submit job.sh
}

@test "without --time there is no signal: the limit may be a short one" {
	job --job-name=x
	submits job.sh -- submit job.sh
	submits --signal=B:USR1@600 job.sh -- -m 10m submit job.sh
}

@test "settings of the line hold in the job" {
	run -0 checkpointer -c fit -m 1m -s environment.CHECKED=1 submit job.sh
	printf '%s\n' CHECKPOINTER_CHAIN=fit CHECKPOINTER_CHECKPOINT_MARGIN=1m >want
	want_same want env.sbatch
}

@test "-v tells what is run" {
	run -0 --separate-stderr checkpointer -v submit -p main job.sh
	[[ $stderr == *'sbatch --signal=B:USR1@600 -p main job.sh'* ]]
	run -0 --separate-stderr checkpointer submit job.sh
	[ "$stderr" = '' ]
}

@test "help, and mistakes" {
	run -0 checkpointer submit --help
	[[ $output == *'Usage: checkpointer [OPTION]... submit'* ]]
	run -64 --separate-stderr checkpointer submit
	[[ $stderr == *'submit takes a batch script'* ]]
	run -64 --separate-stderr checkpointer submit -p main
	run -66 --separate-stderr checkpointer submit missing.sh
	[[ $stderr == *'missing.sh: No such file'* ]]
	run -78 --separate-stderr checkpointer -m soon submit job.sh
	run -127 --separate-stderr env PATH=/nowhere "$(command -v checkpointer)" submit job.sh
	[[ $stderr == *'cannot run sbatch: No such file'*'checkpointer batch SCRIPT'* ]]
	[ "$output" = '' ]
}
