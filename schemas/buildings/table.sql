-- The metered buildings: where, what for, how large.
CREATE EXTERNAL TABLE buildings (
  building_id TEXT NOT NULL,
  site_id     TEXT NOT NULL,
  district    TEXT NOT NULL,             -- part of the city that energy is added up by
  primary_use TEXT NOT NULL,
  sqm         DOUBLE NOT NULL,           -- gross floor area, square metres
  timezone    TEXT NOT NULL,
  year_built  INT
) STORED AS CSV LOCATION 'buildings.csv'
OPTIONS ('format.has_header' 'true');
