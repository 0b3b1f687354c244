-- title: Event trends
-- description: How many events of each type, or of each noun, over time.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter bucket: bucket = hour -- the length of a bucket of time
-- parameter by: choice(type, noun, all) = type -- what is told apart
-- parameter type: text = -- only types that begin so, such as task.
-- chart: line time events by name
WITH
    toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_minute,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfHour(first_minute + INTERVAL 3599 SECOND) AS first_hour,
    toStartOfHour(end) AS end_hour
SELECT
    toStartOfInterval(part.at, toIntervalSecond({bucket:UInt32}), toDateTime('1970-01-01 00:00:00', 'UTC')) AS time,
    multiIf({by:String} = 'type', toString(part.type), {by:String} = 'noun', splitByChar('.', toString(part.type))[1], 'all') AS name,
    sum(part.events) AS events,
    sum(part.errors) AS errors
FROM
(
    SELECT type, hour AS at, events, errors FROM type_hours
    WHERE tenant = {tenant:String} AND startsWith(type, {type:String}) AND hour >= first_hour AND hour < end_hour AND {bucket:UInt32} % 3600 = 0
    UNION ALL
    SELECT type, minute AS at, events, errors FROM type_minutes
    WHERE tenant = {tenant:String} AND startsWith(type, {type:String}) AND minute >= first_minute AND minute < end
        AND ({bucket:UInt32} % 3600 != 0 OR minute < first_hour OR minute >= end_hour)
) AS part
GROUP BY time, name
ORDER BY time, name
