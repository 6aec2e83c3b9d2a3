-- SPDX-License-Identifier: GPL-2.0-or-later
local function primes()
	return coroutine.wrap(function()
		local found = {}
		for n = 2, math.huge do
			local prime = true
			for _, p in ipairs(found) do
				if p * p > n then break end
				if n % p == 0 then prime = false break end
			end
			if prime then
				found[#found + 1] = n
				coroutine.yield(n)
			end
		end
	end)
end

local next_prime, sum, words = primes(), 0, {}
local file <close> = assert(io.open("primes.txt", "w"))
for i = 1, 70 do
	local p
	for _ = 1, 200 do
		p = next_prime()
		sum = (sum * 31 + p) % 1000003
	end
	words[#words + 1] = ("%x"):format(sum)
	print(i, p, table.concat(words, ",", math.max(1, #words - 3)))
	io.stdout:flush()
	file:write(p, "\n")
	assert(io.popen("sleep 0.1")):close()
end
