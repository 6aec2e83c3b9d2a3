# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash

mkfifo side
sort -n <side >sorted &
sum=7
for ((i = 0; i < 160; i++)); do
	sum=$(((sum * 31 + i) % 1000003))
	echo "$i $sum"
	[ $((i % 5)) != 0 ] || sleep 0.25
done |
	awk '{ print; fflush() } $2 % 3 == 0 { print $2 * 7, "third"; fflush() }' |
	sed -u 's/third/3/' |
	tee side |
	while read -r a b; do
		echo "$b <- $a"
	done
wait
rm side
md5sum sorted
