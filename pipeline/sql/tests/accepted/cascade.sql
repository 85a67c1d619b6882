-- Windows over windows.
CREATE MATERIALIZED VIEW by_tumble AS
WITH minute AS (
  SELECT zone, window_start AS began, window_end AS ended, count(*) AS n
  FROM tumble(readings, measured_at, INTERVAL '1 minute') GROUP BY zone, window_start, window_end
)
SELECT zone, window_start, window_end, sum(n) AS n, max(n) AS busiest FROM tumble(minute, began, INTERVAL '5 minutes') GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW by_bin AS
WITH minute AS (
  SELECT zone, window_start, count(*) AS n
  FROM tumble(readings, measured_at, INTERVAL '1 minute') GROUP BY zone, window_start, window_end
)
SELECT zone, date_bin(INTERVAL '1 hour', window_start) AS hour, sum(n) AS n FROM minute GROUP BY 1, 2;
CREATE MATERIALIZED VIEW case_that_excludes_null AS
WITH o AS (
  SELECT zone, window_start, window_end, CASE WHEN vehicles = length(zone) THEN vehicles ELSE -1 END AS x
  FROM tumble(readings, measured_at, INTERVAL '1 minute')
)
SELECT zone, window_start, min(x) AS low, array_agg(x ORDER BY x) AS all_of_it FROM o GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW months_of_hours AS
WITH hour AS (
  SELECT zone, window_start, count(*) AS n
  FROM tumble(readings, measured_at, INTERVAL '1 hour') GROUP BY zone, window_start, window_end
)
SELECT zone, date_trunc('month', window_start) AS month, sum(n) AS n FROM hour GROUP BY 1, 2;
--> by_tumble: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT, busiest BIGINT
--> calc > aggregate > calc > aggregate > output
--> by_bin: zone TEXT, hour TIMESTAMP, n BIGINT
--> calc > aggregate > calc > aggregate > output
--> case_that_excludes_null: zone TEXT, window_start TIMESTAMP, low BIGINT, all_of_it List(Int64)
--> calc > aggregate > output
--> months_of_hours: zone TEXT, month TIMESTAMP, n BIGINT
--> calc > aggregate > calc > aggregate > output
