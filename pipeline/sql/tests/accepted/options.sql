-- Every option.
CREATE MATERIALIZED VIEW corridor WITH (
  emit = 'final', lateness = '20 minutes', late = drop, sink = 'kafka:city.x, delta:history, parquet:corridor', key = 'zone',
  partition_by = 'zone', freshness = '60 seconds', file_target = '128 MiB', memory_limit = '1 GiB'
) AS SELECT zone, speed / 0 AS nothing, CAST(zone AS INT) AS number, CAST(measured_at AS DATE) AS day FROM readings;
--> corridor: zone TEXT, nothing DOUBLE, number INT, day DATE
--> output
