-- The next rows of some lanes above a place, at most so many of each, lane by lane and in order; without those that
-- are under way and, where some are held, without those that wait behind a refused one of their key.
--
-- Read by the index of the lanes, whatever the statistics say: an outbox is nearly always empty, and that is what
-- they know of it when it is not; the whole of a long outbox would be read and sorted each time. `NOT IN` of a query
-- is looked up in a table of hashes, `<> ALL` of an array is not.
CREATE FUNCTION outbox_next(lanes BIGINT[], above BIGINT, under_way BIGINT[], held BOOLEAN, most BIGINT)
RETURNS SETOF outbox LANGUAGE plpgsql STABLE SET enable_bitmapscan = off SET enable_seqscan = off AS $$
BEGIN
  RETURN QUERY SELECT waiting.* FROM unnest(lanes) AS ours (lane) CROSS JOIN LATERAL (
    SELECT * FROM outbox AS o
    WHERE o.lane = ours.lane AND refusal IS NULL AND id > above AND id NOT IN (SELECT unnest(under_way))
      AND (NOT held OR NOT EXISTS (
        SELECT FROM outbox AS r
        WHERE r.refusal IS NOT NULL AND r.topic = o.topic AND r.aggregate_id = o.aggregate_id
      ))
    ORDER BY id LIMIT most
  ) AS waiting;
END $$;

-- Deletes what the broker has; gives how many there were. By the index, as above. Nobody waits for the disk: rows that
-- come back after a crash are published twice, which consumers know.
CREATE FUNCTION outbox_delete(published BIGINT[]) RETURNS BIGINT
LANGUAGE plpgsql SET enable_bitmapscan = off SET enable_seqscan = off AS $$
DECLARE
  deleted BIGINT;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  DELETE FROM outbox WHERE id = ANY(published);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN deleted;
END $$;

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
