-- What the sink needs to know where it stands, and one row for every event of the log.

-- Which of these files were applied here.
CREATE TABLE IF NOT EXISTS $database.migrations $on_cluster
(
    name String,
    digest String,
    at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ${once}ReplacingMergeTree($place at)
ORDER BY name
SETTINGS $window;

-- The range of the log that was promised last ('intent') and the one that is in the store ('done'); docs/decisions/0011.
CREATE TABLE IF NOT EXISTS $database.progress $on_cluster
(
    first UInt64,
    last UInt64,
    state LowCardinality(String),
    writer String,
    events UInt64,
    at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ${once}ReplacingMergeTree($place first)
ORDER BY state
SETTINGS $window;

-- An event whose time cannot be read, or lies outside of 1970 to 2099, is given the time of its id; `defects` says so. Rows with a
-- time before 2001 are a clock's mistake and kept: a row that was just written must not vanish at once.
CREATE TABLE IF NOT EXISTS $database.events$local $on_cluster
(
    sequence UInt64 CODEC(Delta, LZ4),
    idx UInt16,
    id String,
    time DateTime64(6, 'UTC') CODEC(Delta, LZ4),
    tenant LowCardinality(String),
    mission String,
    noun LowCardinality(String),
    type LowCardinality(String),
    source String,
    subject String,
    task String,
    attempt UInt16,
    agent LowCardinality(String),
    worker String,
    skill LowCardinality(String),
    tool LowCardinality(String),
    outcome LowCardinality(String),
    code LowCardinality(String),
    duration_s Float64,
    model LowCardinality(String),
    tokens_in UInt64,
    tokens_out UInt64,
    cost Decimal(18, 9),
    causationid String,
    correlationid String,
    dataversion UInt16,
    data String CODEC(ZSTD(1)),
    defects LowCardinality(String),
    INDEX by_sequence sequence TYPE minmax GRANULARITY 1,
    INDEX by_mission mission TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ${replicated}MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (tenant, toStartOfHour(time), mission, sequence, idx)
TTL toDateTime(if(time < toDateTime64('2001-01-01 00:00:00', 6, 'UTC'), toDateTime64('2099-12-31 00:00:00', 6, 'UTC'), time), 'UTC')
    + INTERVAL $raw_days DAY
SETTINGS ttl_only_drop_parts = 1, $window;
-- sharded: events by cityHash64(tenant, mission)
