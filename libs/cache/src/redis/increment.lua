-- Adds to a counter that lives from its first increment on.
-- KEYS[1]: the counter. ARGV: what to add, and the milliseconds it lives. Gives the sum.
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return sum
