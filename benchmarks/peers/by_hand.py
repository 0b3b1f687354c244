"""A graph by hand over Redis, for queues that know no graphs: counters of what each task still waits for.

Celery in layers uses it as well: one script counts a task's dependents down and says which are ready. Not durable: a
worker that dies between the script and sending what is ready loses the rest of the graph.
"""

from __future__ import annotations

from typing import Any

from redis import Redis

from benchmarks.peers.rounds import Needs, dependents_of

URL = "BENCH_REDIS_URL"
# One script, so that two ends at the same time cannot both miss, or both see, the zero. The set makes a redelivered
# task harmless, which late acknowledgements ask for.
_FINISH = """
if redis.call('SADD', KEYS[1] .. ':done', ARGV[1]) == 0 then return {} end
local ready = {}
local after = redis.call('HGET', KEYS[1] .. ':after', ARGV[1])
if after then
  for task in string.gmatch(after, '%S+') do
    if redis.call('HINCRBY', KEYS[1] .. ':open', task, -1) == 0 then table.insert(ready, task) end
  end
end
if redis.call('DECR', KEYS[1] .. ':left') == 0 then redis.call('RPUSH', KEYS[1] .. ':end', '1') end
return ready
"""


class Graph:
    """The counters of all runs, in the Redis at ``url``."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=None)  # waiting for the end may take long
        self._finish = self._redis.register_script(_FINISH)

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def begin(self, run: str, needs: Needs) -> list[str]:
        """Write the counters down; returns the tasks that need nothing."""
        waiting: dict[Any, int] = {task: len(before) for task, before in needs.items() if before}
        after: dict[Any, str] = {task: " ".join(them) for task, them in dependents_of(needs).items() if them}
        with self._redis.pipeline() as pipe:
            if waiting:
                pipe.hset(f"{run}:open", mapping=waiting)
                pipe.hset(f"{run}:after", mapping=after)
            pipe.set(f"{run}:left", len(needs))
            pipe.execute()
        return [task for task, before in needs.items() if not before]

    def finish(self, run: str, task: str) -> list[str]:
        """Count the end of a task; returns those that this one made ready."""
        return [name.decode() for name in self._finish(keys=[run], args=[task])]

    def wait(self, run: str, timeout_s: float = 300) -> None:
        """Return when all tasks of a run have ended. Raises TimeoutError."""
        if self._redis.blpop([f"{run}:end"], timeout=timeout_s) is None:
            raise TimeoutError(f"run {run} has not ended within {timeout_s:g} s")
