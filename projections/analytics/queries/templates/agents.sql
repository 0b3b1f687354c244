-- title: Agent performance
-- description: Attempts that ended, by agent: how many failed or ran out of time, and how long they took.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter skill: text = -- only attempts at tasks of this skill
-- parameter limit: whole(1000) = 50 -- agents at most
-- units: errors_pct %, p50_s s, p95_s s, p99_s s, longest_s s, busy_s s
-- chart: bar agent p95_s
WITH
    toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_minute,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfHour(first_minute + INTERVAL 3599 SECOND) AS first_hour,
    toStartOfHour(end) AS end_hour,
    toStartOfDay(first_hour + INTERVAL 86399 SECOND) AS first_day,
    toStartOfDay(end) AS end_day
SELECT
    part.agent AS agent,
    sum(part.attempts) AS attempts,
    sum(part.errors) AS errors,
    round(100 * errors / attempts, 2) AS errors_pct,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[1], 6) AS p50_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[2], 6) AS p95_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[3], 6) AS p99_s,
    max(part.longest_s) AS longest_s,
    sum(part.busy_us) / 1000000 AS busy_s
FROM
(
    SELECT agent, attempts, errors, busy_us, longest_s, durations FROM agent_days
    WHERE tenant = {tenant:String} AND ({skill:String} = '' OR skill = {skill:String}) AND day >= first_day AND day < end_day
    UNION ALL
    SELECT agent, attempts, errors, busy_us, longest_s, durations FROM agent_hours
    WHERE tenant = {tenant:String} AND ({skill:String} = '' OR skill = {skill:String})
        AND hour >= first_hour AND hour < end_hour AND (hour < first_day OR hour >= end_day)
    UNION ALL
    SELECT agent, attempts, errors, busy_us, longest_s, durations FROM agent_minutes
    WHERE tenant = {tenant:String} AND ({skill:String} = '' OR skill = {skill:String})
        AND minute >= first_minute AND minute < end AND (minute < first_hour OR minute >= end_hour)
) AS part
GROUP BY agent
ORDER BY attempts DESC, agent
LIMIT {limit:UInt32}
