-- Two streams and two tables for the tests.
CREATE UNBOUNDED EXTERNAL TABLE readings (
  sensor_id TEXT NOT NULL, zone TEXT, speed DOUBLE, vehicles INT, is_ok BOOLEAN, price DECIMAL(10, 2), received_at TIMESTAMP,
  measured_at TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'city.readings' OPTIONS ('time.column' 'measured_at', 'key' 'sensor_id');

CREATE UNBOUNDED EXTERNAL TABLE signals (
  signal_id TEXT NOT NULL, zone TEXT, phase INT, changed_at TIMESTAMP NOT NULL
) STORED AS KAFKA LOCATION 'city.signals' OPTIONS ('time.column' 'changed_at');

CREATE EXTERNAL TABLE sensors (sensor_id TEXT NOT NULL, zone TEXT, limit_kmh INT) STORED AS CSV LOCATION 'sensors.csv';

CREATE EXTERNAL TABLE holidays (day DATE NOT NULL, name TEXT) STORED AS CSV LOCATION 'holidays.csv';
