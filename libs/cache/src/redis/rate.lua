-- Takes one token from a bucket, as `Spent::take` in rate.rs does. `now`, in microseconds, is set by the line before.
-- Nothing here but sums and comparisons of integers below 2^53, which Lua's numbers hold exactly.
-- KEYS[1]: when the bucket is full again. ARGV: microseconds per token, and of a full bucket.
-- Gives whether it was taken, and the microseconds until the bucket is full.
local step, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0) or 0
-- Not later than a full bucket from now, also when the clock was set back.
local missing = math.min(math.max(full_at - now, 0), most)
local allowed = missing + step <= most
if allowed then
  missing = missing + step
end
-- One millisecond more, because the server forgets keys by a clock of whole milliseconds.
local lives = math.ceil(missing / 1000) + 1
redis.call('SET', KEYS[1], string.format('%.0f', now + missing), 'PX', string.format('%.0f', lives))
return { allowed and 1 or 0, missing }
