-- Air quality at one station: means over one hour. measured_at is the start of the hour, local time.
CREATE UNBOUNDED EXTERNAL TABLE air_quality (
  station_id  TEXT NOT NULL,
  pm2_5       DOUBLE,                    -- micrograms per cubic metre, as the other three
  pm10        DOUBLE,
  no2         DOUBLE,
  o3          DOUBLE,
  measured_at TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'air.quality'
OPTIONS (
  'format'             'json',
  'time.column'        'measured_at',
  'time.format'        'rfc3339',
  'time.zone'          'Asia/Shanghai',
  'time.out_of_order'  '1 hour',
  'time.max_future'    '5 minutes',
  'time.idle'          '3 hours',
  'key'                'station_id',
  'rejects'            'air_quality_rejected'
);
