# SPDX-License-Identifier: GPL-2.0-or-later
use strict;
use warnings;
use IO::Handle;

$| = 1;
srand(6);
my %count;
open(my $log, '>>', 'log') or die;
$log->autoflush(1);
for my $i (1 .. 70) {
	my $text = join(' ', map { chr(97 + int(rand(26))) x (1 + int(rand(3))) } 1 .. 500);
	$count{$1}++ while $text =~ /\b(\w+)\b/g;
	my ($top) = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
	print "$i $top $count{$top}\n";
	print $log "$i\n";
	my $pid = open(my $child, '-|') // die;
	if (!$pid) {
		select(undef, undef, undef, 0.1);
		print scalar(keys %count), "\n";
		exit 0;
	}
	print $log scalar(<$child>);
	close($child);
}
print map { "$_ $count{$_}\n" } sort keys %count;
