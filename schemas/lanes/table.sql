-- The lanes that report flow and speed, with the speed each has when traffic is free.
CREATE EXTERNAL TABLE lanes (
  lane_id       TEXT NOT NULL,
  site_id       TEXT NOT NULL,
  lane          TEXT NOT NULL,
  num_lanes     INT NOT NULL,
  lat           DOUBLE NOT NULL,
  lon           DOUBLE NOT NULL,
  free_flow_kmh DOUBLE NOT NULL          -- 85th percentile of the sample's minute speeds
) STORED AS CSV LOCATION 'lanes.csv'
OPTIONS ('format.has_header' 'true');
