-- How many records of each quality the meters sent, per site and day. A record without a flag is a quality too.
CREATE MATERIALIZED VIEW reading_quality_1d WITH (
  emit      = 'final',
  lateness  = '2 hours',
  late      = 'table',
  sink      = 'parquet:reading_quality_1d',
  freshness = '60 seconds'
) AS
SELECT b.site_id,                        -- NULL: a building that the register does not know
       w.quality,
       w.window_start,
       w.window_end,
       count(*)                      AS records,
       count(DISTINCT w.building_id) AS buildings
FROM tumble(meter_reading, measured_at, INTERVAL '1 day') AS w
LEFT JOIN buildings AS b ON b.building_id = w.building_id
GROUP BY b.site_id, w.quality, w.window_start, w.window_end;
