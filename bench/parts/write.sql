-- What a POST /v1/events of one crossing makes of statements, in its order, by hand: what one of
-- them finds and a later one needs is kept by \gset, and the rest is given by write.py. It counts
-- the statements of a real write, and prints them when they are no longer as many as these. New
-- ids, which the service makes itself, come with the place in the log.
\set n random(1, :crossings)
\set idempotency_key random(1, 9000000000000000)

-- Who writes.
SELECT id, name, secret_hash, scopes, sides
FROM api_key LEFT JOIN key_revocation ON key_id = id
WHERE id = :key_id AND key_id IS NULL AND (expires_at IS NULL OR expires_at > now());
BEGIN;

-- Whether it is done already, what is cited.
SELECT pg_advisory_xact_lock(hashtextextended(:key_id || ' ' || :idempotency_key::text, 0));
SELECT request_hash, status, headers, answer.body, secret.body
FROM kept_answer answer LEFT JOIN secret_answer secret
    ON secret.key_id = answer.key_id AND secret.idempotency_key = answer.idempotency_key
        AND secret.kept_at > now() - interval '1 day'
WHERE answer.key_id = :key_id AND answer.idempotency_key = :idempotency_key::text;
SELECT id FROM source WHERE id = ANY (ARRAY[:source]::uuid[]);

-- What is known, and of the crossing what still matters.
SELECT coalesce((SELECT max(number) FROM change), 0) AS known,
       greatest(clock_timestamp(), (SELECT max(recorded_at) FROM change)) AS asked_at \gset
SELECT crossing.id AS crossing, border.id AS border, first AS side, second, version.change AS version,
       version.recorded_at AS version_recorded_at, recorded_by, mode, traffic, names, aliases, lat,
       lon, precision_km, confirm_within_days, retired_at, replaced_by, hours,
       confirm_within_hours, max_weight_kg, max_height_m, compacted.change AS compacted, known_from, events,
       held,
       (SELECT change FROM status_event
        WHERE crossing_id = crossing.id AND change <= :known ORDER BY change DESC LIMIT 1) AS last,
       (SELECT json_agg(json_build_array(series.id, series.traffic, series."to", one.observed_at,
                                         one.recorded_at))::text
        FROM observation_series series
        CROSS JOIN LATERAL (
            SELECT observed_at, recorded_at FROM confirming_observation
            WHERE series_id = series.id AND recorded_at <= :asked_at::timestamptz
            ORDER BY recorded_at DESC LIMIT 1
        ) one
        WHERE series.crossing_id = crossing.id) AS confirming
FROM crossing JOIN border ON border.id = border_id
CROSS JOIN LATERAL (
    (SELECT * FROM crossing_version
     WHERE crossing_id = crossing.id AND change <= :known ORDER BY change DESC LIMIT 1)
    UNION ALL
    (SELECT * FROM crossing_version
     WHERE crossing_id = crossing.id AND change > :known ORDER BY change LIMIT 1)
    LIMIT 1
) version
LEFT JOIN compacted_log compacted ON compacted.crossing_id = crossing.id
    AND compacted.change <= :known AND known_from <= :asked_at::timestamptz
    AND compacted.change >= version.change
    AND NOT EXISTS (SELECT FROM status_event event
                    WHERE event.crossing_id = crossing.id
                      AND event.change > compacted.change AND event.change <= :known)
WHERE crossing.id = ANY (ARRAY['crossing-' || :n::text]) \gset
SELECT event.id, event.recorded_at, event.kind, event.crossing_id, event.sides, event.status,
       lower(event.effective), upper(event.effective), event.expected_until, event.traffic,
       event."to", event.certainty, event.announced_at, event.confirmed_at, event.supersedes,
       event.retracts, event.said_at, event.said_as, root.recorded_at,
       NULLIF(event.exceptions, '[]'), event.max_weight_kg, event.max_height_m,
       json_build_array(
           event.change, event.recorded_by, event.decision, event.sides, event.traffic,
           event.reason_code, event.reason_text, event.exceptions, event.max_weight_kg,
           event.max_height_m, event.precision, event.incident_id,
           (SELECT json_agg(json_build_array(source_id, locator, basis) ORDER BY citation.id)
            FROM citation WHERE event_id = event.id)
       )::text
FROM status_event event LEFT JOIN status_event root ON root.id = event.said_as
WHERE event.id = ANY (coalesce(:events::text, '{}')::uuid[]);

-- The place in the log.
SELECT pg_advisory_xact_lock(289143739219);
SELECT next.*,
       EXISTS (SELECT FROM compacted_log
               WHERE due_at <= next.recorded_at AND crossing_id = ANY (ARRAY[:crossing]::text[]))
           AS is_due,
       EXISTS (SELECT FROM status_event
               WHERE crossing_id = ANY (ARRAY[:crossing]::text[]) AND change > :known)
       OR EXISTS (SELECT FROM crossing_version
                  WHERE crossing_id = ANY (ARRAY[:crossing]::text[]) AND change > :known) AS moved
FROM (
    SELECT coalesce(newest.number, 0) + 1 AS number,
           greatest(clock_timestamp(), newest.recorded_at + interval '1 microsecond')
               AS recorded_at,
           newest.hash AS previous, uuidv7() AS event_id, uuidv7() AS decision
    FROM (SELECT) one LEFT JOIN LATERAL
         (SELECT * FROM change ORDER BY number DESC LIMIT 1) newest ON true
) next \gset

-- What is written.
INSERT INTO change (number, kind, recorded_at, subjects, payload, hash)
VALUES (:number, 'decision', :recorded_at, :subjects::jsonb, :payload::jsonb, :hash::bytea);
INSERT INTO status_event (id, change, recorded_at, recorded_by, kind, crossing_id, decision, sides,
                          status, effective, reason_code, exceptions, certainty, precision)
VALUES (:event_id, :number, :recorded_at, 'bench', 'declaration', :crossing, :decision,
        ARRAY[:side], 'closed', tstzrange(:recorded_at, NULL), 'technical', '[]', 'confirmed',
        'minute');
INSERT INTO citation (source_id, event_id, basis) VALUES (:source, :event_id, 'stated');
INSERT INTO compacted_log (crossing_id, due_at, change, known_from, events, held)
VALUES (:crossing, NULL, :number, :recorded_at, ARRAY[:event_id]::uuid[],
        '{"since": null, "others": {}, "unknown": []}')
ON CONFLICT (crossing_id) DO UPDATE
SET (due_at, change, known_from, events, held)
    = (excluded.due_at, excluded.change, excluded.known_from, excluded.events, excluded.held);
INSERT INTO kept_answer (key_id, idempotency_key, request_hash, status, headers, body)
VALUES (:key_id, :idempotency_key::text, :hash::bytea, 201, :headers::jsonb, :body::bytea);
COMMIT;
