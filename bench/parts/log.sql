-- The log of one crossing as known at a change: the query that a question about the past costs most.
SELECT * FROM status_event
WHERE crossing_id = :crossing AND change <= 9000000000 ORDER BY change;
