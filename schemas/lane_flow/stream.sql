-- Traffic flow of one motorway lane over one minute.
CREATE UNBOUNDED EXTERNAL TABLE lane_flow (
  lane_id     TEXT NOT NULL,
  flow        INT,                       -- vehicles per hour, extrapolated from the period
  period      INT,                       -- seconds of measurement
  accuracy    INT,                       -- percent
  num_lanes   INT,
  measured_at TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'ndw.flow'
OPTIONS (
  'format'             'json',
  'time.column'        'measured_at',
  'time.format'        'rfc3339',
  'time.out_of_order'  '30 seconds',
  'time.max_future'    '1 minute',
  'time.idle'          '3 minutes',
  'key'                'lane_id',
  'rejects'            'lane_flow_rejected'
);
