-- The hour of the largest demand, per district and local day.
-- Both windows name the zone: an inner window has to fit into the outer one.
CREATE MATERIALIZED VIEW district_peak_1d WITH (
  emit      = 'final',
  lateness  = '6 hours',
  late      = 'table',
  sink      = 'parquet:district_peak_1d',
  freshness = '60 seconds'
) AS
WITH demand AS (
  SELECT b.district,
         w.window_start                AS hour_start,
         sum(w.kwh)                    AS kwh,
         count(DISTINCT w.building_id) AS buildings
  FROM tumble(meter_reading, measured_at, INTERVAL '1 hour', zone => 'America/New_York') AS w
  JOIN buildings AS b ON b.building_id = w.building_id
  WHERE w.quality = 'ok' AND w.kwh IS NOT NULL
    AND b.timezone = 'US/Eastern'        -- one zone a job
  GROUP BY b.district, w.window_start, w.window_end
)
SELECT district,
       CAST(window_start AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York' AS DATE) AS local_day,
       window_start,
       window_end,
       hour_start                 AS peak_hour,
       kwh                        AS peak_kwh,
       buildings,
       avg(kwh) OVER day / nullif(kwh, 0) AS load_factor,   -- 1 is even, near 0 is all at once
       count(*) OVER day          AS hours
FROM tumble(demand, hour_start, INTERVAL '1 day', zone => 'America/New_York')
WINDOW day AS (PARTITION BY district, window_start, window_end)
QUALIFY row_number() OVER (PARTITION BY district, window_start, window_end
                           ORDER BY kwh DESC, hour_start) = 1;  -- of equal hours the first
