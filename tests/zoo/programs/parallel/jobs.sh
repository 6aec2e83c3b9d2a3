# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash

job() {
	echo "$1: $(echo "$1 ^ 40 % 1000003" | bc)"
	sleep 0.2
	[ $(($1 % 9)) != 8 ]
}
export -f job
seq 1 27 | parallel --will-cite -j 3 -k --joblog log job
echo "$? failed"
cut -f 7 log | sort | uniq -c
rm log
