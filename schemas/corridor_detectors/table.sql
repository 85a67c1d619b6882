-- Which SCATS detector stands on which road.
CREATE EXTERNAL TABLE corridor_detectors (
  detector_id TEXT NOT NULL,
  corridor_id TEXT NOT NULL,
  corridor    TEXT NOT NULL,             -- road name to show
  site_id     TEXT NOT NULL,             -- the junction
  approach    TEXT NOT NULL,             -- side of the junction: N, NE, E, SE, S, SW, W, NW
  location    TEXT NOT NULL,             -- the source's own words
  lat         DOUBLE NOT NULL,
  lon         DOUBLE NOT NULL
) STORED AS CSV LOCATION 'corridor_detectors.csv'
OPTIONS ('format.has_header' 'true');
