-- title: Costs
-- description: Calls of language models, their tokens and cost, by mission, agent, tool or model. Missions: in whole hours; over more than two days in whole days, and those alone that cost most in one of the days. With a mission: all of it.
-- parameter since: time = 30d -- from when on
-- parameter until: time = now -- up to when
-- parameter by: choice(mission, agent, tool, model) = agent -- what rows are
-- parameter mission: text = -- only this mission, at any time
-- parameter limit: whole(1000) = 20 -- rows at most
-- units: cost_usd $, busy_s s
-- chart: bar name cost_usd
WITH
    toStartOfMinute(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_minute,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end,
    toStartOfHour(first_minute + INTERVAL 3599 SECOND) AS first_hour,
    toStartOfHour(end) AS end_hour,
    {mission:String} = '' AND {by:String} = 'mission' AS missions,
    toUInt32(end) - toUInt32(first_minute) > 2 * 86400 AS days,
    -- So many missions of the last eight days cost as much in a day, so the dearest of all days do: few granules hold such.
    of_some_days AS
    (
        SELECT if(count() < {limit:UInt32}, toDecimal128(0, 9), min(most)) AS least_cost
        FROM
        (
            SELECT max(cost) AS most
            FROM
            (
                SELECT mission, cost FROM spend_days
                WHERE missions AND days AND tenant = {tenant:String} AND day >= toStartOfDay(first_minute) AND day < end
                    AND day > (SELECT max(hour) FROM llm_hours WHERE missions AND days AND tenant = {tenant:String} AND hour < end) - INTERVAL 8 DAY
                ORDER BY cost DESC
                LIMIT 10 * {limit:UInt32}
            )
            GROUP BY mission
            ORDER BY most DESC
            LIMIT {limit:UInt32}
        )
    ),
    dearest AS
    (
        SELECT mission
        FROM
        (
            SELECT mission, cost FROM spend_days
            WHERE missions AND days AND tenant = {tenant:String} AND day >= toStartOfDay(first_minute) AND day < end
                AND cost >= (SELECT least_cost FROM of_some_days)
            ORDER BY cost DESC
            LIMIT 50 * {limit:UInt32}
        )
        GROUP BY mission
        ORDER BY max(cost) DESC, mission
        LIMIT 2 * {limit:UInt32}
    )
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
    FROM llm_hours
    WHERE {mission:String} = '' AND {by:String} != 'mission' AND tenant = {tenant:String} AND hour >= first_hour AND hour < end_hour
    UNION ALL
    SELECT multiIf({by:String} = 'agent', toString(agent), {by:String} = 'tool', toString(tool), toString(model)) AS name,
        calls, errors, tokens_in, tokens_out, cost, busy_us
    FROM spend_minutes
    WHERE {mission:String} = '' AND {by:String} != 'mission' AND tenant = {tenant:String}
        AND minute >= first_minute AND minute < end AND (minute < first_hour OR minute >= end_hour)
    UNION ALL
    SELECT mission AS name, calls, errors, tokens_in, tokens_out, cost, busy_us
    FROM spend_hours
    WHERE missions AND NOT days AND tenant = {tenant:String} AND hour >= toStartOfHour(first_minute) AND hour < end
    UNION ALL
    SELECT mission AS name, calls, errors, tokens_in, tokens_out, cost, busy_us
    FROM spend_days
    WHERE missions AND days AND tenant = {tenant:String} AND mission GLOBAL IN dearest
        AND day >= toStartOfDay(first_minute) AND day < end
    UNION ALL
    SELECT multiIf({by:String} = 'mission', mission, {by:String} = 'agent', toString(agent), {by:String} = 'tool', toString(tool), toString(model)) AS name,
        calls, errors, tokens_in, tokens_out, cost, busy_us
    FROM spend
    WHERE {mission:String} != '' AND tenant = {tenant:String} AND mission = {mission:String}
) AS part
GROUP BY name
ORDER BY cost_usd DESC, name
LIMIT {limit:UInt32}
