-- title: Missions
-- description: The missions that were submitted last: what became of them, how long they took, what they cost.
-- parameter since: time = begin -- from when on
-- parameter until: time = now -- up to when
-- parameter workflow: text = -- only of this workflow
-- parameter limit: whole(1000) = 20 -- missions at most
-- units: planned_after_s s, started_after_s s, duration_s s, cost_usd $
-- chart: bar mission duration_s
WITH
-- NULL where the later has the earlier time: the clocks of two machines disagree, or one was set anew.
(earlier, later) -> if(later >= earlier, dateDiff('microsecond', earlier, later) / 1000000, NULL) AS seconds,
newest AS
(
    SELECT mission FROM submissions
    WHERE tenant = {tenant:String} AND ({workflow:String} = '' OR workflow = {workflow:String})
        AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    ORDER BY time DESC
    LIMIT {limit:UInt32}
)
SELECT
    state.mission AS mission,
    state.workflow AS workflow,
    multiIf(state.over.1 = 0 OR state.again > state.over.1, 'running', substring(state.over.3, 9)) AS status,
    state.submitted AS submitted_at,
    seconds(state.submitted, state.planned) AS planned_after_s,
    seconds(state.submitted, state.started) AS started_after_s,
    if(status = 'running', NULL, seconds(state.submitted, state.over.2)) AS duration_s,
    if(status = 'failed', state.why, '') AS code,
    toFloat64(paid.cost) AS cost_usd
FROM
(
    SELECT mission, max(workflow) AS workflow, min(submitted_at) AS submitted, min(planned_at) AS planned, min(started_at) AS started,
        max(ended) AS over, max(reopened) AS again, max(code) AS why
    FROM missions
    WHERE tenant = {tenant:String} AND mission GLOBAL IN newest
    GROUP BY mission
) AS state
LEFT JOIN
(
    SELECT mission, sum(cost) AS cost FROM spend
    WHERE tenant = {tenant:String} AND mission GLOBAL IN newest
    GROUP BY mission
) AS paid ON paid.mission = state.mission
ORDER BY submitted_at DESC, mission
