-- Hidden columns pass through windows, WITH and subqueries when they are named.
CREATE MATERIALIZED VIEW a AS SELECT *, _topic, _partition, _offset, _timestamp FROM readings;
CREATE MATERIALIZED VIEW b AS WITH x AS (SELECT zone, _key, _headers, measured_at FROM readings) SELECT zone, _key, _headers FROM x;
CREATE MATERIALIZED VIEW c AS SELECT zone, max(_offset) AS newest, window_start FROM tumble(readings, measured_at, INTERVAL '1 minute') GROUP BY zone, window_start, window_end;
CREATE MATERIALIZED VIEW d AS SELECT w._partition, count(*) AS n FROM tumble((SELECT *, _partition FROM readings), measured_at, INTERVAL '1 minute') AS w GROUP BY w._partition, w.window_start, w.window_end;
CREATE MATERIALIZED VIEW e AS SELECT *, _offset FROM (SELECT *, _offset FROM readings);
