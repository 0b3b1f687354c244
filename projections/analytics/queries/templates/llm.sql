-- title: Language models
-- description: Calls, tokens and cost of each language model over time.
-- parameter since: time = 1d -- from when on
-- parameter until: time = now -- up to when
-- parameter bucket: bucket = hour -- the length of a bucket of time
-- parameter agent: text = -- only calls of this agent
-- units: cost_usd $, mean_s s
-- chart: line time cost_usd by model
SELECT
    toStartOfInterval(part.minute, toIntervalSecond({bucket:UInt32}), toDateTime('1970-01-01 00:00:00', 'UTC')) AS time,
    part.model AS model,
    sum(part.calls) AS calls,
    sum(part.errors) AS errors,
    sum(part.tokens_in) AS tokens_in,
    sum(part.tokens_out) AS tokens_out,
    toFloat64(sum(part.cost)) AS cost_usd,
    round(sum(part.busy_us) / 1000000 / calls, 6) AS mean_s
FROM spend_minutes AS part
WHERE part.tenant = {tenant:String} AND ({agent:String} = '' OR part.agent = {agent:String})
    AND part.minute >= toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC'))
    AND part.minute < toDateTime({until:DateTime64(6, 'UTC')}, 'UTC')
GROUP BY time, model
ORDER BY time, model
