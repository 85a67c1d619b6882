-- Energy per building and local day: 23 hours in spring, 25 in autumn.
-- Sites lie in three time zones, so there is one tumble for each zone.
CREATE MATERIALIZED VIEW building_energy_1d WITH (
  emit      = 'final',
  lateness  = '6 hours',
  late      = 'table',
  sink      = 'parquet:building_energy_1d',
  freshness = '60 seconds'
) AS
WITH reading AS (
  SELECT m.building_id, m.kwh, m.measured_at, b.district, b.sqm, b.timezone
  FROM meter_reading AS m
  JOIN buildings AS b ON b.building_id = m.building_id
  WHERE m.quality = 'ok' AND m.kwh IS NOT NULL
), local_day AS (
  SELECT * FROM tumble(reading, measured_at, INTERVAL '1 day', zone => 'America/New_York')
  WHERE timezone = 'US/Eastern'
  UNION ALL
  SELECT * FROM tumble(reading, measured_at, INTERVAL '1 day', zone => 'America/Denver')
  WHERE timezone = 'US/Mountain'
  UNION ALL
  SELECT * FROM tumble(reading, measured_at, INTERVAL '1 day', zone => 'America/Los_Angeles')
  WHERE timezone = 'US/Pacific'
), reading_once AS (
  SELECT DISTINCT * FROM local_day       -- the head-end asks again, and some readings come twice
)
SELECT building_id,
       district,
       window_start,
       window_end,
       sum(kwh)                                                      AS kwh,
       sum(kwh) / sqm                                                AS kwh_per_sqm,
       count(*)                                                      AS readings,
       CAST(date_part('epoch', window_end - window_start) AS BIGINT) / 3600 AS hours  -- of this day
FROM reading_once
GROUP BY building_id, district, sqm, window_start, window_end;
