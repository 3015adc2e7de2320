-- A dead letter that cannot be decoded does not block its key. The envelope is the key and the headers of a Kafka message
-- that is not an event.
ALTER TABLE dead_letters ADD COLUMN blocks_key BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE dead_letters ADD COLUMN envelope BYTEA;
