-- title: Language models
-- description: Calls, tokens and cost of each language model over time.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter bucket: bucket = hour -- the length of a bucket of time
-- parameter agent: text = -- only calls of this agent
-- units: cost_usd $, mean_s s
-- chart: line time cost_usd by model
WITH
    toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_minute,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfHour(first_minute + INTERVAL 3599 SECOND) AS first_hour,
    toStartOfHour(end) AS end_hour
SELECT
    toStartOfInterval(part.at, toIntervalSecond({bucket:UInt32}), toDateTime('1970-01-01 00:00:00', 'UTC')) AS time,
    part.model AS model,
    sum(part.calls) AS calls,
    sum(part.errors) AS errors,
    sum(part.tokens_in) AS tokens_in,
    sum(part.tokens_out) AS tokens_out,
    toFloat64(sum(part.cost)) AS cost_usd,
    round(sum(part.busy_us) / 1000000 / calls, 6) AS mean_s
FROM
(
    SELECT model, hour AS at, calls, errors, tokens_in, tokens_out, cost, busy_us FROM llm_hours
    WHERE tenant = {tenant:String} AND ({agent:String} = '' OR agent = {agent:String})
        AND hour >= first_hour AND hour < end_hour AND {bucket:UInt32} % 3600 = 0
    UNION ALL
    SELECT model, minute AS at, calls, errors, tokens_in, tokens_out, cost, busy_us FROM spend_minutes
    WHERE tenant = {tenant:String} AND ({agent:String} = '' OR agent = {agent:String}) AND minute >= first_minute AND minute < end
        AND ({bucket:UInt32} % 3600 != 0 OR minute < first_hour OR minute >= end_hour)
) AS part
GROUP BY time, model
ORDER BY time, model
