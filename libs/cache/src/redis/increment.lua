-- Increments a counter, whose time to live starts at its first increment.
-- KEYS[1]: the counter. ARGV: the amount, and the time to live in milliseconds. Returns the sum.
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return sum
