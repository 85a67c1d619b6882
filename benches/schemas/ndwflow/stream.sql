-- Vehicles per hour of one lane, each second: the `ndwflow` topic of OSPBench.
CREATE UNBOUNDED EXTERNAL TABLE ndwflow (
  id         TEXT NOT NULL,              -- measurement point
  lane       TEXT NOT NULL,
  lat        DOUBLE,
  long       DOUBLE,
  flow       INT,
  period     INT,
  accuracy   INT,
  num_lanes  INT NOT NULL,
  event_time TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'ndwflow'
OPTIONS (
  'format'            'json',
  'time.column'       'event_time',
  'time.out_of_order' '1 second',
  'time.idle'         '1 hour',          -- a partition that was read to its end says nothing more
  'path.id'           '_key',
  'path.lane'         '/internalId',
  'path.event_time'   '/timestamp'
);
