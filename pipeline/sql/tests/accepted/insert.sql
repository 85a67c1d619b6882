-- The second form of a job, with and without declared columns.
CREATE EXTERNAL TABLE fast STORED AS PARQUET LOCATION 'fast' OPTIONS ('lateness' '1 minute', 'file_target' '64 MiB');
INSERT INTO fast SELECT zone, speed FROM readings WHERE speed > 100;
CREATE EXTERNAL TABLE slow (zone TEXT, speed DOUBLE, at TIMESTAMP) STORED AS KAFKA LOCATION 'city.slow' OPTIONS ('key' 'zone');
INSERT INTO slow SELECT zone, speed, measured_at AS at FROM readings WHERE speed < 10;
--> fast: zone TEXT, speed DOUBLE
--> output
--> slow: zone TEXT, speed DOUBLE, at TIMESTAMP
--> output
