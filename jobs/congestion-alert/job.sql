-- Lanes on which dense traffic has begun to slow down: one message per lane and 5 minutes.
CREATE MATERIALIZED VIEW congestion_alert WITH (
  emit      = 'final',
  lateness  = '30 seconds',
  late      = 'table',
  sink      = 'kafka:city.alerts, parquet:congestion_alert',
  key       = 'lane_id',
  freshness = '10 seconds'
) AS
WITH speeds AS (
  SELECT w.lane_id, w.window_start, w.window_end,
         avg(w.speed)                  AS mean_kmh,
         count(DISTINCT w.measured_at) AS minutes   -- a record sent twice is one minute
  FROM tumble(lane_speed, measured_at, INTERVAL '5 minutes') AS w
  WHERE w.speed >= 0 AND w.accuracy >= 90
  GROUP BY w.lane_id, w.window_start, w.window_end
), flows AS (
  SELECT w.lane_id, w.window_start, w.window_end,
         avg(w.flow)                   AS flow_veh_h,
         count(DISTINCT w.measured_at) AS minutes
  FROM tumble(lane_flow, measured_at, INTERVAL '5 minutes') AS w
  WHERE w.flow >= 0 AND w.accuracy >= 90
  GROUP BY w.lane_id, w.window_start, w.window_end
)
SELECT s.lane_id,
       l.site_id,
       s.window_start,
       s.window_end,
       s.mean_kmh,
       l.free_flow_kmh,
       s.mean_kmh / l.free_flow_kmh AS speed_share,
       f.flow_veh_h,
       s.minutes                    AS speed_minutes,
       f.minutes                    AS flow_minutes
FROM speeds AS s
JOIN flows AS f ON f.lane_id = s.lane_id
               AND f.window_start = s.window_start
               AND f.window_end = s.window_end
JOIN lanes AS l ON l.lane_id = s.lane_id
WHERE s.mean_kmh < 0.93 * l.free_flow_kmh   -- slower than free traffic
  AND f.flow_veh_h >= 1200                  -- and dense, so not just one careful driver
  AND s.minutes >= 3                        -- and seen often enough to believe it
  AND f.minutes >= 3;
