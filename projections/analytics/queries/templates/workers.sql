-- title: Workers
-- description: Attempts that ended, by worker process: what each did, how busy it was, and what went wrong.
-- parameter since: time = 1h -- from when on
-- parameter until: time = now -- up to when
-- parameter skill: text = -- only attempts at tasks of this skill
-- parameter limit: whole(1000) = 50 -- workers at most
-- units: errors_pct %, p50_s s, p95_s s, p99_s s, busy_s s
-- chart: bar worker attempts
SELECT
    part.worker AS worker,
    arrayStringConcat(arraySort(groupUniqArray(toString(part.agent))), ', ') AS agents,
    sum(part.attempts) AS attempts,
    sum(part.errors) AS errors,
    round(100 * errors / attempts, 2) AS errors_pct,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[1], 6) AS p50_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[2], 6) AS p95_s,
    round(quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(part.durations)[3], 6) AS p99_s,
    sum(part.busy_us) / 1000000 AS busy_s,
    max(part.minute) AS last_minute
FROM agent_minutes AS part
WHERE part.tenant = {tenant:String} AND ({skill:String} = '' OR part.skill = {skill:String})
    AND part.minute >= toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC'))
    AND part.minute < toDateTime({until:DateTime64(6, 'UTC')}, 'UTC')
GROUP BY worker
ORDER BY attempts DESC, worker
LIMIT {limit:UInt32}
