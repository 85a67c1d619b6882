-- Flow and speed of each measuring point and second: two streams joined lane by lane, then added up.
CREATE MATERIALIZED VIEW flow_speed_1s WITH (
  emit      = 'final',
  lateness  = '30 seconds',
  late      = 'table',
  sink      = 'parquet:flow_speed_1s',
  freshness = '10 seconds'
) AS
WITH flows AS (
  SELECT w.lane_id, w.window_start, w.window_end, avg(w.flow) AS flow
  FROM tumble(lane_flow, measured_at, INTERVAL '1 second') AS w
  WHERE w.flow >= 0                      -- negative: not measured
  GROUP BY w.lane_id, w.window_start, w.window_end
), speeds AS (
  SELECT w.lane_id, w.window_start, w.window_end, avg(w.speed) AS speed
  FROM tumble(lane_speed, measured_at, INTERVAL '1 second') AS w
  WHERE w.speed >= 0                     -- negative: no vehicle passed
  GROUP BY w.lane_id, w.window_start, w.window_end
)
SELECT l.site_id,
       f.window_start,
       f.window_end,
       count(*)     AS lanes,
       sum(f.flow)  AS flow_veh_h,
       avg(s.speed) AS speed_kmh,                                      -- each lane weighs the same
       sum(f.flow * s.speed) / nullif(sum(f.flow), 0) AS vehicle_kmh   -- each vehicle weighs the same
FROM flows AS f
JOIN speeds AS s ON s.lane_id = f.lane_id
                AND s.window_start = f.window_start
                AND s.window_end = f.window_end
JOIN lanes AS l ON l.lane_id = f.lane_id
GROUP BY l.site_id, f.window_start, f.window_end;
