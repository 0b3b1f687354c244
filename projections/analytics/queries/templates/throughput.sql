-- title: Throughput
-- description: What the system got through over time: events, attempts, tasks and missions.
-- parameter since: time = 1h -- from when on
-- parameter until: time = now -- up to when
-- parameter bucket: bucket = minute -- the length of a bucket of time
-- units: events_per_s 1/s
-- chart: line time events_per_s
WITH
    toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_minute,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfHour(first_minute + INTERVAL 3599 SECOND) AS first_hour,
    toStartOfHour(end) AS end_hour
SELECT
    toStartOfInterval(part.at, toIntervalSecond({bucket:UInt32}), toDateTime('1970-01-01 00:00:00', 'UTC')) AS time,
    sum(part.events) AS events,
    round(events / {bucket:UInt32}, 3) AS events_per_s,
    sumIf(part.events, part.type = 'attempt.finished') AS attempts,
    sumIf(part.events, part.type = 'task.succeeded') AS tasks_succeeded,
    sumIf(part.events, part.type = 'task.failed') AS tasks_failed,
    sumIf(part.events, part.type = 'mission.submitted') AS missions_submitted,
    sumIf(part.events, part.type = 'mission.completed') AS missions_completed
FROM
(
    SELECT type, hour AS at, events FROM type_hours WHERE tenant = {tenant:String} AND hour >= first_hour AND hour < end_hour AND {bucket:UInt32} % 3600 = 0
    UNION ALL
    SELECT type, minute AS at, events FROM type_minutes
    WHERE tenant = {tenant:String} AND minute >= first_minute AND minute < end
        AND ({bucket:UInt32} % 3600 != 0 OR minute < first_hour OR minute >= end_hour)
) AS part
GROUP BY time
ORDER BY time
