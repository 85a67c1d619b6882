-- Meters that repeat one value, other than zero, for half a day.
CREATE MATERIALIZED VIEW stuck_meter WITH (
  emit      = 'final',
  lateness  = '2 hours',
  late      = 'table',
  sink      = 'kafka:city.alerts, parquet:stuck_meter',
  key       = 'building_id',
  freshness = '60 seconds'
) AS
SELECT w.building_id,
       b.district,
       w.window_start,
       w.window_end,
       max(w.kwh)                    AS stuck_at_kwh,
       count(DISTINCT w.measured_at) AS readings
FROM tumble(meter_reading, measured_at, INTERVAL '12 hours') AS w
JOIN buildings AS b ON b.building_id = w.building_id
WHERE w.quality = 'ok'
GROUP BY w.building_id, b.district, w.window_start, w.window_end
HAVING min(w.kwh) = max(w.kwh)
   AND max(w.kwh) <> 0                          -- an empty building uses nothing, hour after hour
   AND count(DISTINCT w.measured_at) >= 10;     -- of 12; a reading sent twice is one
