-- Energy per district and calendar month, local time: what the bill is about.
CREATE MATERIALIZED VIEW district_energy_1mo WITH (
  emit         = 'final',
  lateness     = '2 days',
  late         = 'table',
  sink         = 'parquet:district_energy_1mo',
  partition_by = 'month',
  freshness    = '60 seconds'
) AS
SELECT b.district,
       w.window_start,
       w.window_end,
       sum(w.kwh)                    AS kwh,
       count(*)                      AS readings,
       count(DISTINCT w.building_id) AS buildings,
       CAST(date_part('epoch', w.window_end - w.window_start) AS BIGINT) / 3600
         * count(DISTINCT w.building_id) - count(*) AS missing
FROM tumble(meter_reading, measured_at, INTERVAL '1 month', zone => 'America/New_York') AS w
JOIN buildings AS b ON b.building_id = w.building_id
WHERE w.quality = 'ok' AND w.kwh IS NOT NULL
  AND b.timezone = 'US/Eastern'          -- one zone a job
GROUP BY b.district, w.window_start, w.window_end;
