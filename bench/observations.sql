-- Observations of two lanes of each crossing, evenly over the last year, by one source. The latest
-- of each lane is of the last hour.

SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off;

SELECT make_observation_partitions(now() - interval '366 days', now() + interval '14 days');

INSERT INTO observation_series (crossing_id, traffic, "to", source_id)
SELECT crossing.id, 'car', side, source.id
FROM crossing JOIN border ON border.id = border_id,
     LATERAL (VALUES (first), (second)) AS sides (side),
     (SELECT id FROM source LIMIT 1) source;

INSERT INTO observation (series_id, observed_at, recorded_at, recorded_by, shown_until, closed,
                         minutes, vehicles, estimate, method)
SELECT id, observed_at, observed_at, 'bench', observed_at + interval '3 hours', false,
       CASE WHEN mod(nth + id, 20) > 0 THEN mod(nth * 7 + id, 240) END, mod(nth + id, 90), false,
       'sensor'
FROM (SELECT count(*) AS series FROM observation_series) all_of,
     LATERAL (SELECT %(observations)s / series AS each) share,
     generate_series(0, each - 1) nth,
     observation_series,
     LATERAL (SELECT date_trunc('second', now()) - mod(id, 3600) * interval '1 second'
                     - nth * (interval '365 days' / each) AS observed_at) instant;

-- The first crossing is observed each minute.
INSERT INTO observation (series_id, observed_at, recorded_at, recorded_by, shown_until, closed,
                         minutes, vehicles, estimate, method)
SELECT id, observed_at, observed_at, 'bench', observed_at + interval '3 hours', false,
       mod(nth, 240), mod(nth, 90), false, 'sensor'
FROM generate_series(1, 28 * 24 * 60) nth, observation_series,
     LATERAL (SELECT date_trunc('second', now()) - nth * interval '1 minute' AS observed_at) instant
WHERE crossing_id = 'crossing-1'
ON CONFLICT DO NOTHING;

INSERT INTO latest_observation
SELECT DISTINCT ON (series_id) * FROM observation
WHERE observed_at > now() - interval '2 hours' ORDER BY series_id, observed_at DESC;
