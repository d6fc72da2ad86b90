-- What a POST /v1/events of one crossing makes of statements, in its order, by hand: what one of
-- them finds and a later one needs is kept by \gset, and the rest is given by write.py. It counts
-- the statements of a real write, and prints them when they are no longer as many as these.
\set n random(1, :crossings)
\set idempotency_key random(1, 9000000000000000)
BEGIN;

-- Who writes, and whether it is done already.
SELECT api_key.id, api_key.name, api_key.secret_hash, api_key.scopes, api_key.sides,
       api_key.created_at, api_key.expires_at
FROM api_key LEFT OUTER JOIN key_revocation ON key_revocation.key_id = api_key.id
WHERE api_key.id = :key_id AND key_revocation.key_id IS NULL
  AND (api_key.expires_at IS NULL OR api_key.expires_at > now());
SELECT pg_advisory_xact_lock(hashtextextended(:key_id || ' ' || :idempotency_key::text, 0));
SELECT key_id, idempotency_key, request_hash, status, headers, body, kept_at
FROM kept_answer WHERE key_id = :key_id AND idempotency_key = :idempotency_key::text;

-- The place in the log.
SELECT pg_advisory_xact_lock(289143739219);
SELECT coalesce(newest.number, 0) + 1 AS number,
       greatest(clock_timestamp(), newest.recorded_at + interval '1 microsecond') AS recorded_at,
       newest.hash AS previous
FROM (SELECT) one LEFT JOIN LATERAL
     (SELECT * FROM change ORDER BY number DESC LIMIT 1) newest ON true \gset

-- The crossing, what it is and what is cited.
SELECT crossing.id AS crossing, crossing.border_id, border.id AS border, border.first AS side,
       border.second
FROM crossing JOIN border ON border.id = crossing.border_id
WHERE crossing.id IN ('crossing-' || :n::text) \gset
SELECT DISTINCT ON (crossing_id) crossing_id, change, recorded_at, recorded_by, mode, traffic,
       names, aliases, lat, lon, precision_km, confirm_within_days
FROM crossing_version WHERE crossing_id IN (:crossing) AND change <= :number
ORDER BY crossing_id, change DESC;
SELECT id FROM source WHERE id IN (:source);
SELECT uuidv7() FROM generate_series(1, 0);
SELECT uuidv7() AS event_id, uuidv7() AS decision FROM generate_series(1, 1) \gset

-- What was said before.
SELECT crossing.id, crossing.border_id, border.id AS border, border.first, border.second
FROM crossing JOIN border ON border.id = crossing.border_id WHERE crossing.id IN (:crossing);
SELECT DISTINCT ON (crossing_id) crossing_id, change, recorded_at, recorded_by, mode, traffic,
       names, aliases, lat, lon, precision_km, confirm_within_days
FROM crossing_version WHERE crossing_id IN (:crossing) AND change <= :number - 1
ORDER BY crossing_id, change DESC;
SELECT id, change, recorded_at, recorded_by, kind, crossing_id, decision, sides, status, effective,
       expected_until, traffic, "to", reason_code, reason_text, exceptions, certainty, precision,
       announced_at, confirmed_at, incident_id, supersedes, retracts
FROM status_event WHERE crossing_id IN (:crossing) AND change <= :number - 1 ORDER BY change;
SELECT crossing, max(change)
FROM (SELECT unnest(notice.crossings) AS crossing,
             coalesce(retraction.change, newer.change, notice.change) AS change
      FROM notice
      LEFT OUTER JOIN retraction
          ON retraction.notice_id = notice.id AND retraction.change <= :number - 1
      LEFT OUTER JOIN notice AS newer
          ON newer.supersedes = notice.id AND newer.change <= :number - 1
      WHERE notice.crossings && ARRAY[:crossing]::text[] AND notice.change <= :number - 1) told
GROUP BY crossing;

-- What is written.
INSERT INTO change (number, kind, recorded_at, subjects, payload, hash)
VALUES (:number, 'decision', :recorded_at, :subjects::jsonb, :payload::jsonb, :hash::bytea)
RETURNING recorded_by, written_in;
INSERT INTO status_event (id, change, recorded_at, recorded_by, kind, crossing_id, decision, sides,
                          status, effective, reason_code, exceptions, certainty, precision)
VALUES (:event_id, :number, :recorded_at, 'bench', 'declaration', :crossing, :decision,
        ARRAY[:side], 'closed', tstzrange(:recorded_at, NULL), 'technical', '[]', 'confirmed',
        'minute');
INSERT INTO citation (source_id, event_id, basis) VALUES (:source, :event_id, 'stated')
RETURNING id;
INSERT INTO kept_answer (key_id, idempotency_key, request_hash, status, headers, body)
VALUES (:key_id, :idempotency_key::text, :hash::bytea, 201, :headers::jsonb, :body::bytea)
RETURNING kept_at;
COMMIT;
