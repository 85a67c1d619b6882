-- Window functions, by position and by name, and the spellings that mean the same.
CREATE MATERIALIZED VIEW tumble_by_name AS
SELECT zone, window_start, window_end, count(*) AS n, sum(vehicles) AS vehicles, avg(speed) AS kmh, sum(price) AS price
FROM tumble(t => readings, ts => measured_at, size => INTERVAL '5 minutes', zone => 'Europe/Amsterdam')
GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW hop_job AS
SELECT zone, window_start, window_end, max(speed) AS top FROM hop(readings, measured_at, INTERVAL '1 minute', INTERVAL '5 minutes') GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW cumulate_job AS
SELECT zone, window_start, window_end, min(speed) AS low FROM cumulate(readings, measured_at, INTERVAL '1 hour', INTERVAL '1 day') GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW session_job AS
SELECT zone, window_start, window_end, count(*) AS n FROM session(readings, measured_at, INTERVAL '1 minute', key => zone) GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW session_keys AS
SELECT zone, sensor_id, window_start, window_end, count(*) AS n FROM session(readings, measured_at, gap => INTERVAL '1 minute', key => (zone, sensor_id)) GROUP BY zone, sensor_id, window_start, window_end;
-- A filter above a session drops rows from its groups, not from its length: a second input has the times of all.
CREATE MATERIALIZED VIEW session_filtered AS
SELECT zone, sensor_id, window_end, count(*) AS n FROM session(readings, measured_at, INTERVAL '1 minute', key => zone) WHERE speed > 50 GROUP BY zone, sensor_id, window_end;
-- Sessions of several keys in one group, and sessions as they are, need their rows.
CREATE MATERIALIZED VIEW session_of_all_zones AS
SELECT window_start, window_end, count(*) AS n FROM session(readings, measured_at, INTERVAL '1 minute', key => zone) GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW session_rows AS
SELECT zone, window_start, window_end, speed FROM session(readings, measured_at, INTERVAL '1 minute', key => zone);
CREATE MATERIALIZED VIEW month_job AS
SELECT window_start, count(*) AS n FROM tumble(readings, measured_at, INTERVAL '1 month', zone => 'Europe/Amsterdam') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW bin_job AS
SELECT date_bin(INTERVAL '5 minutes', measured_at) AS began, zone, count(*) AS n FROM readings GROUP BY 1, 2;
CREATE MATERIALIZED VIEW trunc_job AS
SELECT date_trunc('hour', measured_at) AS began, count(*) AS n FROM readings GROUP BY date_trunc('hour', measured_at);
CREATE MATERIALIZED VIEW distinct_job AS
SELECT DISTINCT zone, window_start, window_end FROM tumble(readings, measured_at, INTERVAL '5 minutes');
CREATE MATERIALIZED VIEW record_time AS
SELECT zone, window_start, count(*) AS n FROM tumble(readings, measured_at, INTERVAL 1 HOUR) GROUP BY ALL;
CREATE MATERIALIZED VIEW local_day AS
SELECT CAST(window_start AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Amsterdam' AS DATE) AS day, window_start AT TIME ZONE 'UTC' AS began, count(*) AS n
FROM tumble(readings, measured_at, INTERVAL '1 day', zone => 'Europe/Amsterdam') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW offset_by_hop AS
SELECT window_start, window_end, count(*) AS n FROM hop(readings, measured_at, INTERVAL '15 minutes', INTERVAL '1 hour') WHERE date_part('minute', window_start) = 15 GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW commonest AS
WITH c AS (SELECT zone, window_start, window_end, vehicles, count(*) AS n FROM tumble(readings, measured_at, INTERVAL '1 hour') GROUP BY 1, 2, 3, 4)
SELECT zone, window_start, vehicles FROM c QUALIFY row_number() OVER (PARTITION BY zone, window_start, window_end ORDER BY n DESC, vehicles) = 1;
CREATE MATERIALIZED VIEW gaps AS
SELECT window_start, window_end, count(*) AS n FROM hop(readings, measured_at, slide => INTERVAL '1 hour', size => INTERVAL '5 minutes') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW constants AS
SELECT date_part('hours', measured_at) AS h, to_char(measured_at, '%H:%M') AS c, date_trunc('WEEK', received_at) AS w, encode(zone, 'hex') AS e, to_date(zone, '%d.%m.%Y') AS d,
       lpad(zone, 3) AS l, round(speed, 1) AS r, CASE WHEN measured_at > '2024-01-01' THEN coalesce(vehicles, 0) ELSE greatest(vehicles, 1) END AS g FROM readings WHERE measured_at > TIMESTAMP '2024-01-01 00:00:00';
--> tumble_by_name: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT, vehicles BIGINT, kmh DOUBLE, price DECIMAL(20, 2)
--> calc > aggregate > output
--> hop_job: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, top DOUBLE
--> calc > aggregate > output
--> cumulate_job: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, low DOUBLE
--> calc > aggregate > output
--> session_job: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> session_keys: zone TEXT, sensor_id TEXT, window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> session_filtered: zone TEXT, sensor_id TEXT, window_end TIMESTAMP, n BIGINT
--> calc > calc > aggregate > output
--> session_of_all_zones: window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT
--> calc > session > calc > aggregate > output
--> session_rows: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, speed DOUBLE
--> calc > session > output
--> month_job: window_start TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> bin_job: began TIMESTAMP, zone TEXT, n BIGINT
--> calc > aggregate > output
--> trunc_job: began TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> distinct_job: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP
--> calc > aggregate > output
--> record_time: zone TEXT, window_start TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> local_day: day DATE, began TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> offset_by_hop: window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> commonest: zone TEXT, window_start TIMESTAMP, vehicles INT
--> calc > aggregate > calc > over > output
--> gaps: window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT
--> calc > aggregate > output
--> constants: h INT, c TEXT, w TIMESTAMP, e TEXT, d DATE, l TEXT, r DOUBLE, g BIGINT
--> output
