-- Mean speed on one motorway lane over one minute.
CREATE UNBOUNDED EXTERNAL TABLE lane_speed (
  lane_id     TEXT NOT NULL,
  speed       DOUBLE,                    -- km/h; a negative value means that no vehicle passed
  accuracy    INT,                       -- percent
  num_lanes   INT,
  measured_at TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'ndw.speed'
OPTIONS (
  'format'             'json',
  'time.column'        'measured_at',
  'time.format'        'rfc3339',
  'time.out_of_order'  '30 seconds',
  'time.max_future'    '1 minute',
  'time.idle'          '3 minutes',
  'key'                'lane_id',
  'rejects'            'lane_speed_rejected'
);
