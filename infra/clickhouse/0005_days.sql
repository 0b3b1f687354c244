-- What is asked over months, by the day: a long time is answered from whole days, and from hours and minutes at both ends.
-- A line `-- backfilled: TABLE from SOURCE by COLUMN` has the table filled from what is there when this file is applied.

CREATE TABLE IF NOT EXISTS $database.agent_days$local $on_cluster
(
    tenant LowCardinality(String),
    agent LowCardinality(String),
    skill LowCardinality(String),
    day DateTime('UTC'),
    attempts SimpleAggregateFunction(sum, UInt64),
    succeeded SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    busy_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    durations AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, day, agent, skill)
SETTINGS index_granularity = 256, $window;
-- sharded: agent_days by cityHash64(tenant, agent)
-- backfilled: agent_days from agent_hours by hour

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.agent_days_view $on_cluster TO $database.agent_days$local AS
SELECT
    tenant,
    agent,
    skill,
    toStartOfDay(hour) AS day,
    sum(attempts) AS attempts,
    sum(succeeded) AS succeeded,
    sum(errors) AS errors,
    sum(busy_us) AS busy_us,
    max(longest_s) AS longest_s,
    quantilesDDMergeState(0.005, 0.5, 0.95, 0.99)(durations) AS durations
FROM $database.agent_hours$local
GROUP BY tenant, agent, skill, day;

CREATE TABLE IF NOT EXISTS $database.tool_days$local $on_cluster
(
    tenant LowCardinality(String),
    tool LowCardinality(String),
    day DateTime('UTC'),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    busy_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    durations AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, day, tool)
SETTINGS index_granularity = 256, $window;
-- sharded: tool_days by cityHash64(tenant, tool)
-- backfilled: tool_days from tool_hours by hour

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.tool_days_view $on_cluster TO $database.tool_days$local AS
SELECT
    tenant,
    tool,
    toStartOfDay(hour) AS day,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(busy_us) AS busy_us,
    max(longest_s) AS longest_s,
    quantilesDDMergeState(0.005, 0.5, 0.95, 0.99)(durations) AS durations
FROM $database.tool_hours$local
GROUP BY tenant, tool, day;

CREATE TABLE IF NOT EXISTS $database.queue_days$local $on_cluster
(
    tenant LowCardinality(String),
    skill LowCardinality(String),
    day DateTime('UTC'),
    started SimpleAggregateFunction(sum, UInt64),
    waited_us SimpleAggregateFunction(sum, UInt64),
    longest_s SimpleAggregateFunction(max, Float64),
    waits AggregateFunction(quantilesDD(0.005, 0.5, 0.95, 0.99), Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, day, skill)
SETTINGS index_granularity = 256, $window;
-- sharded: queue_days by cityHash64(tenant, skill)
-- backfilled: queue_days from queue_hours by hour

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.queue_days_view $on_cluster TO $database.queue_days$local AS
SELECT
    tenant,
    skill,
    toStartOfDay(hour) AS day,
    sum(started) AS started,
    sum(waited_us) AS waited_us,
    max(longest_s) AS longest_s,
    quantilesDDMergeState(0.005, 0.5, 0.95, 0.99)(waits) AS waits
FROM $database.queue_hours$local
GROUP BY tenant, skill, day;

CREATE TABLE IF NOT EXISTS $database.failure_days$local $on_cluster
(
    tenant LowCardinality(String),
    day DateTime('UTC'),
    type LowCardinality(String),
    code LowCardinality(String),
    skill LowCardinality(String),
    agent LowCardinality(String),
    task String,
    failures SimpleAggregateFunction(sum, UInt64),
    last SimpleAggregateFunction(max, Tuple(time DateTime64(6, 'UTC'), mission String))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, day, type, code, skill, agent, task)
SETTINGS $window;
-- sharded: failure_days by cityHash64(tenant, task)
-- backfilled: failure_days from failure_hours by hour

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.failure_days_view $on_cluster TO $database.failure_days$local AS
SELECT
    tenant,
    toStartOfDay(hour) AS day,
    type,
    code,
    skill,
    agent,
    task,
    sum(failures) AS failures,
    max(last) AS last
FROM $database.failure_hours$local
GROUP BY tenant, day, type, code, skill, agent, task;

-- Missions by what language models cost them in a day. The dearest are found by `cost`: its index names the few granules that hold
-- them, so that not all have to be added up. Granules and what is compressed together are small, because of each only one row counts.
CREATE TABLE IF NOT EXISTS $database.spend_days$local $on_cluster
(
    tenant LowCardinality(String),
    mission String,
    day DateTime('UTC'),
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    tokens_in SimpleAggregateFunction(sum, UInt64),
    tokens_out SimpleAggregateFunction(sum, UInt64),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)),
    busy_us SimpleAggregateFunction(sum, UInt64),
    INDEX by_cost cost TYPE minmax GRANULARITY 1,
    INDEX by_day day TYPE minmax GRANULARITY 16
)
ENGINE = ${replicated}AggregatingMergeTree
PRIMARY KEY (tenant, mission)
ORDER BY (tenant, mission, day)
SETTINGS index_granularity = 1024, min_compress_block_size = 8192, max_compress_block_size = 16384, $window;
-- sharded: spend_days by cityHash64(tenant, mission)
-- backfilled: spend_days from spend_hours by hour

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.spend_days_view $on_cluster TO $database.spend_days$local AS
SELECT
    tenant,
    mission,
    toStartOfDay(hour) AS day,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(tokens_in) AS tokens_in,
    sum(tokens_out) AS tokens_out,
    sum(cost) AS cost,
    sum(busy_us) AS busy_us
FROM $database.spend_hours$local
GROUP BY tenant, day, mission;

-- What language models cost, without missions.
CREATE TABLE IF NOT EXISTS $database.llm_hours$local $on_cluster
(
    tenant LowCardinality(String),
    hour DateTime('UTC'),
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
ORDER BY (tenant, hour, agent, tool, model)
SETTINGS $window;
-- sharded: llm_hours by cityHash64(tenant, agent)
-- backfilled: llm_hours from spend_minutes by minute

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.llm_hours_view $on_cluster TO $database.llm_hours$local AS
SELECT
    tenant,
    toStartOfHour(minute) AS hour,
    agent,
    tool,
    model,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(tokens_in) AS tokens_in,
    sum(tokens_out) AS tokens_out,
    sum(cost) AS cost,
    sum(busy_us) AS busy_us
FROM $database.spend_minutes$local
GROUP BY tenant, hour, agent, tool, model;
