-- How full each car park is, per half hour.
CREATE MATERIALIZED VIEW parking_occupancy_30m WITH (
  emit      = 'final',
  lateness  = '5 minutes',
  late      = 'table',
  sink      = 'parquet:parking_occupancy_30m',
  freshness = '30 seconds'
) AS
SELECT w.car_park_id,
       w.window_start,
       w.window_end,
       last_value(w.occupied ORDER BY w.measured_at, w.occupied) AS occupied,
       avg(w.occupied)                                           AS mean_occupied,
       c.capacity,
       greatest(c.capacity - last_value(w.occupied ORDER BY w.measured_at, w.occupied), 0) AS free,
       avg(w.occupied) / c.capacity                              AS share,
       count(*)                                                  AS readings
FROM tumble(parking_occupancy, measured_at, INTERVAL '30 minutes') AS w
JOIN car_parks AS c ON c.car_park_id = w.car_park_id
WHERE w.occupied >= 0                    -- a counter that drifted below zero says nothing
GROUP BY w.car_park_id, c.capacity, w.window_start, w.window_end;
