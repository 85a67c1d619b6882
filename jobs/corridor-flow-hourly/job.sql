-- Traffic per corridor and hour, with the peak-hour factor, made from quarters of an hour.
-- The inner query is the one of corridor-flow; its window_start is renamed, because the
-- outer tumble adds columns of that name.
CREATE MATERIALIZED VIEW corridor_flow_1h WITH (
  emit      = 'final',
  lateness  = '10 minutes',
  late      = 'table',
  sink      = 'parquet:corridor_flow_1h',
  freshness = '60 seconds'
) AS
SELECT h.corridor_id,
       h.window_start,
       h.window_end,
       sum(h.vehicles) AS vehicles,
       max(h.vehicles) AS busiest_quarter,
       count(*)        AS quarters,
       sum(h.readings) AS readings,
       CASE WHEN count(*) = 4
            THEN CAST(sum(h.vehicles) AS DOUBLE) / nullif(4 * max(h.vehicles), 0)
       END             AS peak_hour_factor
FROM tumble((
       SELECT c.corridor_id,
              w.window_start  AS quarter_start,
              sum(w.vehicles) AS vehicles,
              count(*)        AS readings
       FROM tumble(scats_volume, measured_at, INTERVAL '15 minutes') AS w
       JOIN corridor_detectors AS c ON c.detector_id = w.detector_id
       WHERE w.quality = 'ok'
         AND w.vehicles >= 0
       GROUP BY c.corridor_id, w.window_start, w.window_end
     ), quarter_start, INTERVAL '1 hour') AS h
GROUP BY h.corridor_id, h.window_start, h.window_end;
