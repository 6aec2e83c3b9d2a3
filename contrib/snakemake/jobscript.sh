#!/bin/sh
# properties = {properties}
# shellcheck disable=SC1083 # Snakemake fills this in: cd DIRECTORY && ...
checkpointer
command {exec_job}
