-- Stations whose mean of fine dust over the last 24 hours is above the limit; looked at every hour.
CREATE MATERIALIZED VIEW pm25_alert WITH (
  emit      = 'final',
  lateness  = '1 hour',
  late      = 'table',
  sink      = 'kafka:city.alerts, parquet:pm25_alert',
  key       = 'station_id',
  freshness = '60 seconds'
) AS
WITH day AS (
  SELECT w.station_id,
         w.window_start,
         w.window_end,
         avg(w.pm2_5)   AS mean_ug_m3,
         max(w.pm2_5)   AS highest_hour,
         count(w.pm2_5) AS hours
  FROM hop(air_quality, measured_at, INTERVAL '1 hour', INTERVAL '24 hours') AS w
  WHERE w.pm2_5 >= 0
  GROUP BY w.station_id, w.window_start, w.window_end
)
SELECT d.station_id,
       d.window_start,
       d.window_end,
       d.mean_ug_m3,
       d.highest_hour,
       d.hours,
       l.limit_id,
       l.limit_ug_m3
FROM day AS d
JOIN air_limits AS l ON l.limit_id = 'cn-pm2_5-24h'
WHERE d.mean_ug_m3 > l.limit_ug_m3
  AND d.hours >= 18;                            -- three quarters of the hours, or it is no daily mean
