-- Hours with more nitrogen dioxide than the limit. No window: each record is judged when it comes.
CREATE MATERIALIZED VIEW no2_alert WITH (
  emit      = 'final',
  late      = 'table',
  sink      = 'kafka:city.alerts, parquet:no2_alert',
  key       = 'station_id',
  freshness = '10 seconds'
) AS
SELECT a.station_id,
       a.measured_at,
       a.no2,
       l.limit_id,
       l.limit_ug_m3
FROM air_quality AS a
JOIN air_limits AS l ON l.limit_id = 'eu-no2-1h'
WHERE a.no2 > l.limit_ug_m3;
