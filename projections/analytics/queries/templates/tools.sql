-- title: Tools
-- description: Calls of tools that ended: how many failed, and how long they took.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter limit: whole(1000) = 50 -- tools at most
-- units: errors_pct %, p50_s s, p95_s s, p99_s s, longest_s s, busy_s s
-- chart: bar tool p95_s
WITH
    toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_minute,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfHour(first_minute + INTERVAL 3599 SECOND) AS first_hour,
    toStartOfHour(end) AS end_hour,
    toStartOfDay(first_hour + INTERVAL 86399 SECOND) AS first_day,
    toStartOfDay(end) AS end_day
SELECT
    part.tool AS tool,
    sum(part.calls) AS calls,
    sum(part.errors) AS errors,
    round(100 * errors / calls, 2) AS errors_pct,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[1], 6) AS p50_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[2], 6) AS p95_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[3], 6) AS p99_s,
    max(part.longest_s) AS longest_s,
    sum(part.busy_us) / 1000000 AS busy_s
FROM
(
    SELECT tool, calls, errors, busy_us, longest_s, durations FROM tool_days
    WHERE tenant = {tenant:String} AND day >= first_day AND day < end_day
    UNION ALL
    SELECT tool, calls, errors, busy_us, longest_s, durations FROM tool_hours
    WHERE tenant = {tenant:String} AND hour >= first_hour AND hour < end_hour AND (hour < first_day OR hour >= end_day)
    UNION ALL
    SELECT tool, calls, errors, busy_us, longest_s, durations FROM tool_minutes
    WHERE tenant = {tenant:String} AND minute >= first_minute AND minute < end AND (minute < first_hour OR minute >= end_hour)
) AS part
GROUP BY tool
ORDER BY calls DESC, tool
LIMIT {limit:UInt32}
