-- Results before they are final: the columns of the group are the key, unless the job names one.
CREATE MATERIALIZED VIEW updated WITH (emit = 'updates', lateness = '5 minutes', sink = 'delta:updated, kafka:city.updated') AS
SELECT window_end AS until, avg(speed) AS kmh, zone FROM tumble(readings, measured_at, INTERVAL '1 minute') GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW often WITH (emit = 'early every 10 seconds', sink = 'kafka:city.often', key = 'minute, zone') AS
SELECT zone, date_bin(INTERVAL '1 minute', measured_at) AS minute, count(*) AS n FROM readings GROUP BY 1, 2;
CREATE MATERIALIZED VIEW filtered WITH (emit = 'UPDATES', sink = 'delta:filtered', partition_by = 'day') AS
SELECT window_start, count(*) * 2 AS twice FROM tumble(readings, measured_at, INTERVAL '1 hour', zone => 'Europe/Amsterdam')
WHERE speed > 20 GROUP BY window_start, window_end HAVING window_start > TIMESTAMP '2026-01-01';
CREATE MATERIALIZED VIEW slow WITH (emit = 'updates', sink = 'kafka:city.slow') AS
SELECT * FROM (SELECT zone, window_end, avg(speed) AS speed FROM hop(readings, measured_at, INTERVAL '1 minute', INTERVAL '5 minutes')
GROUP BY zone, window_start, window_end HAVING count(*) > 3) WHERE speed < 20;
CREATE MATERIALIZED VIEW between WITH (emit = 'updates', sink = 'kafka:city.between') AS
SELECT zone, window_end, sum(speed) / count(*) + 1 AS more FROM tumble(readings, measured_at, INTERVAL '1 minute')
GROUP BY zone, window_end HAVING sum(speed) / count(*) > 5 AND sum(speed) / count(*) < 10;
CREATE MATERIALIZED VIEW stays WITH (emit = 'early every 1 minute', sink = 'delta:stays', key = 'zone, window_start') AS
SELECT zone, window_start, window_end, 100 / count(*) AS share FROM session(readings, measured_at, INTERVAL '5 minutes', key => zone)
GROUP BY zone, window_start, window_end;
--> updated: until TIMESTAMP, kmh DOUBLE, zone TEXT
--> calc > aggregate > output
--> often: zone TEXT, minute TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> filtered: window_start TIMESTAMP, twice BIGINT
--> calc > aggregate > output
--> slow: zone TEXT, window_end TIMESTAMP, speed DOUBLE
--> calc > aggregate > output
--> between: zone TEXT, window_end TIMESTAMP, more DOUBLE
--> calc > aggregate > output
--> stays: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, share BIGINT
--> calc > aggregate > output
