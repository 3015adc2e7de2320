-- Workers of all instances of the queue, and jobs that were lost with theirs.

CREATE TABLE workers (
  name TEXT PRIMARY KEY,
  -- Its newest connection. Who serves an older one has no say any more.
  stream UUID NOT NULL,
  -- agon.judge.v1.WorkerHello
  hello BYTEA NOT NULL,
  seen_at TIMESTAMPTZ NOT NULL
);

-- How many attempts ended with their worker.
ALTER TABLE judgements ADD COLUMN lost_count BIGINT NOT NULL DEFAULT 0;
