-- Which events of some crossings can still matter to an instant, as known at a change.
--
-- Given: crossings, ids; at, the instant; known, the change; without, events to be taken for
-- withdrawn; lo and hi, where the window begins and ends for a series. Returned: an id a row with its crossing, and the window (lo, hi] about `at` in
-- which the history made of these events answers as the whole log does; null where it is open.
--
-- A series is what one crossing's events of the same sides, lanes, certainty and timing have in
-- common. Its timing is `planned` if its periods had not begun when they were recorded, `past` if
-- they had ended, else `current`; so all its starts, or all its ends, are plans or none is. What is
-- superseded or withdrawn as known ("undone") is nowhere.
--
-- Statuses: nothing that is left out can decide a lane, or lift what does, within the window.
--   * What begins in the window is kept (begins). So is what has begun before and has an end in it
--     or beyond (bounded), and every rumour that has not ended.
--   * Left out is what has no end and began by `lo`, unless it is among the maxima (endless): of its
--     series, nothing was said later and starts no earlier. What is left out is lifted by such a
--     maximum M throughout the window, since M has begun by `lo` and does not end. And whatever it
--     would lift is lifted by M, which was said later still and starts no earlier.
--   The maxima are found from what was said last, each next one among what starts later than the
--   one before. Equally said ones come together (WITH TIES), since an id decides between them.
--
-- Evidence: of each instant x recorded at r that is left out, another of the same series does all
-- that it would do for an instant t of the window.
--   * Starts and ends by `lo` count from x on as min(x, r), for what began no later than x. Kept are
--     the maxima of (x, r): with a later x and a min no smaller, one supports whatever the other does.
--     Of a series without plans that is the last one alone; of plans, each next one was recorded
--     later. Those in the window come with the events that begin in it or are bounded.
--   * What has come when it is recorded supports all before it, too: one beyond the window that is no
--     plan does this for all of it, so the nearest is kept (beyond).
--   * Confirmations are never plans. Kept are the last one by `at`, which `last_confirmed_at` shows;
--     the newest of all, which supports all that is earlier; and the first one after `at`, at which
--     the answer next differs: if that one is of no use to a lane until its decider changes, no
--     other of its series is.
--
-- `far` lies after all instants that may be recorded: to order by the distance from it is to
-- begin with the last, which the GiST indexes do without looking at the others.
WITH RECURSIVE series AS MATERIALIZED (
    SELECT id, crossing_id, certainty, timing FROM event_series
    WHERE crossing_id = ANY (%(crossings)s)
), bounds AS MATERIALIZED (
    SELECT crossing_id, max({lo}) AS lo, min({hi}) AS hi
    FROM series GROUP BY crossing_id
), declared AS MATERIALIZED (
    SELECT id, crossing_id, certainty, timing, coalesce(lo, '-infinity') AS lo,
           coalesce(hi, 'infinity') AS hi
    FROM series JOIN bounds USING (crossing_id) WHERE certainty <> ''
), begins AS (
    SELECT event.id, declared.crossing_id
    FROM declared JOIN status_event event ON event.series_id = declared.id
    WHERE kind = 'declaration' AND lower(effective) > lo AND lower(effective) <= hi
), bounded AS (
    SELECT event.id, declared.crossing_id
    FROM declared JOIN status_event event ON event.series_id = declared.id
    WHERE kind = 'declaration' AND lower(effective) <= lo AND upper(effective) > lo
), rumours AS (
    SELECT event.id, declared.crossing_id
    FROM declared JOIN status_event event ON event.series_id = declared.id
    WHERE declared.certainty = 'unconfirmed'
      AND kind = 'declaration' AND lower(effective) <= lo AND upper(effective) IS NULL
), endless AS (
    SELECT last.*, declared.crossing_id, declared.id AS series_id, lo
    FROM declared CROSS JOIN LATERAL (
        SELECT id, lower(effective) AS start FROM status_event event
        WHERE event.series_id = declared.id AND kind = 'declaration'
          AND upper(effective) IS NULL AND lower(effective) <= lo AND change <= %(known)s
          AND NOT {undone}
        ORDER BY said_at <-> {far} FETCH FIRST 1 ROWS WITH TIES
    ) last
    WHERE declared.certainty <> 'unconfirmed'
    UNION
    SELECT next.*, endless.crossing_id, endless.series_id, lo
    FROM endless CROSS JOIN LATERAL (
        SELECT id, lower(effective) AS start FROM status_event event
        WHERE event.series_id = endless.series_id AND kind = 'declaration'
          AND upper(effective) IS NULL AND lower(effective) <= lo AND change <= %(known)s
          AND lower(effective) > endless.start
          AND NOT {undone}
        ORDER BY said_at <-> {far} FETCH FIRST 1 ROWS WITH TIES
    ) next
), starts AS (
    SELECT last.*, declared.crossing_id, declared.id AS series_id, timing
    FROM declared CROSS JOIN LATERAL (
        SELECT id, lower(effective) AS x, change FROM status_event event
        WHERE event.series_id = declared.id AND kind = 'declaration'
          AND lower(effective) <= lo AND change <= %(known)s AND NOT {undone}
        ORDER BY lower(effective) <-> {far} LIMIT 1
    ) last
    WHERE declared.certainty <> 'unconfirmed'
    UNION ALL
    SELECT next.*, starts.crossing_id, starts.series_id, timing
    FROM starts CROSS JOIN LATERAL (
        SELECT id, lower(effective) AS x, change FROM status_event event
        WHERE event.series_id = starts.series_id AND kind = 'declaration'
          AND lower(effective) <= starts.x AND change > starts.change AND change <= %(known)s
          AND NOT {undone}
        ORDER BY lower(effective) <-> {far} LIMIT 1
    ) next
    WHERE timing = 'planned'
), ends AS (
    SELECT last.*, declared.crossing_id, declared.id AS series_id, timing
    FROM declared CROSS JOIN LATERAL (
        SELECT id, upper(effective) AS x, change FROM status_event event
        WHERE event.series_id = declared.id AND kind = 'declaration'
          AND upper(effective) <= lo AND change <= %(known)s AND NOT {undone}
        ORDER BY upper(effective) <-> {far} LIMIT 1
    ) last
    WHERE declared.certainty <> 'unconfirmed'
    UNION ALL
    SELECT next.*, ends.crossing_id, ends.series_id, timing
    FROM ends CROSS JOIN LATERAL (
        SELECT id, upper(effective) AS x, change FROM status_event event
        WHERE event.series_id = ends.series_id AND kind = 'declaration'
          AND upper(effective) <= ends.x AND change > ends.change AND change <= %(known)s
          AND NOT {undone}
        ORDER BY upper(effective) <-> {far} LIMIT 1
    ) next
    WHERE timing <> 'past'
), beyond AS (
    SELECT found.id, declared.crossing_id FROM declared CROSS JOIN LATERAL (
        SELECT id FROM status_event event
        WHERE event.series_id = declared.id AND kind = 'declaration'
          AND lower(effective) > hi AND change <= %(known)s AND NOT {undone}
        ORDER BY lower(effective) <-> %(at)s LIMIT 1
    ) found
    WHERE declared.certainty <> 'unconfirmed' AND hi < 'infinity' AND timing <> 'planned'
), confirmed AS (
    SELECT found.id, series.crossing_id FROM series CROSS JOIN LATERAL (
        (SELECT id FROM status_event event
         WHERE event.series_id = series.id AND kind = 'confirmation'
           AND confirmed_at <= %(at)s AND change <= %(known)s AND NOT {undone}
         ORDER BY confirmed_at <-> {far} LIMIT 1)
        UNION ALL
        (SELECT id FROM status_event event
         WHERE event.series_id = series.id AND kind = 'confirmation'
           AND confirmed_at > %(at)s AND change <= %(known)s AND NOT {undone}
         ORDER BY confirmed_at <-> %(at)s LIMIT 1)
        UNION ALL
        (SELECT id FROM status_event event
         WHERE event.series_id = series.id AND kind = 'confirmation'
           AND confirmed_at > %(at)s AND change <= %(known)s AND NOT {undone}
         ORDER BY confirmed_at <-> {far} LIMIT 1)
    ) found
    WHERE certainty = ''
), kept AS (
    SELECT id, crossing_id FROM begins UNION SELECT id, crossing_id FROM bounded
    UNION SELECT id, crossing_id FROM rumours UNION SELECT id, crossing_id FROM endless
    UNION SELECT id, crossing_id FROM starts UNION SELECT id, crossing_id FROM ends
    UNION SELECT id, crossing_id FROM beyond UNION SELECT id, crossing_id FROM confirmed
)
SELECT bounds.crossing_id, lo, hi, ARRAY(
    SELECT event.id FROM kept JOIN status_event event USING (id)
    WHERE kept.crossing_id = bounds.crossing_id AND change <= %(known)s AND NOT {undone}
)
FROM bounds
