-- What the query templates need beside the rollups by the minute, so that none of them reads raw events.

-- By the hour, from what is kept by the minute: a long time is answered from whole hours and the minutes at both ends.
CREATE TABLE IF NOT EXISTS $database.type_hours$local $on_cluster
(
    tenant LowCardinality(String),
    type LowCardinality(String),
    hour DateTime('UTC'),
    events SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, hour, type)
SETTINGS $window;
-- sharded: type_hours by cityHash64(tenant, type)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.type_hours_view $on_cluster TO $database.type_hours$local AS
SELECT tenant, type, toStartOfHour(minute) AS hour, sum(events) AS events, sum(errors) AS errors
FROM $database.type_minutes$local
GROUP BY tenant, type, hour;

CREATE TABLE IF NOT EXISTS $database.agent_hours$local $on_cluster
(
    tenant LowCardinality(String),
    agent LowCardinality(String),
    skill LowCardinality(String),
    hour DateTime('UTC'),
    attempts SimpleAggregateFunction(sum, UInt64),
    succeeded SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    busy_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    durations AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, hour, agent, skill)
SETTINGS index_granularity = 256, $window;
-- sharded: agent_hours by cityHash64(tenant, agent)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.agent_hours_view $on_cluster TO $database.agent_hours$local AS
SELECT
    tenant,
    agent,
    skill,
    toStartOfHour(minute) AS hour,
    sum(attempts) AS attempts,
    sum(succeeded) AS succeeded,
    sum(errors) AS errors,
    sum(busy_us) AS busy_us,
    max(longest_s) AS longest_s,
    quantilesDDMergeState(0.005, 0.5, 0.95, 0.99)(durations) AS durations
FROM $database.agent_minutes$local
GROUP BY tenant, agent, skill, hour;

CREATE TABLE IF NOT EXISTS $database.tool_hours$local $on_cluster
(
    tenant LowCardinality(String),
    tool LowCardinality(String),
    hour DateTime('UTC'),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    busy_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    durations AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, hour, tool)
SETTINGS index_granularity = 256, $window;
-- sharded: tool_hours by cityHash64(tenant, tool)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.tool_hours_view $on_cluster TO $database.tool_hours$local AS
SELECT
    tenant,
    tool,
    toStartOfHour(minute) AS hour,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(busy_us) AS busy_us,
    max(longest_s) AS longest_s,
    quantilesDDMergeState(0.005, 0.5, 0.95, 0.99)(durations) AS durations
FROM $database.tool_minutes$local
GROUP BY tenant, tool, hour;

-- How long attempts waited between their dispatch and their start, as attempt.started says (waited_s), per skill.
-- Releases before this file said neither the skill nor how long it was.
CREATE TABLE IF NOT EXISTS $database.queue_minutes$local $on_cluster
(
    tenant LowCardinality(String),
    skill LowCardinality(String),
    minute DateTime('UTC'),
    started SimpleAggregateFunction(sum, UInt64),
    waited_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    waits AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant, minute, skill)
TTL if(minute < toDateTime('2001-01-01 00:00:00', 'UTC'), toDateTime('2099-12-31 00:00:00', 'UTC'), minute) + INTERVAL $rollup_days DAY
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1, $window;
-- sharded: queue_minutes by cityHash64(tenant, skill)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.queue_minutes_view $on_cluster TO $database.queue_minutes$local AS
SELECT
    tenant,
    skill,
    toStartOfMinute(time) AS minute,
    count() AS started,
    sum(toUInt64(round(duration_s * 1000000))) AS waited_us,
    max(duration_s) AS longest_s,
    quantilesDDState(0.005, 0.5, 0.95, 0.99)(duration_s) AS waits
FROM $database.events$local
WHERE type = 'attempt.started' AND skill != ''
GROUP BY tenant, skill, minute;

CREATE TABLE IF NOT EXISTS $database.queue_hours$local $on_cluster
(
    tenant LowCardinality(String),
    skill LowCardinality(String),
    hour DateTime('UTC'),
    started SimpleAggregateFunction(sum, UInt64),
    waited_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    waits AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, hour, skill)
SETTINGS index_granularity = 256, $window;
-- sharded: queue_hours by cityHash64(tenant, skill)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.queue_hours_view $on_cluster TO $database.queue_hours$local AS
SELECT
    tenant,
    skill,
    toStartOfHour(minute) AS hour,
    sum(started) AS started,
    sum(waited_us) AS waited_us,
    max(longest_s) AS longest_s,
    quantilesDDMergeState(0.005, 0.5, 0.95, 0.99)(waits) AS waits
FROM $database.queue_minutes$local
GROUP BY tenant, skill, hour;

-- The fifty slowest attempts of every hour and skill, and of every day. The duration is negative, because the least are kept.
CREATE TABLE IF NOT EXISTS $database.slow_hours$local $on_cluster
(
    tenant LowCardinality(String),
    skill LowCardinality(String),
    hour DateTime('UTC'),
    slowest AggregateFunction(groupArraySorted(50), Tuple(Int64, DateTime64(6, 'UTC'), String, String, UInt16, String, String, String, String))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, hour, skill)
SETTINGS index_granularity = 64, $window;
-- sharded: slow_hours by cityHash64(tenant, skill)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.slow_hours_view $on_cluster TO $database.slow_hours$local AS
SELECT
    tenant,
    skill,
    toStartOfHour(time) AS hour,
    groupArraySortedState(50)((-toInt64(round(duration_s * 1000000)), time, mission, task, attempt, toString(agent), worker,
                               toString(outcome), toString(code))) AS slowest
FROM $database.events$local
WHERE type = 'attempt.finished'
GROUP BY tenant, skill, hour;

CREATE TABLE IF NOT EXISTS $database.slow_days$local $on_cluster
(
    tenant LowCardinality(String),
    skill LowCardinality(String),
    day DateTime('UTC'),
    slowest AggregateFunction(groupArraySorted(50), Tuple(Int64, DateTime64(6, 'UTC'), String, String, UInt16, String, String, String, String))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, day, skill)
SETTINGS index_granularity = 64, $window;
-- sharded: slow_days by cityHash64(tenant, skill)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.slow_days_view $on_cluster TO $database.slow_days$local AS
SELECT tenant, skill, toStartOfDay(hour) AS day, groupArraySortedMergeState(50)(slowest) AS slowest
FROM $database.slow_hours$local
GROUP BY tenant, skill, day;

-- What went wrong, by the hour: how often, and where it was last seen.
CREATE TABLE IF NOT EXISTS $database.failure_hours$local $on_cluster
(
    tenant LowCardinality(String),
    hour DateTime('UTC'),
    type LowCardinality(String),
    code LowCardinality(String),
    skill LowCardinality(String),
    agent LowCardinality(String),
    task String,
    failures SimpleAggregateFunction(sum, UInt64),
    last SimpleAggregateFunction(max, Tuple(time DateTime64(6, 'UTC'), mission String))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, hour, type, code, skill, agent, task)
SETTINGS $window;
-- sharded: failure_hours by cityHash64(tenant, task)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.failure_hours_view $on_cluster TO $database.failure_hours$local AS
SELECT
    tenant,
    toStartOfHour(time) AS hour,
    type,
    if(code = '', toString(outcome), toString(code)) AS code,
    skill,
    agent,
    task,
    count() AS failures,
    max((time, mission)) AS last
FROM $database.events$local
WHERE (type IN ('attempt.finished', 'tool.called', 'llm.completed') AND outcome IN ('failed', 'timed_out'))
    OR type IN ('action.expired', 'action.refused', 'world.violated', 'task.failed', 'mission.failed')
GROUP BY tenant, hour, type, code, skill, agent, task;

-- Missions in the order of their submission; what became of each is in `missions`.
CREATE TABLE IF NOT EXISTS $database.submissions$local $on_cluster
(
    tenant LowCardinality(String),
    time DateTime64(6, 'UTC'),
    mission String,
    workflow LowCardinality(String)
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (tenant, time, mission)
SETTINGS $window;
-- sharded: submissions by cityHash64(tenant, mission)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.submissions_view $on_cluster TO $database.submissions$local AS
SELECT tenant, time, mission, JSONExtractString(data, 'workflow') AS workflow
FROM $database.events$local
WHERE type = 'mission.submitted';

-- Missions of which an attempt was started in an hour: a sketch, exact for small numbers, else within one percent.
CREATE TABLE IF NOT EXISTS $database.started_hours$local $on_cluster
(
    tenant LowCardinality(String),
    hour DateTime('UTC'),
    missions AggregateFunction(uniqCombined64(14), String)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, hour)
SETTINGS $window;
-- sharded: started_hours by cityHash64(tenant)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.started_hours_view $on_cluster TO $database.started_hours$local AS
SELECT tenant, toStartOfHour(time) AS hour, uniqCombined64State(14)(mission) AS missions
FROM $database.events$local
WHERE type = 'attempt.started'
GROUP BY tenant, hour;

-- What language models cost over time: by the minute without missions, by the hour with them.
CREATE TABLE IF NOT EXISTS $database.spend_minutes$local $on_cluster
(
    tenant LowCardinality(String),
    minute DateTime('UTC'),
    agent LowCardinality(String),
    tool LowCardinality(String),
    model LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    tokens_in SimpleAggregateFunction(sum, UInt64),
    tokens_out SimpleAggregateFunction(sum, UInt64),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)),
    busy_us SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (tenant, minute, agent, tool, model)
TTL if(minute < toDateTime('2001-01-01 00:00:00', 'UTC'), toDateTime('2099-12-31 00:00:00', 'UTC'), minute) + INTERVAL $rollup_days DAY
SETTINGS ttl_only_drop_parts = 1, $window;
-- sharded: spend_minutes by cityHash64(tenant, agent)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.spend_minutes_view $on_cluster TO $database.spend_minutes$local AS
SELECT
    tenant,
    toStartOfMinute(time) AS minute,
    agent,
    tool,
    model,
    count() AS calls,
    countIf(outcome = 'failed') AS errors,
    sum(tokens_in) AS tokens_in,
    sum(tokens_out) AS tokens_out,
    sum(cost) AS cost,
    sum(toUInt64(round(duration_s * 1000000))) AS busy_us
FROM $database.events$local
WHERE type = 'llm.completed'
GROUP BY tenant, minute, agent, tool, model;

CREATE TABLE IF NOT EXISTS $database.spend_hours$local $on_cluster
(
    tenant LowCardinality(String),
    hour DateTime('UTC'),
    mission String,
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    tokens_in SimpleAggregateFunction(sum, UInt64),
    tokens_out SimpleAggregateFunction(sum, UInt64),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)),
    busy_us SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, hour, mission)
SETTINGS $window;
-- sharded: spend_hours by cityHash64(tenant, mission)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.spend_hours_view $on_cluster TO $database.spend_hours$local AS
SELECT
    tenant,
    toStartOfHour(time) AS hour,
    mission,
    count() AS calls,
    countIf(outcome = 'failed') AS errors,
    sum(tokens_in) AS tokens_in,
    sum(tokens_out) AS tokens_out,
    sum(cost) AS cost,
    sum(toUInt64(round(duration_s * 1000000))) AS busy_us
FROM $database.events$local
WHERE type = 'llm.completed'
GROUP BY tenant, hour, mission;
