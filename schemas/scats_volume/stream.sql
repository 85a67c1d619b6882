-- Vehicles counted by one SCATS detector in one quarter of an hour.
-- measured_at is the start of the quarter; the record can only exist 15 minutes later.
CREATE UNBOUNDED EXTERNAL TABLE scats_volume (
  detector_id TEXT NOT NULL,
  vehicles    INT,                       -- vehicles per 15 minutes
  quality     TEXT,                      -- ok | dst_gap; count only ok
  measured_at TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'scats.volume'
OPTIONS (
  'format'             'json',
  'time.column'        'measured_at',
  'time.format'        'rfc3339',
  'time.out_of_order'  '5 minutes',
  'time.max_future'    '5 minutes',
  'time.idle'          '30 minutes',
  'key'                'detector_id',
  'rejects'            'scats_volume_rejected'
);
