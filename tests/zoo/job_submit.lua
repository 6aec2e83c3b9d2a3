-- SPDX-License-Identifier: GPL-2.0-or-later
-- For slurmctld: the successor of a leg runs on another node than the one that
-- has submitted it.

function slurm_job_submit(job)
	if job.alloc_node ~= "n0" then
		job.exc_nodes = job.alloc_node
	end
	return slurm.SUCCESS
end

function slurm_job_modify()
	return slurm.SUCCESS
end
