-- Hidden columns pass through windows, WITH and subqueries when they are named.
CREATE MATERIALIZED VIEW a AS SELECT *, _topic, _partition, _offset, _timestamp FROM readings;
CREATE MATERIALIZED VIEW b AS WITH x AS (SELECT zone, _key, _headers, measured_at FROM readings) SELECT zone, _key, _headers FROM x;
CREATE MATERIALIZED VIEW c AS SELECT zone, max(_offset) AS newest, window_start FROM tumble(readings, measured_at, INTERVAL '1 minute') GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW d AS SELECT w._partition, count(*) AS n FROM tumble((SELECT *, _partition FROM readings), measured_at, INTERVAL '1 minute') AS w GROUP BY w._partition, w.window_start, w.window_end;
CREATE MATERIALIZED VIEW e AS SELECT * FROM (SELECT *, _offset FROM readings);
--> a: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP, _topic TEXT, _partition INT, _offset BIGINT, _timestamp TIMESTAMP
--> output
--> b: zone TEXT, _key BINARY, _headers TEXT
--> output
--> c: zone TEXT, newest BIGINT, window_start TIMESTAMP
--> calc > aggregate > output
--> d: _partition INT, n BIGINT
--> calc > aggregate > output
--> e: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP, _offset BIGINT
--> output
