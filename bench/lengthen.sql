-- Adds to a crossing's log, of both sides: declarations of every status in turn, without an end or
-- for an hour, or confirmations. They are spread over the last five years.

SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off;
ALTER TABLE status_event ENABLE ALWAYS TRIGGER place;

CREATE TEMP TABLE telling ON COMMIT DROP AS
SELECT nth, gen_random_uuid() AS id, newest.number + nth AS number, ARRAY[first, second] AS sides,
       greatest(newest.recorded_at, now()) - interval '43800 hours'
           + nth * (interval '43800 hours' / %(events)s) AS said_at,
       greatest(newest.recorded_at, now()) + nth * interval '1 microsecond' AS recorded_at
FROM generate_series(1, %(events)s) nth,
     (SELECT number, recorded_at FROM change ORDER BY number DESC LIMIT 1) newest,
     crossing JOIN border ON border.id = border_id
WHERE crossing.id = %(crossing)s;

INSERT INTO change (number, kind, recorded_at, written_in, subjects, payload, hash)
SELECT number, 'decision', recorded_at, 0, jsonb_build_object('crossings', ARRAY[%(crossing)s]),
       '{"recorded_by": "bench"}', sha256(number::text::bytea)
FROM telling;

INSERT INTO status_event (id, change, recorded_at, recorded_by, kind, crossing_id, decision, sides,
                          status, effective, reason_code, exceptions, certainty, precision,
                          announced_at, confirmed_at)
SELECT id, number, recorded_at, 'bench', %(kind)s, %(crossing)s, id, sides,
       CASE WHEN declared THEN (ARRAY['open', 'closed', 'restricted'])[1 + mod(nth, 3)] END,
       CASE WHEN declared THEN tstzrange(
           said_at, CASE WHEN mod(nth, 4) = 1 THEN said_at + interval '1 hour' END
       ) END,
       CASE WHEN declared THEN 'security' END, '[]',
       CASE WHEN declared THEN 'confirmed' END, CASE WHEN declared THEN 'minute' END,
       CASE WHEN declared THEN said_at END, CASE WHEN NOT declared THEN said_at END
FROM telling, LATERAL (SELECT %(kind)s = 'declaration' AS declared);

INSERT INTO citation (source_id, event_id, basis)
SELECT (SELECT id FROM source LIMIT 1), id, 'stated' FROM telling;

ALTER TABLE status_event ENABLE TRIGGER place;

UPDATE compacted_log
SET due_at = now(), change = NULL, known_from = NULL, events = NULL, held = NULL
WHERE crossing_id = %(crossing)s;
