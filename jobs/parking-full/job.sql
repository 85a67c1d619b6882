-- Car parks that stayed at least 95 % full for an hour; looked at every half hour.
CREATE MATERIALIZED VIEW parking_full WITH (
  emit      = 'final',
  lateness  = '5 minutes',
  late      = 'table',
  sink      = 'kafka:city.alerts, parquet:parking_full',
  key       = 'car_park_id',
  freshness = '10 seconds'
) AS
SELECT w.car_park_id,
       w.window_start,
       w.window_end,
       min(w.occupied)                     AS least_occupied,
       c.capacity,
       CAST(min(w.occupied) AS DOUBLE) / c.capacity AS least_share,
       count(DISTINCT w.measured_at)       AS readings
FROM hop(parking_occupancy, measured_at, INTERVAL '30 minutes', INTERVAL '1 hour') AS w
JOIN car_parks AS c ON c.car_park_id = w.car_park_id
WHERE w.occupied >= 0
GROUP BY w.car_park_id, c.capacity, w.window_start, w.window_end
HAVING min(w.occupied) >= 0.95 * c.capacity
   AND count(DISTINCT w.measured_at) >= 2;      -- one reading is a moment, not an hour
