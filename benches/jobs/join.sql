-- OSPBench stages 2 and 3: flow meets speed of the same lane and second, then the lanes of a point are put together.
CREATE MATERIALIZED VIEW flow_speed WITH (
  sink         = 'parquet:join',
  partition_by = 'none'
) AS
WITH lane_obs AS (
  SELECT f.id, f.lane, f.window_start, f.window_end,
         greatest(f.event_time, s.event_time) AS pub_ts,
         f.lat, f.long, f.flow, f.period, s.speed,
         f.accuracy AS flow_accuracy,
         s.accuracy AS speed_accuracy,
         CASE WHEN f.num_lanes = s.num_lanes THEN f.num_lanes ELSE -1 END AS num_lanes
  FROM tumble(ndwflow, event_time, INTERVAL '1 second') AS f
  JOIN tumble(ndwspeed, event_time, INTERVAL '1 second') AS s
    ON f.id = s.id AND f.lane = s.lane AND f.window_start = s.window_start AND f.window_end = s.window_end
)
SELECT id, window_start, window_end,
       count(*)                    AS n,
       array_agg(lane ORDER BY lane) AS lanes,
       max(pub_ts)                 AS pub_ts,
       sum(flow)                   AS flow,
       avg(speed)                  AS speed,
       CASE WHEN min(period) = max(period) THEN min(period) ELSE -1 END AS period,
       CASE WHEN min(flow_accuracy) = max(flow_accuracy) THEN min(flow_accuracy) ELSE -1 END AS flow_accuracy,
       CASE WHEN min(speed_accuracy) = max(speed_accuracy) THEN min(speed_accuracy) ELSE -1 END AS speed_accuracy,
       min(num_lanes)              AS num_lanes,
       min(lat)                    AS lat,
       min(long)                   AS long
FROM lane_obs
GROUP BY id, window_start, window_end;
