-- Events on their way to Kafka, where that is used: a row goes when the broker has it.
-- A lane holds every event of its keys and is published by one process at a time, in the order of ids. (Within a
-- key that is the order of commits, because the aggregate's row is locked before its event is written.)
CREATE TABLE outbox (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lane BIGINT NOT NULL,
  event_id UUID NOT NULL UNIQUE,
  topic TEXT NOT NULL,
  type TEXT NOT NULL,
  aggregate_id UUID NOT NULL,
  aggregate_version BIGINT NOT NULL,
  occurred_at TIMESTAMPTZ NOT NULL,
  traceparent TEXT,
  data BYTEA NOT NULL,
  -- Why it can never be published. It holds back the later events of its key.
  refusal TEXT
);
CREATE INDEX outbox_lane ON outbox (lane, id);

-- Events that were applied lately, as a relay may publish one twice.
CREATE TABLE inbox (
  consumer TEXT NOT NULL,
  event_id UUID NOT NULL,
  PRIMARY KEY (consumer, event_id)
);
