# SPDX-License-Identifier: GPL-2.0-or-later
$stdout.sync = true
random = Random.new(13)
work = Queue.new
done = Queue.new
workers = 3.times.map do
  Thread.new do
    while (job = work.pop) != :end
      sleep 0.1
      done << [job, job.digits.sum * 17]
    end
  end
end
sums = Fiber.new do
  sum = 0
  loop { sum = (sum * 31 + Fiber.yield(sum)) % 1_000_003 }
end
sums.resume
70.times do |i|
  numbers = Array.new(3) { random.rand(1_000_000) }
  numbers.each { |n| work << n }
  results = 3.times.map { done.pop }.sort
  puts "#{i} #{results.inspect} #{sums.resume(results.flatten.sum)}"
  File.binwrite('state', Marshal.dump(results))
end
3.times { work << :end }
workers.each(&:join)
