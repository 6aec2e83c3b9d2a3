#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# network.bats - TCP connections that go on from node to node, and what a job in
# a network of its own reaches outside

# shellcheck disable=SC2016,SC2154
load common
load chain

criu_next=/opt/criu-4.2/sbin/criu

setup_file() { own_cluster network; }
teardown_file() { cluster down; }

# over_nodes NAME: from n1 over n2 to n3, a leg at each of its gates
over_nodes() {
	start -w n1 --gres=widget:2 script.sh
	reaches "$1" g1
	block n1
	leave "$1" g1
	on n0 scontrol update JobId="$job" ReqNodeList=n2
	reaches "$1" g2
	block n2
	leave "$1" g2
	on n0 scontrol update JobId="$job" ReqNodeList=n3
	reaches "$1" g3
	touch g3
	ends_as COMPLETED 0:0
	[ "$(grep '"event":"leg"' "$journal" | grep -o '"host":"n[123]"')" = \
		$'"host":"n1"\n"host":"n2"\n"host":"n3"' ]
}

@test "an R PSOCK cluster computes on over three nodes" {
	write psock.R <<-'X'
		library(parallel)
		side <- function(...) cat(..., "\n", file = "side", append = TRUE)
		workers <- makePSOCKcluster(2)
		clusterSetRNGStream(workers, 3)
		side("start P")
		for (gate in c("g1", "g2", "g3")) {
		    x <- parSapply(workers, 1:6, function(i) sum(rnorm(1000 * i)))
		    cat(gate, format(x, digits = 12), "\n")
		    side("P at", gate)
		    while (!file.exists(gate)) Sys.sleep(0.05)
		}
		stopCluster(workers)
		cat("end\n")
		side("end P")
	X
	write script.sh <<-X
		#!/bin/bash
		checkpointer -s criu.binary=$criu_next -- Rscript psock.R
		echo "status \$?"
	X
	wanted script.sh
	over_nodes P
	want_output
	once P
}

@test "a job finds itself by the node's name, and reaches other nodes and Slurm" {
	write net.py <<-'X'
		import os, socket, subprocess, time
		def side(*what):
		    with open("side", "a") as f:
		        print(*what, file=f)
		side("start N")
		server = socket.create_server((socket.gethostname(), 0))
		client = socket.create_connection(server.getsockname())
		other, _ = server.accept()
		for n, gate in enumerate(("g1", "g2", "g3")):
		    client.sendall(b"a%d" % n)
		    other.sendall(b"b%d" % n)
		    print("inside", other.recv(9).decode(), client.recv(9).decode())
		    with socket.create_connection(("10.99.0.10", 6817)):
		        print("slurmctld hears")
		    # By its present name, and a new socket, too.
		    with socket.create_server((socket.gethostname(), 0)) as s, \
		            socket.create_connection(s.getsockname()):
		        print("found by name")
		    job = os.environ["SLURM_JOB_ID"]
		    done = subprocess.run(["squeue", "-h", "-o", "%t", "-j", job])
		    print("squeue", done.returncode, flush=True)
		    side("N at", gate)
		    while not os.path.exists(gate):
		        time.sleep(0.05)
		side("end N")
	X
	write script.sh <<-X
		#!/bin/bash
		checkpointer -s criu.binary=$criu_next -- python3 net.py
		echo "status \$?"
	X
	over_nodes N
	plain "$out" >got
	for n in 0 1 2; do
		grep -qx "inside a$n b$n" got
	done
	[ "$(grep -cx 'slurmctld hears' got)" = 3 ]
	[ "$(grep -cx 'found by name' got)" = 3 ]
	[ "$(grep -cx 'squeue 0' got)" = 3 ]
	once N
}
