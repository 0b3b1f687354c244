-- title: Costs
-- description: Calls of language models, their tokens and cost, by mission, agent, tool or model. Missions: in whole hours. With a mission: all of it.
-- parameter since: time = 30d -- from when on
-- parameter until: time = now -- up to when
-- parameter by: choice(mission, agent, tool, model) = agent -- what rows are
-- parameter mission: text = -- only this mission, at any time
-- parameter limit: whole(1000) = 20 -- rows at most
-- units: cost_usd $, busy_s s
-- chart: bar name cost_usd
WITH
    toDateTime({since:DateTime64(6, 'UTC')}, 'UTC') AS first,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end
SELECT
    part.name AS name,
    sum(part.calls) AS calls,
    sum(part.errors) AS errors,
    sum(part.tokens_in) AS tokens_in,
    sum(part.tokens_out) AS tokens_out,
    toFloat64(sum(part.cost)) AS cost_usd,
    sum(part.busy_us) / 1000000 AS busy_s
FROM
(
    SELECT multiIf({by:String} = 'agent', toString(agent), {by:String} = 'tool', toString(tool), toString(model)) AS name,
        calls, errors, tokens_in, tokens_out, cost, busy_us
    FROM spend_minutes
    WHERE {mission:String} = '' AND {by:String} != 'mission' AND tenant = {tenant:String}
        AND minute >= toStartOfMinute(first) AND minute < end
    UNION ALL
    SELECT mission AS name, calls, errors, tokens_in, tokens_out, cost, busy_us
    FROM spend_hours
    WHERE {mission:String} = '' AND {by:String} = 'mission' AND tenant = {tenant:String}
        AND hour >= toStartOfHour(first) AND hour < end
    UNION ALL
    SELECT multiIf({by:String} = 'mission', mission, {by:String} = 'agent', toString(agent), {by:String} = 'tool', toString(tool), toString(model)) AS name,
        calls, errors, tokens_in, tokens_out, cost, busy_us
    FROM spend
    WHERE {mission:String} != '' AND tenant = {tenant:String} AND mission = {mission:String}
) AS part
GROUP BY name
ORDER BY cost_usd DESC, name
LIMIT {limit:UInt32}
