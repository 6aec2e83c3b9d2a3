#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# params.bats - the successor is the same job: what it was submitted with, as
# scontrol shows it, its environment, limits, umask, priority and arguments are
# those of the first leg, and of each leg after

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# What must differ, see docs/slurm-notes.md. Each is cut out of what is compared.
# Fields of scontrol:
fields='JobId|ArrayJobId|SubmitTime|EligibleTime|AccrueTime|StartTime|EndTime'
fields+='|RunTime|LastSchedEval|Scheduler|AllocNode:Sid|PreemptEligibleTime'
# Where it has landed:
fields+='|NodeList|BatchHost|Nodes|CPU_IDs|SchedNodeList|StepMgrEnabled|Restarts'
# Variables:
variables='SLURM_JOBID|SLURM_JOB_ID|SLURM_JOB_(START|END)_TIME|SLURM_TASK_PID'
variables+='|SLURM_OPEN_MODE|CHECKPOINTER_SUCCESSOR_OF|SLURM_ARRAY_JOB_ID'
variables+='|SLURM_ARRAY_TASK_(COUNT|MAX|MIN|STEP)|SLURMD_NODENAME|HOSTNAME'
variables+='|SLURM_(JOB_)?NODELIST|SLURM_TOPOLOGY_ADDR|SLURM_LOCALID'

# show: what a leg can tell of itself, to a file of its own
write_show() {
	write show <<-'X'
		#!/bin/bash
		name=$SLURM_JOB_NAME${SLURM_ARRAY_TASK_ID+-$SLURM_ARRAY_TASK_ID}
		n=1
		while ! (set -C; : >"$SHOWN/$name.$n") 2>/dev/null; do n=$((n + 1)); done
		{
			# The number of an array's last task is the array's.
			scontrol show job -d "${SLURM_ARRAY_JOB_ID-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID+_$SLURM_ARRAY_TASK_ID}"
			env | sort | sed 's/^/env /'
			ulimit -a -S
			ulimit -a -H
			echo "umask $(umask), nice $(nice), in $PWD"
			printf 'argument <%s>\n' "$@"
		} >"$SHOWN/$name.$n"
		echo "leg $n"
		checkpointer -q --margin="${MARGIN-57s}" -- sleep 8
	X
}

# Many jobs at once: a leg lasts three seconds, a job three legs at most. Those
# with --signal are not for a minute: it may come as early as that.
# case NAME [VAR=VALUE...] [OPTION...]: submit it
case_of() {
	local name=$1 env=()
	shift
	while [[ ${1-} == [A-Z]*=* ]]; do
		env+=("$1")
		shift
	done
	on n0 env SHOWN="$work" "${env[@]}" sh -c "${shell-:}"'; exec sbatch "$@"' \
		sh --parsable -J "$name" -t 1 "$@" >>submitted ||
		fail "$name: sbatch" || return
	names+=("$name")
}

# plain FILE: without what must differ
plain() {
	sed -E -e "s/(^| )($fields)=[^ ]*//g" -e "/^env ($variables)=/d" \
		-e 's/ ?\[checkpointer [^]]*\]//' \
		-e '/^ *Comment= *$/d' -e '/^ *Mem=[0-9]* GRES=/d' -e 's/ +$//' "$1"
}

# same NAME: legs 2 and 3 are as leg 1
same() {
	local n bad=0

	for n in 2 3; do
		[ -s "$1.$n" ] || { echo "$1: there is no leg $n"; return 1; }
		diff -u <(plain "$1.1") <(plain "$1.$n") >difference || {
			echo "$1: leg $n is not as leg 1:"
			cat difference
			bad=1
		}
	done
	return "$bad"
}

# all_the_same: when all jobs have ended, the cases that were submitted
all_the_same() {
	local name n bad=0

	for name in "${names[@]}"; do
		await "slurm-$name.out" '^leg 3$' || { bad=1; continue; }
	done
	for name in "${names[@]}"; do same "$name" || bad=1; done
	return "$bad"
}

# The output's name is the same for all: it is found by the case's name.
o=(-o slurm-%x.out)

@test "options of the command line: what a job is and needs" {
	names=()
	write_show
	case_of plain "${o[@]}" show
	case_of arguments "${o[@]}" show 'a b' '' '*' c
	case_of tasks "${o[@]}" -N 1 -n 2 -c 2 show
	case_of nodes "${o[@]}" -N 2 -n 2 show
	case_of node-range "${o[@]}" -N 2-3 -n 2 show
	case_of per-node "${o[@]}" -N 2 --ntasks-per-node=2 show
	case_of mem "${o[@]}" --mem=321 show
	case_of mem-per-cpu "${o[@]}" -N 1 -c 2 --mem-per-cpu=123 show
	case_of gres "${o[@]}" --gres=widget:1 show
	case_of features "${o[@]}" -C 'a|b' show
	case_of licenses "${o[@]}" -L lic:2 show
	case_of account "${o[@]}" -A project --qos=urgent --wckey=fit show
	case_of nice "${o[@]}" --nice=50 show
	case_of comment "${o[@]}" --comment='my own comment' show
	case_of mail "${o[@]}" --mail-type=END,FAIL --mail-user=a@example.org show
	all_the_same
}

@test "options of the command line: when, where and how it runs" {
	names=()
	write_show
	case_of partition "${o[@]}" -p short show
	case_of partitions "${o[@]}" -p short,main show
	case_of signal MARGIN=117s -t 2 "${o[@]}" --signal=B:USR2@20 show
	case_of singleton "${o[@]}" -d singleton show
	case_of no-requeue "${o[@]}" --no-requeue show
	case_of nodelist "${o[@]}" -w n2 show
	case_of exclude "${o[@]}" -x n1,n3 show
	case_of time-min "${o[@]}" --time-min=1 show
	case_of deadline "${o[@]}" --deadline=now+2hours show
	case_of contiguous "${o[@]}" -N 2 --contiguous show
	case_of overcommit "${o[@]}" -N 1 -O -n 6 show
	case_of switches "${o[@]}" --switches=1@1 show
	case_of distribution "${o[@]}" -N 1 -n 2 -m block:cyclic show
	case_of threads "${o[@]}" --threads-per-core=1 --cores-per-socket=1 show
	case_of streams -o slurm-%x.out -e "$work/%x.%j.err" -i "$work/show" show
	case_of chdir -D /home/alice -o "$work/slurm-%x.out" "$work/show"
	case_of export "${o[@]}" --export=SHOWN,PATH,FOO=bar show
	case_of percent -o 'slurm-%x.out' -e "$work/a%%b-%j.err" show
	case_of nodes-by-name "${o[@]}" -w 'n[1-2]' -n 2 show
	case_of tmp "${o[@]}" --tmp=0 --no-kill --wait-all-nodes=1 show
	all_the_same
}

@test "an array, exclusive nodes, a reservation, limits of the shell" {
	names=()
	write_show
	# It ends by itself: while its last leg runs it cannot be removed.
	on_root n0 scontrol delete ReservationName=held 2>/dev/null || :
	on_root n0 scontrol create reservation ReservationName=held \
		Users=alice StartTime=now Duration=3 NodeCnt=1 \
		Flags=IGNORE_JOBS
	case_of reservation "${o[@]}" --reservation=held show
	case_of exclusive "${o[@]}" --exclusive -N 1 show
	shell='umask 027; ulimit -S -c 0; ulimit -n 500; ulimit -S -s 4096' \
		case_of limits "${o[@]}" show
	shell='renice -n 5 $$' case_of niced "${o[@]}" --propagate=NOFILE show
	case_of array -a 3,5 -o slurm-array-%a.out show
	names=("${names[@]:0:${#names[@]}-1}" array-3 array-5)
	all_the_same
	# The tasks have kept their numbers in all legs.
	want array-3.3 SLURM_ARRAY_TASK_ID=3
	want array-5.3 SLURM_ARRAY_TASK_ID=5
}

@test "options in the script, and in the environment" {
	names=()
	write_show
	{
		printf '%s\n' '#!/bin/bash' '#SBATCH -p short --mem 222' \
			'#SBATCH --comment "a b"  # and why' \
			'#SBATCH --signal=B:USR2@30' '# a comment' \
			'#SBATCH -N1-1' '' '#SBATCH -o slurm-%x.out' \
			'echo "no more options"' '#SBATCH --mem 333'
		tail -n +2 show
	} | write lines
	case_of script MARGIN=117s -t 2 lines
	case_of environment MARGIN=117s SBATCH_PARTITION=short \
		SBATCH_SIGNAL=B:USR2@25 SBATCH_REQUEUE=1 SBATCH_COMMENT=mine \
		-t 2 "${o[@]}" show
	case_of precedence MARGIN=117s SBATCH_PARTITION=short -t 2 --mem=111 lines
	case_of wrap "${o[@]}" --wrap "$work/show with words"
	all_the_same
	want script.3 'Partition=short'
	want script.3 'MinMemoryNode=222M'
	want precedence.3 'MinMemoryNode=111M'
	want precedence.3 'Partition=short'
}
