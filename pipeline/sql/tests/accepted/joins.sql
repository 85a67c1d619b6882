-- Streams with tables, and windowed streams with each other.
CREATE MATERIALIZED VIEW lookup AS
SELECT r.sensor_id, r.speed, s.limit_kmh FROM readings AS r LEFT JOIN sensors AS s ON s.sensor_id = r.sensor_id;
CREATE MATERIALIZED VIEW in_table AS
SELECT zone, speed FROM readings WHERE sensor_id IN (SELECT sensor_id FROM sensors WHERE limit_kmh > 50);
CREATE MATERIALIZED VIEW not_in_table AS
SELECT r.zone FROM readings AS r WHERE NOT EXISTS (SELECT 1 FROM holidays AS h WHERE h.name = r.zone);
CREATE MATERIALIZED VIEW window_join AS
WITH a AS (SELECT zone, window_start, window_end, avg(speed) AS kmh FROM tumble(readings, measured_at, INTERVAL '5 minutes') GROUP BY zone, window_start, window_end),
     b AS (SELECT zone, window_start, window_end, count(*) AS changes FROM tumble(signals, changed_at, INTERVAL '5 minutes') GROUP BY zone, window_start, window_end)
SELECT a.zone, a.window_start, a.window_end, a.kmh, b.changes
FROM a JOIN b ON a.zone = b.zone AND a.window_start = b.window_start AND a.window_end = b.window_end;
CREATE MATERIALIZED VIEW window_left_join AS
SELECT a.zone, a.window_start, a.speed, b.phase
FROM tumble(readings, measured_at, INTERVAL '1 minute') AS a
LEFT JOIN tumble(signals, changed_at, INTERVAL '1 minute') AS b ON a.zone = b.zone AND a.window_start = b.window_start AND a.window_end = b.window_end;
CREATE MATERIALIZED VIEW both AS
SELECT zone, measured_at AS at FROM readings UNION ALL SELECT zone, changed_at FROM signals;
CREATE MATERIALIZED VIEW natural_join AS SELECT r.speed, s.limit_kmh FROM readings AS r NATURAL JOIN sensors AS s;
CREATE MATERIALIZED VIEW unnested AS SELECT zone, x, FROM readings, UNNEST(make_array(1, 2)) AS u(x);
CREATE MATERIALIZED VIEW not_in_stream AS
WITH a AS (SELECT zone, window_start, window_end, count(*) AS n FROM tumble(readings, measured_at, INTERVAL '5 minutes') GROUP BY zone, window_start, window_end),
     b AS (SELECT zone, window_start, window_end FROM tumble(signals, changed_at, INTERVAL '5 minutes') GROUP BY zone, window_start, window_end)
SELECT a.zone, a.window_start, a.n
FROM a LEFT JOIN b ON a.zone = b.zone AND a.window_start = b.window_start AND a.window_end = b.window_end WHERE b.zone IS NULL;
CREATE MATERIALIZED VIEW cast_on AS
SELECT r.zone, s.limit_kmh FROM readings AS r JOIN sensors AS s ON s.limit_kmh = CAST(r.zone AS INT) WHERE r.sensor_id > '5' AND s.zone = CAST(r.vehicles AS TEXT);
CREATE MATERIALIZED VIEW hop_with_tumble AS
SELECT a.zone, a.window_start, b.phase
FROM hop(readings, measured_at, INTERVAL '1 minute', INTERVAL '5 minutes') AS a
JOIN tumble(signals, changed_at, INTERVAL '5 minutes') AS b ON a.zone = b.zone AND a.window_start = b.window_start AND a.window_end = b.window_end
WHERE a.zone LIKE 'a*%' AND a.vehicles NOT BETWEEN 5 AND 1;
CREATE MATERIALIZED VIEW union_of_a_kind AS
SELECT zone, CAST(measured_at AS DATE) AS at, vehicles AS n FROM readings UNION ALL SELECT zone, changed_at, phase * 1.5 FROM signals;
CREATE MATERIALIZED VIEW types_that_are_agreed_on AS
SELECT NULL AS n, 1 AS one, CASE WHEN is_ok THEN CAST(measured_at AS DATE) ELSE measured_at END AS at, coalesce(CAST(received_at AS DATE), measured_at) AS first FROM readings
UNION ALL SELECT phase, 2.5, CAST(changed_at AS DATE), NULL FROM signals;
--> lookup: sensor_id TEXT, speed DOUBLE, limit_kmh INT
--> output
--> in_table: zone TEXT, speed DOUBLE
--> output
--> not_in_table: zone TEXT
--> output
--> window_join: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, kmh DOUBLE, changes BIGINT
--> calc > aggregate > calc > aggregate > calc > calc > join > output
--> window_left_join: zone TEXT, window_start TIMESTAMP, speed DOUBLE, phase INT
--> calc > calc > join > output
--> both: zone TEXT, at TIMESTAMP
--> output
--> natural_join: speed DOUBLE, limit_kmh INT
--> output
--> unnested: zone TEXT, x BIGINT
--> output
--> not_in_stream: zone TEXT, window_start TIMESTAMP, n BIGINT
--> calc > aggregate > calc > aggregate > calc > calc > join > output
--> cast_on: zone TEXT, limit_kmh INT
--> output
--> hop_with_tumble: zone TEXT, window_start TIMESTAMP, phase INT
--> calc > calc > join > output
--> union_of_a_kind: zone TEXT, at TIMESTAMP, n DOUBLE
--> output
--> types_that_are_agreed_on: n INT, one DOUBLE, at TIMESTAMP, first TIMESTAMP
--> output
