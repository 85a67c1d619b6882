-- Outages of detectors: silent hours in a row are one outage, with its beginning, end and length.
-- The first three steps are those of silent-detector.
CREATE MATERIALIZED VIEW detector_outage WITH (
  emit      = 'final',
  lateness  = '10 minutes',
  late      = 'table',
  sink      = 'parquet:detector_outage',
  freshness = '60 seconds'
) AS
WITH reported AS (
  SELECT DISTINCT w.detector_id, c.corridor_id, w.window_start, w.window_end
  FROM tumble(scats_volume, measured_at, INTERVAL '1 hour') AS w
  JOIN corridor_detectors AS c ON c.detector_id = w.detector_id
  WHERE w.quality = 'ok' AND w.vehicles >= 0
), awake AS (
  SELECT DISTINCT corridor_id, window_start, window_end
  FROM reported
), silent AS (
  SELECT c.detector_id,
         c.corridor_id,
         a.window_start AS hour_start,
         a.window_end   AS hour_end
  FROM awake AS a
  JOIN corridor_detectors AS c ON c.corridor_id = a.corridor_id
  LEFT JOIN reported AS r ON r.detector_id = c.detector_id
                         AND r.window_start = a.window_start
                         AND r.window_end = a.window_end
  WHERE r.detector_id IS NULL
)
SELECT detector_id,
       corridor_id,
       min(hour_start) AS silent_from,
       max(hour_end)   AS silent_until,
       count(*)        AS silent_hours
FROM session(silent, hour_end, INTERVAL '2 hours', key => (detector_id, corridor_id))
GROUP BY detector_id, corridor_id, window_start, window_end;
