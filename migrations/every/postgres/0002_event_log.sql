-- The events that this service published, in order. Appends are serialised by an advisory lock, so that the
-- order of ids is the order of commits and a reader never passes a row that becomes visible later.
CREATE TABLE event_log (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id UUID NOT NULL UNIQUE,
  topic TEXT NOT NULL,
  type TEXT NOT NULL,
  aggregate_id UUID NOT NULL,
  aggregate_version BIGINT NOT NULL,
  occurred_at TIMESTAMPTZ NOT NULL,
  traceparent TEXT,
  data BYTEA NOT NULL
);
CREATE INDEX event_log_topic ON event_log (topic, id);
