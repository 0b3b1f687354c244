-- title: Errors by code
-- description: What went wrong, by kind of event and code, in whole hours: failed attempts, tools, models, tasks and missions, violations, leases that ended.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter type: text = -- only types that begin so, such as world.
-- parameter limit: whole(1000) = 50 -- rows at most
-- chart: bar code times
WITH
    toStartOfHour(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_hour,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfDay(first_hour + INTERVAL 86399 SECOND) AS first_day,
    toStartOfDay(end) AS end_day
SELECT
    part.type AS type,
    part.code AS code,
    sum(part.failures) AS times,
    uniqExact(part.task) AS tasks,
    max(part.last).1 AS last_at,
    max(part.last).2 AS last_mission
FROM
(
    SELECT type, code, task, failures, last FROM failure_days
    WHERE tenant = {tenant:String} AND startsWith(type, {type:String})
        AND day >= first_day AND day < end_day
    UNION ALL
    SELECT type, code, task, failures, last FROM failure_hours
    WHERE tenant = {tenant:String} AND startsWith(type, {type:String})
        AND hour >= first_hour AND hour < end AND (hour < first_day OR hour >= end_day)
) AS part
GROUP BY type, code
ORDER BY times DESC, type, code
LIMIT {limit:UInt32}
