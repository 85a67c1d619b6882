-- Flow and speed of each measuring point and second: two streams joined lane by lane, then added up.
CREATE MATERIALIZED VIEW flow_speed_1s WITH (
  emit      = 'final',
  lateness  = '30 seconds',
  late      = 'table',
  sink      = 'parquet:flow_speed_1s',
  freshness = '10 seconds'
) AS
SELECT l.site_id,
       f.window_start,
       f.window_end,
       count(*)     AS lanes,
       sum(f.flow)  AS flow_veh_h,
       avg(s.speed) AS speed_kmh,                            -- each lane weighs the same
       sum(f.flow * s.speed) / nullif(sum(f.flow), 0) AS vehicle_kmh   -- each vehicle weighs the same
FROM tumble(lane_flow, measured_at, INTERVAL '1 second') AS f
JOIN tumble(lane_speed, measured_at, INTERVAL '1 second') AS s
  ON s.lane_id = f.lane_id AND s.window_start = f.window_start AND s.window_end = f.window_end
JOIN lanes AS l ON l.lane_id = f.lane_id
WHERE f.flow >= 0 AND s.speed >= 0             -- negative: not measured, or no vehicle passed
GROUP BY l.site_id, f.window_start, f.window_end;
