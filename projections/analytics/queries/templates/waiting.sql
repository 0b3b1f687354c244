-- title: Waiting in queues
-- description: How long attempts waited between their dispatch and their start, by skill, over time.
-- parameter since: time = 6h -- from when on
-- parameter until: time = now -- up to when
-- parameter bucket: bucket = hour -- the length of a bucket of time
-- parameter skill: text = -- only this skill
-- units: mean_s s, p50_s s, p95_s s, p99_s s, longest_s s
-- chart: line time p95_s by skill
WITH
    toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_minute,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfHour(first_minute + INTERVAL 3599 SECOND) AS first_hour,
    toStartOfHour(end) AS end_hour,
    toStartOfDay(first_hour + INTERVAL 86399 SECOND) AS first_day,
    toStartOfDay(end) AS end_day
SELECT
    toStartOfInterval(part.at, toIntervalSecond({bucket:UInt32}), toDateTime('1970-01-01 00:00:00', 'UTC')) AS time,
    part.skill AS skill,
    sum(part.started) AS started,
    round(sum(part.waited_us) / 1000000 / started, 6) AS mean_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.waits)[1], 6) AS p50_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.waits)[2], 6) AS p95_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.waits)[3], 6) AS p99_s,
    max(part.longest_s) AS longest_s
FROM
(
    SELECT skill, day AS at, started, waited_us, longest_s, waits FROM queue_days
    WHERE tenant = {tenant:String} AND ({skill:String} = '' OR skill = {skill:String}) AND day >= first_day AND day < end_day AND {bucket:UInt32} % 86400 = 0
    UNION ALL
    SELECT skill, hour AS at, started, waited_us, longest_s, waits FROM queue_hours
    WHERE tenant = {tenant:String} AND ({skill:String} = '' OR skill = {skill:String})
        AND hour >= first_hour AND hour < end_hour AND {bucket:UInt32} % 3600 = 0
        AND ({bucket:UInt32} % 86400 != 0 OR hour < first_day OR hour >= end_day)
    UNION ALL
    SELECT skill, minute AS at, started, waited_us, longest_s, waits FROM queue_minutes
    WHERE tenant = {tenant:String} AND ({skill:String} = '' OR skill = {skill:String})
        AND minute >= first_minute AND minute < end
        AND ({bucket:UInt32} % 3600 != 0 OR minute < first_hour OR minute >= end_hour)
) AS part
GROUP BY time, skill
ORDER BY time, skill
