-- Takes one token from a bucket; the same algorithm as `Spent::take` in rate.rs. `now`, in microseconds, is prepended.
-- All numbers are integers below 2^53, which Lua represents exactly.
-- KEYS[1]: when the bucket is full. ARGV: microseconds per token, and of a full bucket.
-- Returns whether a token was taken, and the microseconds until the bucket is full.
local step, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
-- Capped, because the clock may have been set back.
local missing = math.min(math.max(full_at - now, 0), capacity)
local allowed = missing + step <= capacity
if allowed then
  missing = missing + step
end
-- One millisecond more, because the server expires keys by a clock of whole milliseconds.
local ttl = math.ceil(missing / 1000) + 1
redis.call('SET', KEYS[1], string.format('%.0f', now + missing), 'PX', string.format('%.0f', ttl))
return { allowed and 1 or 0, missing }
