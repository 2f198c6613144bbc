-- Record one output of a resource. Returns all of them in index order once none is missing, and forgets them; else nil.
-- KEYS: the hash of the resource. ARGV: index, output as JSON, 1 if it is the last one.
local outputs, index, output, last = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
redis.call('HSET', outputs, index, output)
if last == '1' then
  redis.call('HSET', outputs, 'total', index + 1)
end
local total = tonumber(redis.call('HGET', outputs, 'total') or 'inf')
if redis.call('HLEN', outputs) <= total then -- the total is a field too
  return nil
end
local found = {}
for place = 1, total do
  found[place] = redis.call('HGET', outputs, place - 1)
end
redis.call('DEL', outputs)
return found
