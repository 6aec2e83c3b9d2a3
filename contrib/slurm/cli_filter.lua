-- SPDX-License-Identifier: GPL-2.0-or-later
--
-- cli_filter.lua - Slurm: sbatch adds what jobs with checkpointer want
--
-- For a script with a line of checkpointer: --signal=B:USR1@600 and --requeue,
-- where they are not given, on the line, as #SBATCH or in the environment.
-- Other jobs stay as they are. To be put beside slurm.conf on all machines
-- where people call sbatch, with this line in it:
--
--     CliFilterPlugins=cli_filter/lua
--
-- A job_submit plugin could not do it: Slurm does not show it --signal. Later
-- legs of a chain are not submitted by sbatch and go without the signal:
-- checkpointer has a timer of its own.

-- Seconds: [checkpoint] margin of the site. In a short job checkpointer takes a
-- third of its time, so DefaultTime should be three times as long at least.
local margin = 600

-- So much too early may Slurm send the signal.
local early = 60

-- The same is in job_submit.lua.
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

-- The script that sbatch will send: of --wrap, or in a file; else none.
local function script_of(options)
	local file = not options.wrap and options.argv[1] and io.open(options.argv[1])
	local text = options.wrap

	if file then
		text = file:read("*a")
		file:close()
	end
	return text or ""
end

-- "1-02:03:04" in seconds; nil where there is no limit, or the partition's.
local function seconds(text)
	local days, clock = (text or ""):match("^(%d+)-(.+)$")
	local h, m, s = (clock or text or ""):match("^(%d+):(%d+):(%d+)$")

	return h and (((days or 0) * 24 + h) * 60 + m) * 60 + s
end

-- How long before the end; nil: the job is too short for a signal.
local function signal_time(limit)
	if not limit then
		return margin
	end
	return limit >= 2 * early and math.floor(math.min(margin, limit / 3)) or nil
end

function slurm_cli_setup_defaults(options, early_pass)
	return slurm.SUCCESS
end

function slurm_cli_pre_submit(options, pack_offset)
	if options.type ~= "sbatch" or not runs_checkpointer(script_of(options)) then
		return slurm.SUCCESS
	end
	local time = signal_time(seconds(options.time))

	if time and (options.signal or "0@0") == "0@0" then
		options.signal = string.format("B:USR1@%d", time)
	end
	if options.requeue == "unset" then
		options.requeue = "requeue"
	end
	return slurm.SUCCESS
end

function slurm_cli_post_submit(offset, job_id, step_id)
	return slurm.SUCCESS
end
