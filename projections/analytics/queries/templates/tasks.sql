-- title: Tasks of a mission
-- description: Every attempt of one mission: who made it, how long it waited and took, how it ended.
-- parameter mission: text = -- the whole id of the mission
-- parameter limit: whole(10000) = 200 -- attempts at most
-- units: waited_s s, duration_s s
-- chart: bar task duration_s
SELECT
    task,
    attempt,
    max(part.skill) AS skill,
    max(part.agent) AS agent,
    multiIf(max(part.task_outcome) != '', max(part.task_outcome), max(part.outcome) != '', max(part.outcome), max(part.expired) = 1, 'expired',
        isNotNull(min(part.started_at)), 'started', isNotNull(min(part.dispatched_at)), 'dispatched', 'ready') AS status,
    max(part.code) AS code,
    max(part.violated) = 1 AS violated,
    -- NULL where it began before it was dispatched: the clocks of two machines disagree, or one was set anew.
    if(min(part.started_at) >= min(part.dispatched_at), dateDiff('microsecond', min(part.dispatched_at), min(part.started_at)) / 1000000, NULL) AS waited_s,
    max(part.duration_s) AS duration_s,
    min(part.started_at) AS started_at,
    max(part.worker) AS worker
FROM attempts AS part
WHERE part.tenant = {tenant:String} AND part.mission = {mission:String}
GROUP BY task, attempt
ORDER BY min(part.ready_at), task, attempt
LIMIT {limit:UInt32}
