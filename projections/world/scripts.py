"""What must be atomic, in Lua. Every script names all keys it touches, and all of a call lie in one slot."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError

Connection = Redis | RedisCluster

APPLY = """
-- KEYS: meta, channel, then whatever is written.   ARGV: epoch, expected position, new position, format, unreadable,
-- message, then operations: name, number of the key, count of arguments, arguments.
local meta = redis.call('HMGET', KEYS[1], 'position', 'epoch')
local position, epoch = meta[1] or '', tonumber(meta[2] or '0')
if epoch > tonumber(ARGV[1]) then return {'fenced', position} end
if position ~= ARGV[2] then return {'moved', position} end
local at = 7
while at <= #ARGV do
  local name, key, count = ARGV[at], KEYS[tonumber(ARGV[at + 1])], tonumber(ARGV[at + 2])
  at = at + 3
  if count == 0 then redis.call(name, key) end
  -- Lua passes some thousands of arguments at most; 500 is even, so that no field loses its value.
  for first = at, at + count - 1, 500 do
    redis.call(name, key, unpack(ARGV, first, math.min(first + 499, at + count - 1)))
  end
  at = at + count
end
redis.call('HSET', KEYS[1], 'position', ARGV[3], 'epoch', ARGV[1], 'format', ARGV[4], 'unreadable', ARGV[5])
if ARGV[6] ~= '' then redis.call('PUBLISH', KEYS[2], ARGV[6]) end
return {'applied', ARGV[3]}
"""
"""One batch of one tenant, with its position; refused for a stale writer, or if the store is elsewhere."""

READ = """
-- KEYS: pointer, meta, then whatever is read.   ARGV: generation, then for each key: command, count, arguments.
local generation = redis.call('GET', KEYS[1])
if not generation then return {''} end
if generation ~= ARGV[1] then return {generation} end
local found = {generation, redis.call('HGET', KEYS[2], 'position') or ''}
local at = 2
for number = 3, #KEYS do
  local name, count = ARGV[at], tonumber(ARGV[at + 1])
  found[number] = redis.call(name, KEYS[number], unpack(ARGV, at + 2, at + 1 + count))
  at = at + 2 + count
end
return found
"""
"""Any reads of one tenant and its position, as of one moment."""

LOAD = """
-- KEYS: what is read.   ARGV: a command for each.
local found = {}
for number, key in ipairs(KEYS) do found[number] = redis.call(ARGV[number], key) end
return found
"""
"""Whole keys of one tenant, as of one moment."""

ADVANCE = """
-- KEYS: state.   ARGV: epoch, generation, 'anew' or '', then fields and values.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'generation')
if tonumber(known[1] or '0') > tonumber(ARGV[1]) then return {'fenced'} end
if (known[2] or '') ~= ARGV[2] then return {'moved'} end
if ARGV[3] == 'anew' then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
for at = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
return {'applied'}
"""
"""The writer's own record: low-water mark, positions of tenants, generation."""

ACQUIRE = """
-- KEYS: lock, tokens.   ARGV: owner, milliseconds.
if redis.call('EXISTS', KEYS[1]) == 1 then return '' end
local now = redis.call('TIME')
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now[1] * 1000 + math.floor(now[2] / 1000))
token = string.format('%.0f', token)
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. token, 'PX', ARGV[2])
return token
"""
"""Take a lock that nobody holds. Tokens follow the clock, so that they grow even if the store lost all of them."""

RENEW = """
-- KEYS: lock.   ARGV: owner and token, milliseconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

RELEASE = """
-- KEYS: lock.   ARGV: owner and token.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""

GUARD = """
-- KEYS: the highest token seen.   ARGV: token.
local seen = redis.call('GET', KEYS[1])
if seen and tonumber(seen) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""
"""Whether a writer's token is the newest that was ever seen at this place."""

_digests = {
    script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (APPLY, READ, LOAD, ADVANCE, ACQUIRE, RENEW, RELEASE, GUARD)
}


async def run(redis: Connection, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
    """Run a script, which is loaded where the server does not know it (any more)."""
    client: Any = redis  # its stubs want text where it takes bytes and numbers as well
    try:
        return await client.evalsha(_digests[script], len(keys), *keys, *arguments)
    except NoScriptError:
        return await client.eval(script, len(keys), *keys, *arguments)
