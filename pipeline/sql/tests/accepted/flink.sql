-- What is pasted from Flink.
CREATE MATERIALIZED VIEW pasted AS
SELECT zone, window_start, window_end, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(measured_at), INTERVAL '5' MINUTE))
GROUP BY zone, window_start, window_end;
--> pasted: zone TEXT, window_start TIMESTAMP, window_end TIMESTAMP, n BIGINT
--> calc > aggregate > output
