-- Energy per building and hour, per square metre, with the readings that are missing.
CREATE MATERIALIZED VIEW building_load_1h WITH (
  emit      = 'final',
  lateness  = '2 hours',
  late      = 'table',
  sink      = 'parquet:building_load_1h',
  freshness = '60 seconds'
) AS
SELECT w.building_id,
       b.site_id,
       b.primary_use,
       w.window_start,
       w.window_end,
       sum(CASE WHEN w.quality = 'ok' THEN w.kwh END)                    AS kwh,
       sum(CASE WHEN w.quality = 'ok' THEN w.kwh END) * 1000.0 / b.sqm   AS wh_per_sqm,
       count(CASE WHEN w.quality = 'ok' THEN w.kwh END)                  AS readings,
       count(*) - count(CASE WHEN w.quality = 'ok' THEN w.kwh END)       AS missing
FROM tumble(meter_reading, measured_at, INTERVAL '1 hour') AS w
JOIN buildings AS b ON b.building_id = w.building_id
GROUP BY w.building_id, b.site_id, b.primary_use, b.sqm, w.window_start, w.window_end;
