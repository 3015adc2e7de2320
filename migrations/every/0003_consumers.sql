-- What this service's consumers have done, written in the transaction of the effect.

-- How far a consumer has come in a topic: the last event it dealt with.
CREATE TABLE consumer_cursors (
  consumer TEXT NOT NULL,
  topic TEXT NOT NULL,
  log_id BIGINT NOT NULL,
  event_id UUID NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (consumer, topic)
);

-- Events that a consumer could not apply, and the later events of their keys, which wait behind them (held).
-- The consumer itself tries again what is marked for replay, the oldest of a key first.
CREATE TABLE dead_letters (
  consumer TEXT NOT NULL,
  topic TEXT NOT NULL,
  log_id BIGINT NOT NULL,
  event_id UUID NOT NULL,
  type TEXT NOT NULL,
  aggregate_id UUID NOT NULL,
  aggregate_version BIGINT NOT NULL,
  occurred_at TIMESTAMPTZ NOT NULL,
  traceparent TEXT,
  data BYTEA NOT NULL,
  reason TEXT NOT NULL,
  attempt_count BIGINT NOT NULL,
  held BOOLEAN NOT NULL,
  replay BOOLEAN NOT NULL,
  parked_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (consumer, topic, log_id)
);
CREATE INDEX dead_letters_key ON dead_letters (consumer, topic, aggregate_id, log_id);
CREATE INDEX dead_letters_parked ON dead_letters (parked_at, event_id);
