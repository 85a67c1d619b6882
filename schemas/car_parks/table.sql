-- The car parks and how many cars they hold.
CREATE EXTERNAL TABLE car_parks (
  car_park_id TEXT NOT NULL,
  capacity    INT NOT NULL               -- spaces
) STORED AS CSV LOCATION 'car_parks.csv'
OPTIONS ('format.has_header' 'true');
