-- One row for every attempt and every mission, completed as its events come, in whatever order. Read with FINAL, or group by the
-- key and take min() and max() as the columns say. NULL and '' mean: not yet, or never.

-- ready_at -> dispatched_at -> started_at -> finished_at; task_outcome is what became of the task if this attempt ended it.
CREATE TABLE IF NOT EXISTS $database.attempts$local $on_cluster
(
    tenant LowCardinality(String),
    mission String,
    task String,
    attempt UInt16,
    ready_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))),
    dispatched_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))),
    started_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))),
    finished_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))),
    outcome SimpleAggregateFunction(max, String),
    code SimpleAggregateFunction(max, String),
    skill SimpleAggregateFunction(max, String),
    agent SimpleAggregateFunction(max, String),
    worker SimpleAggregateFunction(max, String),
    duration_s SimpleAggregateFunction(max, Float64),
    expired SimpleAggregateFunction(max, UInt8),
    violated SimpleAggregateFunction(max, UInt8),
    task_outcome SimpleAggregateFunction(max, String)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, mission, task, attempt)
SETTINGS $window;
-- sharded: attempts by cityHash64(tenant, mission)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.attempts_view $on_cluster TO $database.attempts$local AS
SELECT
    tenant,
    mission,
    task,
    attempt,
    minIf(toNullable(time), type = 'task.ready') AS ready_at,
    minIf(toNullable(time), type = 'action.dispatched') AS dispatched_at,
    minIf(toNullable(time), type = 'attempt.started') AS started_at,
    minIf(toNullable(time), type = 'attempt.finished') AS finished_at,
    maxIf(toString(outcome), type = 'attempt.finished') AS outcome,
    maxIf(toString(code), type IN ('attempt.finished', 'action.expired', 'action.refused', 'task.failed')) AS code,
    max(toString(skill)) AS skill,
    max(toString(agent)) AS agent,
    maxIf(worker, type IN ('attempt.started', 'attempt.finished')) AS worker,
    maxIf(duration_s, type = 'attempt.finished') AS duration_s,
    max(type = 'action.expired') AS expired,
    max(type = 'world.violated') AS violated,
    max(multiIf(type = 'task.succeeded', 'succeeded', type = 'task.failed', 'failed', '')) AS task_outcome
FROM $database.events$local
WHERE attempt > 0
    AND type IN ('task.ready', 'action.dispatched', 'attempt.started', 'attempt.finished', 'action.expired', 'action.refused',
                 'world.violated', 'task.succeeded', 'task.failed')
GROUP BY tenant, mission, task, attempt;

-- ended: the last end (sequence, time, type), for a mission that failed may be reopened; over while reopened < ended.1.
CREATE TABLE IF NOT EXISTS $database.missions$local $on_cluster
(
    tenant LowCardinality(String),
    mission String,
    workflow SimpleAggregateFunction(max, String),
    submitted_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))),
    planned_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))),
    started_at SimpleAggregateFunction(min, Nullable(DateTime64(6, 'UTC'))),
    ended SimpleAggregateFunction(max, Tuple(sequence UInt64, time DateTime64(6, 'UTC'), type String)),
    reopened SimpleAggregateFunction(max, UInt64),
    code SimpleAggregateFunction(max, String)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (tenant, mission)
SETTINGS $window;
-- sharded: missions by cityHash64(tenant, mission)

CREATE MATERIALIZED VIEW IF NOT EXISTS $database.missions_view $on_cluster TO $database.missions$local AS
SELECT
    tenant,
    mission,
    maxIf(JSONExtractString(data, 'workflow'), type = 'mission.submitted') AS workflow,
    minIf(toNullable(time), type = 'mission.submitted') AS submitted_at,
    minIf(toNullable(time), type = 'mission.planned') AS planned_at,
    minIf(toNullable(time), type = 'attempt.started') AS started_at,
    maxIf((sequence, time, toString(type)), type IN ('mission.completed', 'mission.failed', 'mission.cancelled')) AS ended,
    maxIf(sequence, type = 'mission.reopened') AS reopened,
    maxIf(toString(code), type = 'mission.failed') AS code
FROM $database.events$local
WHERE type IN ('mission.submitted', 'mission.planned', 'mission.completed', 'mission.failed', 'mission.cancelled', 'mission.reopened',
               'attempt.started')
GROUP BY tenant, mission;
