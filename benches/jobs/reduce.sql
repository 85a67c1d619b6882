-- OSPBench stage 100: vehicles per measurement point over 5 minutes, every minute.
CREATE MATERIALIZED VIEW reduce WITH (
  sink         = 'parquet:reduce',
  partition_by = 'none'
) AS
SELECT w.id, w.window_start, w.window_end,
       count(*)          AS lane_count,
       sum(w.flow)       AS flow,
       max(w.event_time) AS pub_ts
FROM hop(ndwflow, event_time, INTERVAL '1 minute', INTERVAL '5 minutes') AS w
GROUP BY w.id, w.window_start, w.window_end;
