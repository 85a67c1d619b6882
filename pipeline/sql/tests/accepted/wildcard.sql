-- * and s.* leave the hidden columns out.
CREATE MATERIALIZED VIEW a AS SELECT * FROM readings;
CREATE MATERIALIZED VIEW b AS SELECT s.*, r.phase FROM readings AS s JOIN (SELECT 1 AS phase) AS r ON true;
CREATE MATERIALIZED VIEW c AS SELECT * FROM tumble(readings, measured_at, INTERVAL '1 minute');
CREATE MATERIALIZED VIEW d AS SELECT w.*, s.limit_kmh FROM readings AS w JOIN sensors AS s ON s.sensor_id = w.sensor_id;
CREATE MATERIALIZED VIEW e AS SELECT * FROM (SELECT * FROM readings);
CREATE MATERIALIZED VIEW f AS WITH x AS (SELECT * FROM readings) SELECT * FROM x;
CREATE MATERIALIZED VIEW g AS SELECT * FROM tumble((SELECT * FROM readings WHERE is_ok), measured_at, INTERVAL '1 minute');
CREATE MATERIALIZED VIEW h AS SELECT * EXCEPT (speed) FROM readings;
CREATE MATERIALIZED VIEW i AS SELECT * FROM tumble(t => readings, ts => measured_at, size => INTERVAL '1 minute');
CREATE MATERIALIZED VIEW k AS SELECT * FROM readings UNION ALL SELECT * FROM readings;
--> a: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP
--> output
--> b: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP, phase BIGINT
--> output
--> c: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP, window_start TIMESTAMP, window_end TIMESTAMP
--> output
--> d: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP, limit_kmh INT
--> output
--> e: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP
--> output
--> f: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP
--> output
--> g: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP, window_start TIMESTAMP, window_end TIMESTAMP
--> output
--> h: sensor_id TEXT, zone TEXT, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP
--> output
--> i: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP, window_start TIMESTAMP, window_end TIMESTAMP
--> output
--> k: sensor_id TEXT, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP, measured_at TIMESTAMP
--> output
