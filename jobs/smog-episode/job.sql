-- Episodes of smog: hours with much fine dust, with at most two cleaner hours between them.
CREATE MATERIALIZED VIEW smog_episode WITH (
  emit      = 'final',
  lateness  = '1 hour',
  late      = 'table',
  sink      = 'parquet:smog_episode',
  freshness = '60 seconds'
) AS
SELECT station_id,
       min(measured_at)                      AS first_hour,
       max(measured_at)                      AS last_hour,
       count(DISTINCT measured_at)           AS hours_above,
       avg(pm2_5)                            AS mean_ug_m3,
       max(pm2_5)                            AS highest_ug_m3
FROM session((SELECT * FROM air_quality WHERE pm2_5 > 150),   -- "heavy" on China's daily index
             measured_at, INTERVAL '4 hours', key => station_id)
GROUP BY station_id, window_start, window_end
HAVING count(DISTINCT measured_at) >= 3;                       -- shorter is a bonfire
