-- Limits of air quality, so that a job names a limit and not a number.
CREATE EXTERNAL TABLE air_limits (
  limit_id    TEXT NOT NULL,
  pollutant   TEXT NOT NULL,             -- a column of air_quality
  averaging   TEXT NOT NULL,             -- over how long the mean is taken
  limit_ug_m3 DOUBLE NOT NULL,
  rule        TEXT NOT NULL              -- who set it, and how often it may be exceeded
) STORED AS CSV LOCATION 'air_limits.csv'
OPTIONS ('format.has_header' 'true');
