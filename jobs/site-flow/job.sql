-- Traffic per measuring point of the motorway and 5 minutes.
-- The inner minute makes a record that was sent twice count once.
CREATE MATERIALIZED VIEW site_flow_5m WITH (
  emit      = 'final',
  lateness  = '30 seconds',
  late      = 'table',
  sink      = 'parquet:site_flow_5m',
  freshness = '30 seconds'
) AS
WITH lane_minute AS (
  SELECT w.lane_id,
         w.window_start AS minute_start,
         avg(w.flow)    AS flow
  FROM tumble(lane_flow, measured_at, INTERVAL '1 minute') AS w
  WHERE w.flow >= 0 AND w.accuracy >= 90
  GROUP BY w.lane_id, w.window_start, w.window_end
)
SELECT l.site_id,
       m.window_start,
       m.window_end,
       sum(m.flow) / 60          AS vehicles,       -- a flow of 60 an hour is one vehicle in a minute
       count(DISTINCT m.lane_id) AS lanes,
       count(*)                  AS lane_minutes    -- 5 for each lane when nothing is missing
FROM tumble(lane_minute, minute_start, INTERVAL '5 minutes') AS m
JOIN lanes AS l ON l.lane_id = m.lane_id
GROUP BY l.site_id, m.window_start, m.window_end;
