-- Four aggregates per measurement point and 10 seconds.
CREATE MATERIALIZED VIEW tumble WITH (
  sink         = 'parquet:tumble',
  partition_by = 'none'
) AS
SELECT w.id, w.window_start, w.window_end,
       count(*)    AS n,
       sum(w.flow) AS flow,
       min(w.flow) AS lowest,
       max(w.flow) AS highest
FROM tumble(ndwflow, event_time, INTERVAL '10 seconds') AS w
GROUP BY w.id, w.window_start, w.window_end;
