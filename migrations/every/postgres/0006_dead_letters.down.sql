DROP FUNCTION outbox_next;
CREATE FUNCTION outbox_next(
  lanes BIGINT[], above BIGINT, under_way BIGINT[], absent TEXT[], held BOOLEAN, most BIGINT, most_bytes BIGINT
)
RETURNS TABLE (
  lane BIGINT, id BIGINT, event_id UUID, topic TEXT, type TEXT, aggregate_id UUID, aggregate_version BIGINT,
  occurred_at TIMESTAMPTZ, traceparent TEXT, data BYTEA
)
LANGUAGE plpgsql STABLE SET enable_bitmapscan = off SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT w.lane, w.id, w.event_id, w.topic, w.type, w.aggregate_id, w.aggregate_version,
                      w.occurred_at, w.traceparent, w.data
  FROM unnest(lanes) AS ours (lane) CROSS JOIN LATERAL (
    SELECT o.*, sum(octet_length(o.data)) OVER (ORDER BY o.id) AS bytes FROM outbox AS o
    WHERE o.lane = ours.lane AND o.refusal IS NULL AND o.id > above AND o.id NOT IN (SELECT unnest(under_way))
      AND o.topic <> ALL (absent)
      AND (NOT held OR NOT EXISTS (
        SELECT FROM outbox AS r
        WHERE r.refusal IS NOT NULL AND r.topic = o.topic AND r.aggregate_id = o.aggregate_id
      ))
    ORDER BY o.id LIMIT most
  ) AS w WHERE w.bytes - octet_length(w.data) < most_bytes;
END $$;
ALTER TABLE outbox DROP COLUMN envelope;
ALTER TABLE dead_letters DROP COLUMN envelope;
ALTER TABLE dead_letters DROP COLUMN blocks_key;
