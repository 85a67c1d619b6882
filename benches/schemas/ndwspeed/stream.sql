-- Mean speed of one lane, each second: the `ndwspeed` topic of OSPBench.
CREATE UNBOUNDED EXTERNAL TABLE ndwspeed (
  id         TEXT NOT NULL,              -- measurement point
  lane       TEXT NOT NULL,
  lat        DOUBLE,
  long       DOUBLE,
  speed      DOUBLE,
  accuracy   INT,
  num_lanes  INT NOT NULL,
  event_time TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'ndwspeed'
OPTIONS (
  'format'            'json',
  'time.column'       'event_time',
  'time.out_of_order' '1 second',
  'time.idle'         '1 hour',          -- a partition that was read to its end says nothing more
  'path.id'           '_key',
  'path.lane'         '/internalId',
  'path.event_time'   '/timestamp'
);
