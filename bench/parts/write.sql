-- What a POST /v1/events of one crossing makes of statements, in its order, by hand: what one of
-- them finds and a later one needs is kept by \gset, and the rest is given by write.py. It counts
-- the statements of a real write, and prints them when they are no longer as many as these. New
-- ids, which the service makes itself, come with the place in the log.
\set n random(1, :crossings)
\set idempotency_key random(1, 9000000000000000)
BEGIN;

-- Who writes, whether it is done already, what is cited.
SELECT api_key.id, api_key.name, api_key.secret_hash, api_key.scopes, api_key.sides
FROM api_key LEFT OUTER JOIN key_revocation ON key_revocation.key_id = api_key.id
WHERE api_key.id = :key_id AND key_revocation.key_id IS NULL
  AND (api_key.expires_at IS NULL OR api_key.expires_at > now());
SELECT pg_advisory_xact_lock(hashtextextended(:key_id || ' ' || :idempotency_key::text, 0));
SELECT key_id, idempotency_key, request_hash, status, headers, body, kept_at
FROM kept_answer WHERE key_id = :key_id AND idempotency_key = :idempotency_key::text;
SELECT id FROM source WHERE id = ANY (ARRAY[:source]::uuid[]);

-- The place in the log.
SELECT pg_advisory_xact_lock(289143739219);
SELECT next.*, EXISTS (SELECT FROM due WHERE at <= next.recorded_at) AS is_due
FROM (
    SELECT coalesce(newest.number, 0) + 1 AS number,
           greatest(clock_timestamp(), newest.recorded_at + interval '1 microsecond')
               AS recorded_at,
           newest.hash AS previous, uuidv7() AS event_id, uuidv7() AS decision
    FROM (SELECT) one LEFT JOIN LATERAL
         (SELECT * FROM change ORDER BY number DESC LIMIT 1) newest ON true
) next \gset

-- The crossing, and what was said of it before.
SELECT DISTINCT ON (crossing.id) border.id AS border, border.first AS side, border.second,
       crossing_version.crossing_id AS crossing, crossing_version.change,
       crossing_version.traffic, crossing_version.confirm_within_days
FROM border JOIN crossing ON crossing.border_id = border.id
JOIN crossing_version ON crossing_version.crossing_id = crossing.id
WHERE crossing.id = ANY (ARRAY['crossing-' || :n::text])
ORDER BY crossing.id, crossing_version.change DESC \gset
SELECT id, recorded_at, kind, crossing_id, sides, status, effective, expected_until, traffic, "to",
       certainty, announced_at, confirmed_at, supersedes, retracts
FROM status_event WHERE crossing_id = ANY (ARRAY[:crossing]::text[]);

-- What is written.
INSERT INTO change (number, kind, recorded_at, subjects, payload, hash)
VALUES (:number, 'decision', :recorded_at, :subjects::jsonb, :payload::jsonb, :hash::bytea);
INSERT INTO due (crossing_id, at) VALUES (:crossing, NULL)
ON CONFLICT (crossing_id) DO UPDATE SET at = excluded.at;
INSERT INTO status_event (id, change, recorded_at, recorded_by, kind, crossing_id, decision, sides,
                          status, effective, reason_code, exceptions, certainty, precision)
VALUES (:event_id, :number, :recorded_at, 'bench', 'declaration', :crossing, :decision,
        ARRAY[:side], 'closed', tstzrange(:recorded_at, NULL), 'technical', '[]', 'confirmed',
        'minute');
INSERT INTO citation (source_id, event_id, basis) VALUES (:source, :event_id, 'stated');
INSERT INTO kept_answer (key_id, idempotency_key, request_hash, status, headers, body)
VALUES (:key_id, :idempotency_key::text, :hash::bytea, 201, :headers::jsonb, :body::bytea);
COMMIT;
