-- The next rows of some lanes above a place, lane by lane and in order, at most so many of each lane and none behind so
-- many bytes; without those that are under way, those of topics that are absent and, where some are held, those that
-- wait behind a refused one of their key.
--
-- Read by the index of the lanes, whatever the statistics say: an outbox is nearly always empty, and that is what
-- they know of it when it is not; the whole of a long outbox would be read and sorted each time. `NOT IN` of a query
-- is looked up in a table of hashes, `<> ALL` of an array is not.
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

-- Deletes what the broker has; gives how many there were, and the number of this transaction: higher than that of any
-- that wrote a row with a lower id than one of these. By the index, as above. Nobody waits for the disk: rows that come
-- back after a crash are published twice, which consumers know.
CREATE FUNCTION outbox_delete(published BIGINT[], OUT deleted BIGINT, OUT transaction BIGINT)
LANGUAGE plpgsql SET enable_bitmapscan = off SET enable_seqscan = off AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  transaction := pg_current_xact_id()::TEXT::BIGINT;
  DELETE FROM outbox WHERE id = ANY(published);
  GET DIAGNOSTICS deleted = ROW_COUNT;
END $$;

-- A transaction has its number before its rows have their ids.
CREATE FUNCTION outbox_number() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_current_xact_id();
  RETURN NULL;
END $$;
CREATE TRIGGER outbox_number BEFORE INSERT ON outbox EXECUTE FUNCTION outbox_number();

CREATE INDEX outbox_refused ON outbox (topic, aggregate_id) WHERE refusal IS NOT NULL;

-- What one transaction applied is one row now, not one for each event; `highest` and `lowest` of its ids are of the
-- same minute, so that whoever looks for an id need not look far.
ALTER TABLE inbox RENAME TO inbox_before;
CREATE TABLE inbox (
  consumer TEXT NOT NULL,
  lowest UUID NOT NULL,
  highest UUID NOT NULL,
  -- Sixteen bytes each.
  ids BYTEA NOT NULL
);
-- Ids do not get shorter by compressing them.
ALTER TABLE inbox ALTER COLUMN ids SET STORAGE EXTERNAL;
INSERT INTO inbox SELECT consumer, event_id, event_id, uuid_send(event_id) FROM inbox_before;
DROP TABLE inbox_before;
CREATE INDEX inbox_highest ON inbox (consumer, highest);
