-- Adds revocations. KEYS[1]: a hash with the number of the latest one. KEYS[2], KEYS[3]: all of them, by number and by
-- end. ARGV[1]: the most of them. The others: entries, whose bytes 53 to 72 are their end, Unix time in milliseconds.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
-- A few at a time: no logout waits for thousands of others.
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 1000)) do
    redis.call('ZREM', KEYS[2], entry)
    redis.call('ZREM', KEYS[3], entry)
end
for index = 2, #ARGV do
    local entry = ARGV[index]
    if redis.call('ZADD', KEYS[3], 'NX', tonumber(string.sub(entry, 53, 72)), entry) == 1 then
        redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[1], 'last', 1), entry)
    end
end
-- The next to end goes.
local more = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[1])
if more > 0 then
    local dropped = redis.call('ZPOPMIN', KEYS[3], more)
    for index = 1, #dropped, 2 do
        redis.call('ZREM', KEYS[2], dropped[index])
    end
end
-- They go with the last of them; the hash stays, so that numbers never begin anew.
local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]
if last then
    redis.call('PEXPIREAT', KEYS[2], last)
    redis.call('PEXPIREAT', KEYS[3], last)
end
return 1
