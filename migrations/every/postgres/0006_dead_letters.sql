-- A dead letter that cannot be decoded does not block its key. The envelope is the key and the headers of a Kafka message,
-- as bus::envelope encodes them: of a dead letter if its message is not an event, of an outbox row if it is a dead letter.
ALTER TABLE dead_letters ADD COLUMN blocks_key BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE dead_letters ADD COLUMN envelope BYTEA;
UPDATE dead_letters SET blocks_key = FALSE WHERE type = '';
ALTER TABLE outbox ADD COLUMN envelope BYTEA;

-- As before, with the envelope.
DROP FUNCTION outbox_next;
CREATE FUNCTION outbox_next(
  lanes BIGINT[], above BIGINT, in_flight BIGINT[], missing TEXT[], refused BOOLEAN, max_rows BIGINT, max_bytes BIGINT
)
RETURNS TABLE (
  lane BIGINT, id BIGINT, event_id UUID, topic TEXT, type TEXT, aggregate_id UUID, aggregate_version BIGINT,
  occurred_at TIMESTAMPTZ, traceparent TEXT, data BYTEA, envelope BYTEA
)
LANGUAGE plpgsql STABLE SET enable_bitmapscan = off SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT w.lane, w.id, w.event_id, w.topic, w.type, w.aggregate_id, w.aggregate_version,
                      w.occurred_at, w.traceparent, w.data, w.envelope
  FROM unnest(lanes) AS ours (lane) CROSS JOIN LATERAL (
    SELECT o.*, sum(octet_length(o.data)) OVER (ORDER BY o.id) AS bytes FROM outbox AS o
    WHERE o.lane = ours.lane AND o.refusal IS NULL AND o.id > above AND o.id NOT IN (SELECT unnest(in_flight))
      AND o.topic <> ALL (missing)
      AND (NOT refused OR NOT EXISTS (
        SELECT FROM outbox AS r
        WHERE r.refusal IS NOT NULL AND r.topic = o.topic AND r.aggregate_id = o.aggregate_id
      ))
    ORDER BY o.id LIMIT max_rows
  ) AS w WHERE w.bytes - octet_length(w.data) < max_bytes;
END $$;
