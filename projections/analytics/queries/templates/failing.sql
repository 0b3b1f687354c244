-- title: Most failing tasks
-- description: Tasks whose attempts failed, ran out of time or lost their worker most often, in whole hours.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter skill: text = -- only tasks of this skill
-- parameter limit: whole(1000) = 20 -- tasks at most
-- chart: bar task failures
SELECT
    task,
    max(part.skill) AS skill,
    sum(part.failures) AS failures,
    sumIf(part.failures, part.type = 'action.expired') AS expired,
    arrayStringConcat(arraySort(groupUniqArray(5)(toString(part.code))), ', ') AS codes,
    max(part.last).1 AS last_at,
    max(part.last).2 AS last_mission
FROM failure_hours AS part
WHERE part.tenant = {tenant:String} AND part.type IN ('attempt.finished', 'action.expired')
    AND ({skill:String} = '' OR part.skill = {skill:String})
    AND part.hour >= toStartOfHour(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AND part.hour < toDateTime({until:DateTime64(6, 'UTC')}, 'UTC')
GROUP BY task
ORDER BY failures DESC, task
LIMIT {limit:UInt32}
