-- Electric energy that one building used in one hour.
-- measured_at is the start of the hour. A missing hour is a row: kwh null, quality missing.
CREATE UNBOUNDED EXTERNAL TABLE meter_reading (
  building_id TEXT NOT NULL,
  kwh         DOUBLE,                    -- kWh per hour
  quality     TEXT,                      -- ok | missing; sum only ok
  measured_at TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'energy.meters'
OPTIONS (
  'format'             'json',
  'time.column'        'measured_at',
  'time.format'        'rfc3339',
  'time.out_of_order'  '1 hour',
  'time.max_future'    '5 minutes',
  'time.idle'          '3 hours',
  'key'                'building_id',
  'rejects'            'meter_reading_rejected'
);
