-- Counts and durations by the minute. Every column adds up, takes the least or the greatest, or merges sketches whose merging
-- does not depend on the order: so the answers are the same whatever order rows came in, and `sum(column) … GROUP BY` is right
-- before and after parts are merged. Sums are of whole numbers (microseconds, decimals), because sums of floats are not.
-- Where there are sketches, granules are small: the engine unpacks all sketches of each granule that it reads.
-- Durations: quantilesDDMerge(0.005, 0.5, 0.95, 0.99)(durations), within 1.5 % of the exact value (measured).

-- Per type. An error is an event with a failure code, or whose outcome is 'failed' or 'timed_out'.
CREATE TABLE IF NOT EXISTS $database.type_minutes$local $on_cluster
(
    tenant LowCardinality(String),
    type LowCardinality(String),
    minute DateTime('UTC'),
    events SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant, type, minute)
TTL if(minute < toDateTime('2001-01-01 00:00:00', 'UTC'), toDateTime('2099-12-31 00:00:00', 'UTC'), minute) + INTERVAL $rollup_days DAY
SETTINGS ttl_only_drop_parts = 1, $window;
-- sharded: type_minutes by cityHash64(tenant, type)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.type_minutes_view $on_cluster TO $database.type_minutes$local AS
SELECT
    tenant,
    type,
    toStartOfMinute(time) AS minute,
    count() AS events,
    countIf(code != '' OR outcome IN ('failed', 'timed_out')) AS errors
FROM $database.events$local
GROUP BY tenant, type, minute;

-- Per agent, worker and skill: attempts that ended (attempt.finished), in the minute in which they did.
CREATE TABLE IF NOT EXISTS $database.agent_minutes$local $on_cluster
(
    tenant LowCardinality(String),
    agent LowCardinality(String),
    skill LowCardinality(String),
    worker String,
    minute DateTime('UTC'),
    attempts SimpleAggregateFunction(sum, UInt64),
    succeeded SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    busy_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    durations AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant, agent, minute, skill, worker)
TTL if(minute < toDateTime('2001-01-01 00:00:00', 'UTC'), toDateTime('2099-12-31 00:00:00', 'UTC'), minute) + INTERVAL $rollup_days DAY
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1, $window;
-- sharded: agent_minutes by cityHash64(tenant, agent)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.agent_minutes_view $on_cluster TO $database.agent_minutes$local AS
SELECT
    tenant,
    agent,
    skill,
    worker,
    toStartOfMinute(time) AS minute,
    count() AS attempts,
    countIf(outcome = 'succeeded') AS succeeded,
    countIf(outcome IN ('failed', 'timed_out')) AS errors,
    sum(toUInt64(round(duration_s * 1000000))) AS busy_us,
    max(duration_s) AS longest_s,
    quantilesDDState(0.005, 0.5, 0.95, 0.99)(duration_s) AS durations
FROM $database.events$local
WHERE type = 'attempt.finished'
GROUP BY tenant, agent, skill, worker, minute;

-- Per tool: calls that ended (tool.called).
CREATE TABLE IF NOT EXISTS $database.tool_minutes$local $on_cluster
(
    tenant LowCardinality(String),
    tool LowCardinality(String),
    minute DateTime('UTC'),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    busy_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    durations AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant, tool, minute)
TTL if(minute < toDateTime('2001-01-01 00:00:00', 'UTC'), toDateTime('2099-12-31 00:00:00', 'UTC'), minute) + INTERVAL $rollup_days DAY
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1, $window;
-- sharded: tool_minutes by cityHash64(tenant, tool)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.tool_minutes_view $on_cluster TO $database.tool_minutes$local AS
SELECT
    tenant,
    tool,
    toStartOfMinute(time) AS minute,
    count() AS calls,
    countIf(outcome = 'failed') AS errors,
    sum(toUInt64(round(duration_s * 1000000))) AS busy_us,
    max(duration_s) AS longest_s,
    quantilesDDState(0.005, 0.5, 0.95, 0.99)(duration_s) AS durations
FROM $database.events$local
WHERE type = 'tool.called'
GROUP BY tenant, tool, minute;

-- What language models cost (llm.completed), for ever: by mission, agent, tool and model.
CREATE TABLE IF NOT EXISTS $database.spend$local $on_cluster
(
    tenant LowCardinality(String),
    mission String,
    agent LowCardinality(String),
    tool LowCardinality(String),
    model LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    tokens_in SimpleAggregateFunction(sum, UInt64),
    tokens_out SimpleAggregateFunction(sum, UInt64),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)),
    busy_us SimpleAggregateFunction(sum, UInt64),
    first_at SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    last_at SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, mission, agent, tool, model)
SETTINGS $window;
-- sharded: spend by cityHash64(tenant, mission)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.spend_view $on_cluster TO $database.spend$local AS
SELECT
    tenant,
    mission,
    agent,
    tool,
    model,
    count() AS calls,
    countIf(outcome = 'failed') AS errors,
    sum(tokens_in) AS tokens_in,
    sum(tokens_out) AS tokens_out,
    sum(cost) AS cost,
    sum(toUInt64(round(duration_s * 1000000))) AS busy_us,
    min(time) AS first_at,
    max(time) AS last_at
FROM $database.events$local
WHERE type = 'llm.completed'
GROUP BY tenant, mission, agent, tool, model;
