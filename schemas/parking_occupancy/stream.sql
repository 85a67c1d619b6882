-- Cars in one car park at one moment, about every half hour while it is open.
-- measured_at is local time without an offset: in the hour that autumn repeats it means the first pass.
CREATE UNBOUNDED EXTERNAL TABLE parking_occupancy (
  car_park_id TEXT NOT NULL,
  occupied    INT,                       -- cars; a negative number is a counter that drifted
  measured_at TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'parking.occupancy'
OPTIONS (
  'format'             'json',
  'time.column'        'measured_at',
  'time.format'        'rfc3339',
  'time.zone'          'Europe/London',
  'time.out_of_order'  '10 minutes',
  'time.max_future'    '5 minutes',
  'time.idle'          '90 minutes',
  'key'                'car_park_id',
  'rejects'            'parking_occupancy_rejected'
);
