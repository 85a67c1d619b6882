-- Window functions inside a window, and what goes with them.
CREATE MATERIALIZED VIEW top AS
SELECT zone, window_start, speed, row_number() OVER (PARTITION BY window_start, window_end, zone ORDER BY speed DESC) AS place
FROM tumble(readings, measured_at, INTERVAL '5 minutes') QUALIFY place <= 3;
CREATE MATERIALIZED VIEW named AS
SELECT zone, window_start, rank() OVER w AS place, lag(speed) OVER w AS before, avg(speed) OVER (PARTITION BY window_start, window_end) AS mean
FROM tumble(readings, measured_at, INTERVAL '5 minutes') WINDOW w AS (PARTITION BY window_start, window_end ORDER BY speed);
CREATE MATERIALIZED VIEW filtered AS
SELECT window_start, count(*) FILTER (WHERE is_ok) AS ok, count(DISTINCT zone) AS zones, last_value(speed ORDER BY measured_at) AS newest, median(speed) AS middle
FROM tumble(readings, measured_at, INTERVAL '5 minutes') GROUP BY window_start, window_end HAVING count(*) > 1;
--> top: zone TEXT, window_start TIMESTAMP, speed DOUBLE, place BIGINT
--> calc > over > output
--> named: zone TEXT, window_start TIMESTAMP, place BIGINT, before DOUBLE, mean DOUBLE
--> calc > over > calc > over > calc > over > output
--> filtered: window_start TIMESTAMP, ok BIGINT, zones BIGINT, newest DOUBLE, middle DOUBLE
--> calc > aggregate > output
