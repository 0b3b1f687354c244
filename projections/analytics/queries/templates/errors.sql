-- title: Errors by code
-- description: What went wrong, by kind of event and code, in whole hours: failed attempts, tools, models, tasks and missions, violations, leases that ended.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter type: text = -- only types that begin so, such as world.
-- parameter limit: whole(1000) = 50 -- rows at most
-- chart: bar code times
SELECT
    part.type AS type,
    part.code AS code,
    sum(part.failures) AS times,
    uniqExact(part.task) AS tasks,
    max(part.last).1 AS last_at,
    max(part.last).2 AS last_mission
FROM failure_hours AS part
WHERE part.tenant = {tenant:String} AND startsWith(part.type, {type:String})
    AND part.hour >= toStartOfHour(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AND part.hour < toDateTime({until:DateTime64(6, 'UTC')}, 'UTC')
GROUP BY type, code
ORDER BY times DESC, type, code
LIMIT {limit:UInt32}
