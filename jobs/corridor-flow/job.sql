-- Traffic per corridor and quarter of an hour.
CREATE MATERIALIZED VIEW corridor_flow_15m WITH (
  emit      = 'final',
  lateness  = '10 minutes',
  late      = 'table',
  sink      = 'parquet:corridor_flow_15m',
  freshness = '60 seconds'
) AS
SELECT c.corridor_id,
       w.window_start,
       w.window_end,
       sum(w.vehicles) AS vehicles,
       count(*)        AS readings
FROM tumble(scats_volume, measured_at, INTERVAL '15 minutes') AS w
JOIN corridor_detectors AS c ON c.detector_id = w.detector_id
WHERE w.quality = 'ok'        -- leaves out dst_gap: an hour that never was
  AND w.vehicles >= 0         -- a negative count is a sentinel, not traffic
GROUP BY c.corridor_id, w.window_start, w.window_end;
