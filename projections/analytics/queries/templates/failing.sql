-- title: Most failing tasks
-- description: Tasks whose attempts failed, ran out of time or lost their worker most often, in whole hours.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter skill: text = -- only tasks of this skill
-- parameter limit: whole(1000) = 20 -- tasks at most
-- chart: bar task failures
WITH
    toStartOfHour(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_hour,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfDay(first_hour + INTERVAL 86399 SECOND) AS first_day,
    toStartOfDay(end) AS end_day
SELECT
    part.task AS task,
    max(part.skill) AS skill,
    sum(part.failures) AS failures,
    sumIf(part.failures, part.type = 'action.expired') AS expired,
    arrayStringConcat(arraySlice(arraySort(groupUniqArray(toString(part.code))), 1, 5), ', ') AS codes,
    max(part.last).1 AS last_at,
    max(part.last).2 AS last_mission
FROM
(
    SELECT task, skill, type, code, failures, last FROM failure_days
    WHERE tenant = {tenant:String} AND type IN ('attempt.finished', 'action.expired') AND ({skill:String} = '' OR skill = {skill:String})
        AND day >= first_day AND day < end_day
    UNION ALL
    SELECT task, skill, type, code, failures, last FROM failure_hours
    WHERE tenant = {tenant:String} AND type IN ('attempt.finished', 'action.expired') AND ({skill:String} = '' OR skill = {skill:String})
        AND hour >= first_hour AND hour < end AND (hour < first_day OR hour >= end_day)
) AS part
GROUP BY task
ORDER BY failures DESC, task
LIMIT {limit:UInt32}
