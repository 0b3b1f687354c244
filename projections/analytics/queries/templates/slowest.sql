-- title: Slowest tasks
-- description: The attempts that took longest, in whole hours. Of every hour and skill the fifty slowest are known.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter skill: text = -- only attempts at tasks of this skill
-- parameter limit: whole(50) = 20 -- attempts at most
-- units: duration_s s
-- chart: bar task duration_s
WITH
    toStartOfHour(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_hour,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfDay(first_hour + INTERVAL 86399 SECOND) AS first_day,
    toStartOfDay(end) AS end_day
SELECT
    -one.1 / 1000000 AS duration_s,
    one.4 AS task,
    one.5 AS attempt,
    part.skill AS skill,
    one.6 AS agent,
    one.8 AS outcome,
    one.9 AS code,
    one.2 AS finished_at,
    one.3 AS mission,
    one.7 AS worker
FROM
(
    SELECT skill, arrayJoin(groupArraySortedMerge(50)(slowest)) AS one
    FROM
    (
        SELECT skill, slowest FROM slow_days
        WHERE tenant = {tenant:String} AND ({skill:String} = '' OR skill = {skill:String}) AND day >= first_day AND day < end_day
        UNION ALL
        SELECT skill, slowest FROM slow_hours
        WHERE tenant = {tenant:String} AND ({skill:String} = '' OR skill = {skill:String})
            AND hour >= first_hour AND hour < end AND (hour < first_day OR hour >= end_day)
    )
    GROUP BY skill
) AS part
ORDER BY one, skill
LIMIT {limit:UInt32}
