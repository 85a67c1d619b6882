-- Energy per district and hour, with the buildings that it is made of.
CREATE MATERIALIZED VIEW district_energy_1h WITH (
  emit      = 'final',
  lateness  = '2 hours',
  late      = 'table',
  sink      = 'parquet:district_energy_1h',
  freshness = '60 seconds'
) AS
SELECT b.district,
       w.window_start,
       w.window_end,
       sum(w.kwh)                    AS kwh,
       count(DISTINCT w.building_id) AS buildings
FROM tumble(meter_reading, measured_at, INTERVAL '1 hour') AS w
JOIN buildings AS b ON b.building_id = w.building_id
WHERE w.quality = 'ok' AND w.kwh IS NOT NULL
GROUP BY b.district, w.window_start, w.window_end;
