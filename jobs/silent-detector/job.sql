-- Detectors of the register without a good reading in an hour in which others on the road reported.
CREATE MATERIALIZED VIEW silent_detector WITH (
  emit      = 'final',
  lateness  = '10 minutes',
  late      = 'table',
  sink      = 'kafka:city.alerts, parquet:silent_detector',
  key       = 'detector_id',
  freshness = '60 seconds'
) AS
WITH reported AS (
  SELECT DISTINCT w.detector_id, c.corridor_id, w.window_start, w.window_end
  FROM tumble(scats_volume, measured_at, INTERVAL '1 hour') AS w
  JOIN corridor_detectors AS c ON c.detector_id = w.detector_id
  WHERE w.quality = 'ok' AND w.vehicles >= 0
), awake AS (
  SELECT corridor_id, window_start, window_end, count(*) AS detectors
  FROM reported
  GROUP BY corridor_id, window_start, window_end
)
SELECT c.detector_id,
       c.corridor_id,
       c.location,
       a.window_start,
       a.window_end,
       a.detectors AS others_reporting
FROM awake AS a
JOIN corridor_detectors AS c ON c.corridor_id = a.corridor_id   -- who should have reported
LEFT JOIN reported AS r ON r.detector_id = c.detector_id
                       AND r.window_start = a.window_start
                       AND r.window_end = a.window_end
WHERE r.detector_id IS NULL;                                     -- and did not
