-- Energy per district since local midnight, brought up to date every hour; the last row of a day is the day.
CREATE MATERIALIZED VIEW district_energy_today WITH (
  emit      = 'final',
  lateness  = '2 hours',
  late      = 'table',
  sink      = 'parquet:district_energy_today',
  freshness = '60 seconds'
) AS
SELECT b.district,
       w.window_start,
       w.window_end,
       sum(w.kwh)                    AS kwh_so_far,
       count(*)                      AS readings,
       count(DISTINCT w.building_id) AS buildings
FROM cumulate(meter_reading, measured_at, INTERVAL '1 hour', INTERVAL '1 day', zone => 'America/New_York') AS w
JOIN buildings AS b ON b.building_id = w.building_id
WHERE w.quality = 'ok' AND w.kwh IS NOT NULL
  AND b.timezone = 'US/Eastern'          -- one zone a job
GROUP BY b.district, w.window_start, w.window_end;
