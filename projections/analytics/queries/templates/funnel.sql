-- title: Mission funnel
-- description: How many missions reached each stage, in whole hours. Started: an attempt of theirs was (within one percent, if many).
-- parameter since: time = 7d -- from when on
-- parameter until: time = now -- up to when
-- units: of_submitted_pct %
-- chart: bar stage missions
WITH
    toStartOfHour(toDateTime({since:DateTime64(6, 'UTC')}, 'UTC')) AS first_hour,
    toDateTime({until:DateTime64(6, 'UTC')}, 'UTC') AS end
SELECT
    counted.1 AS stage,
    counted.2 AS missions,
    if(submitted = 0, NULL, round(100 * missions / submitted, 2)) AS of_submitted_pct
FROM
(
    SELECT
        sumIf(events, type = 'mission.submitted') AS submitted,
        arrayJoin([
            ('submitted', submitted),
            ('planned', sumIf(events, type = 'mission.planned')),
            ('started', assumeNotNull((
                SELECT uniqCombined64Merge(14)(missions) FROM started_hours
                WHERE tenant = {tenant:String} AND hour >= first_hour AND hour < end
            ))),
            ('completed', sumIf(events, type = 'mission.completed')),
            ('failed', sumIf(events, type = 'mission.failed')),
            ('cancelled', sumIf(events, type = 'mission.cancelled'))
        ]) AS counted
    FROM type_hours
    WHERE tenant = {tenant:String} AND startsWith(type, 'mission.') AND hour >= first_hour AND hour < end
)
