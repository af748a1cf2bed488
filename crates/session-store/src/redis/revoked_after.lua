-- The next revocations. KEYS[1]: a hash with the name of the set and the number of the latest one. KEYS[2]: all of them,
-- by number. ARGV[1]: the number of the last one that is known. ARGV[2]: the most that are given. ARGV[3]: the name of a
-- set that has none yet. Answers its name (32 bytes), the latest number, the number to go on after (20 digits each), and
-- the entries.
redis.call('HSETNX', KEYS[1], 'name', ARGV[3])
local name, last = unpack(redis.call('HMGET', KEYS[1], 'name', 'last'))
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local entries, after = {}, ARGV[1]
for index = 1, #found, 2 do
    entries[#entries + 1] = found[index]
    after = found[index + 1]
end
return name .. string.format('%020.0f%020.0f', tonumber(last or 0), tonumber(after)) .. table.concat(entries)
