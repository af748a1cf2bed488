-- Takes one request of a bucket, or refuses it: GCRA (ITU-T I.371) on the clock of the store.
-- KEYS[1]: the bucket. ARGV[1]: the time in which an empty one is filled. ARGV[2]: the time that one request takes of
-- it; less than nothing gives it back. All in nanoseconds. Answers {1 or 0, the time until the bucket is full}.
local whole, step = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local second, nano = tonumber(clock[1]), tonumber(clock[2]) * 1000
local missing = 0
-- When the bucket is full. Seconds and nanoseconds apart: as one number they would not fit a double of Lua.
local kept = redis.call('GET', KEYS[1])
local full_second, full_nano = string.match(kept or '', '^(%d+) (%d+)$')
if full_second then
    missing = (full_second - second) * 1e9 + (full_nano - nano)
    -- Never more than the whole: the clock may have gone back, or the limit may have been another one.
    missing = math.max(0, math.min(missing, whole))
end
if missing + step > whole then
    return {0, missing}
end
missing = math.max(0, missing + step)
local full = nano + missing
local value = string.format('%.0f %.0f', second + math.floor(full / 1e9), full % 1e9)
redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', math.max(1, math.ceil(missing / 1e6))))
return {1, missing}
