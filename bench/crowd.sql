-- Change 1 is the source that all is cited from, the next ones are the crossings, the rest events.
-- What an event says follows from its crossing (n) and from which one of it it is (nth), never from
-- chance: the first crossing's hundred events are the same in every database.

SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off;
-- The one trigger that says nothing against a row, but fills it.
ALTER TABLE status_event ENABLE ALWAYS TRIGGER place;

CREATE FUNCTION pg_temp.id_of(what int, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(what), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid
$$;

CREATE TEMP TABLE place ON COMMIT DROP AS
SELECT n, 'crossing-' || n AS id, first, second, first || '-' || second AS border,
       1 + n AS number,
       now() - interval '43800 hours' + n * interval '1 millisecond' AS recorded_at,
       CASE WHEN mod(n, 5) < 2
            THEN '{pedestrian,bicycle,motorcycle,car,bus,truck}'::text[]
            ELSE '{car,bus,truck}' END AS traffic
FROM generate_series(1, %(crossings)s) n
JOIN (VALUES (0, 'LT', 'PL'), (1, 'BY', 'LT'), (2, 'BY', 'PL'), (3, 'BY', 'LV'), (4, 'LV', 'RU'),
             (5, 'EE', 'RU'), (6, 'FI', 'RU'), (7, 'BY', 'UA')) pair (place, first, second)
    ON pair.place = mod(n, 8);

CREATE TEMP TABLE telling ON COMMIT DROP AS
WITH shared AS (
    -- Every so many-th event is of the first crossing, the others take turns.
    SELECT i, CASE WHEN mod(i, %(every)s) = 0 THEN 1
                   ELSE 2 + mod(i - i / %(every)s - 1, %(crossings)s - 1) END AS n,
              CASE WHEN mod(i, %(every)s) = 0 THEN i / %(every)s - 1
                   ELSE (i - i / %(every)s - 1) / (%(crossings)s - 1) END AS nth
    FROM generate_series(1, %(events)s) i
), said AS (
    SELECT *, CASE WHEN mod(nth, 10) = 4 THEN 'confirmation'
                   WHEN mod(nth, 20) = 16 THEN 'retraction'
                   ELSE 'declaration' END AS kind,
              mod(nth, 20) = 9 AS corrects,
              1 + %(crossings)s + i AS number,
              now() - interval '43799 hours' + i * (interval '43799 hours' / %(events)s)
                  AS recorded_at
    FROM shared
), linked AS (
    SELECT *, pg_temp.id_of(1, number) AS id,
              pg_temp.id_of(1, lag(number) OVER (PARTITION BY n ORDER BY i)) AS previous,
              CASE WHEN corrects OR kind = 'retraction' THEN nth - 1 ELSE nth END AS about
    FROM said
)
SELECT linked.*, place.id AS crossing_id, border, first, second,
       ARRAY[CASE WHEN mod(about, 2) = 0 THEN first ELSE second END] AS sides,
       CASE WHEN mod(about, 7) = 3 THEN ARRAY['truck'] END AS traffic,
       CASE WHEN mod(about, 7) = 3 THEN first END AS "to"
FROM linked JOIN place USING (n)
ORDER BY i;

INSERT INTO change (number, kind, recorded_at, written_in, subjects, payload, hash)
SELECT number, kind, recorded_at, 0, subjects, '{"recorded_by": "bench"}', sha256(number::text::bytea)
FROM (
    SELECT 1::bigint AS number, 'source' AS kind, now() - interval '43800 hours' AS recorded_at,
           jsonb_build_object('sources', ARRAY[pg_temp.id_of(3, 1)]) AS subjects
    UNION ALL
    SELECT number, 'crossing', recorded_at,
           jsonb_build_object('crossings', ARRAY[id], 'borders', ARRAY[border],
                              'countries', ARRAY[first, second])
    FROM place
    UNION ALL
    SELECT number, CASE kind WHEN 'declaration' THEN 'decision' ELSE kind END, recorded_at,
           jsonb_build_object('crossings', ARRAY[crossing_id], 'borders', ARRAY[border],
                              'countries', ARRAY[first, second],
                              'sources', ARRAY[pg_temp.id_of(3, 1)])
    FROM telling
) told;

INSERT INTO source (id, change, recorded_at, recorded_by, kind, title, publisher)
SELECT pg_temp.id_of(3, 1), number, recorded_at, 'bench', 'official', 'Journal of the shift', 'Bench'
FROM change WHERE number = 1;

INSERT INTO country (code) SELECT first FROM place UNION SELECT second FROM place;
INSERT INTO border (first, second) SELECT DISTINCT first, second FROM place;
INSERT INTO crossing (id, border_id) SELECT id, border FROM place;

INSERT INTO crossing_version (crossing_id, change, recorded_at, recorded_by, mode, traffic, names,
                              aliases, lat, lon, precision_km, confirm_within_days)
SELECT id, number, recorded_at, 'bench', 'road', traffic,
       jsonb_build_array(jsonb_build_object('lang', 'en', 'side', first, 'name', 'Crossing ' || n)),
       '{}', 50 + mod(n, 200) / 20.0, 20 + mod(n, 300) / 30.0, 0.5, 30
FROM place;

INSERT INTO status_event (id, change, recorded_at, recorded_by, kind, crossing_id, decision, sides,
                          status, effective, traffic, "to", reason_code, reason_text, exceptions,
                          certainty, precision, confirmed_at, supersedes, retracts)
SELECT id, number, recorded_at, 'bench', kind, crossing_id, pg_temp.id_of(2, number), sides,
       CASE WHEN declared THEN (ARRAY['open', 'restricted', 'closed'])[1 + mod(n + nth, 3)] END,
       CASE WHEN declared THEN tstzrange(
           recorded_at - mod(nth, 6) * interval '10 minutes',
           CASE WHEN mod(nth / 3, 3) = 1 THEN recorded_at + (1 + mod(nth, 30)) * interval '1 day' END
       ) END,
       traffic, "to",
       CASE WHEN kind <> 'confirmation' THEN 'security' END,
       CASE WHEN kind <> 'confirmation' THEN 'Told by the shift leader' END,
       '[]',
       CASE WHEN declared AND mod(nth, 4) = 0 THEN 'reported' WHEN declared THEN 'confirmed' END,
       CASE WHEN declared THEN 'minute' END,
       CASE WHEN kind = 'confirmation' THEN recorded_at END,
       CASE WHEN corrects THEN previous END,
       CASE WHEN kind = 'retraction' THEN previous END
FROM telling, LATERAL (SELECT kind = 'declaration' AS declared)
ORDER BY i;

INSERT INTO citation (source_id, crossing_id, version, locator, basis)
SELECT pg_temp.id_of(3, 1), id, number, 'entry ' || number, 'stated' FROM place ORDER BY n;

INSERT INTO citation (source_id, event_id, locator, basis)
SELECT pg_temp.id_of(3, 1), id, 'entry ' || number, 'stated' FROM telling ORDER BY i;

ALTER TABLE status_event ENABLE TRIGGER place;

-- Nothing is compacted yet: each crossing is looked at as if something were due of it.
INSERT INTO compacted_log (crossing_id, due_at) SELECT id, now() FROM place;
