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
--> by_tumble: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT, busiest BIGINT
--> calc > aggregate > calc > aggregate > output
--> by_bin: zone TEXT, hour TIMESTAMP, n BIGINT
--> calc > aggregate > calc > aggregate > output
