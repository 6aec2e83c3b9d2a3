-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- job_submit.lua - Slurm: jobs with checkpointer go on when their node dies
--
-- For a job whose script has a line of checkpointer: --requeue, where neither
-- this nor --no-requeue was given; of use where the site has JobRequeue=0.
-- Other jobs stay as they are. To be put beside slurm.conf on the controller,
-- with this line in it:
--
--     JobSubmitPlugins=lua
--
-- A job_submit.lua that is there already calls want_requeue(job). --signal
-- cannot be set here, as Slurm does not show it: see cli_filter.lua.

-- The same is in cli_filter.lua.
local function runs_checkpointer(script)
	for line in script:gmatch("[^\n]+") do
		if not line:match("^%s*#") and not line:match("^%s*module%s") and
			not line:match("^%s*ml%s") and
			(" " .. line .. " "):match("[%s/;|&(`]checkpointer[%s;|&)`]") then
			return true
		end
	end
	return false
end

local function want_requeue(job)
	if job.requeue == slurm.NO_VAL16 and runs_checkpointer(job.script or "") then
		job.requeue = 1
	end
end

function slurm_job_submit(job, partitions, uid)
	want_requeue(job)
	return slurm.SUCCESS
end

function slurm_job_modify(job, record, partitions, uid)
	return slurm.SUCCESS
end
