-- The events that this service published, in order. SQLite commits in the order of ids; AUTOINCREMENT
-- never gives an id twice.
CREATE TABLE event_log (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
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
