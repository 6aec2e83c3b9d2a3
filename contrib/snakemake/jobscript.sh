#!/bin/sh
# properties = {properties}
checkpointer
{exec_job}
