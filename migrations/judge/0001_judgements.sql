-- Judgements: the queue of jobs and what came of them.

CREATE TABLE judgements (
  id UUID PRIMARY KEY,
  submission_id UUID,
  verification_id UUID,
  -- Which judgement of its submission or verification this is, from 1; also the event's version.
  ordinal BIGINT NOT NULL,
  problem_id UUID NOT NULL,
  problem_version BIGINT NOT NULL,
  -- Empty = by file extension.
  language TEXT NOT NULL,
  owner_id UUID,
  traceparent TEXT,
  -- The lowest first.
  priority BIGINT NOT NULL,
  -- queued, leased, done
  state TEXT NOT NULL,
  -- How often it was leased: the fencing token.
  attempt BIGINT NOT NULL,
  -- How many of these attempts broke.
  crash_count BIGINT NOT NULL,
  -- Queued: not before; leased: until.
  due_at TIMESTAMPTZ NOT NULL,
  worker TEXT NOT NULL,
  -- A name of agon.judge.v1.Verdict; empty until done.
  verdict TEXT NOT NULL,
  cpu_time_us BIGINT NOT NULL,
  memory_bytes BIGINT NOT NULL,
  test_count BIGINT NOT NULL,
  -- agon.judge.v1.Judgement with the tests only.
  tests BYTEA NOT NULL,
  compile_output TEXT NOT NULL,
  message TEXT NOT NULL,
  isolation TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  done_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX judgements_by_submission ON judgements (submission_id, ordinal);
CREATE UNIQUE INDEX judgements_by_verification ON judgements (verification_id, ordinal);
CREATE INDEX judgements_queued ON judgements (priority, id) WHERE state = 'queued';
CREATE INDEX judgements_leased ON judgements (due_at) WHERE state = 'leased';
CREATE INDEX judgements_pending_by_owner ON judgements (owner_id) WHERE state <> 'done';

-- The languages that workers offer or last offered.
CREATE TABLE languages (
  id TEXT PRIMARY KEY,
  -- agon.judge.v1.Language
  definition BYTEA NOT NULL,
  offered_at TIMESTAMPTZ NOT NULL
);
