-- What people handed in, and how it was judged.

CREATE TABLE submissions (
  submission_id UUID PRIMARY KEY,
  -- Rises with every change; events carry it.
  version BIGINT NOT NULL,
  user_id UUID NOT NULL,
  problem_id UUID NOT NULL,
  problem_version BIGINT NOT NULL,
  language TEXT NOT NULL,
  source_size BIGINT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  -- When the judge was last asked for a judgement.
  requested_at TIMESTAMPTZ NOT NULL,
  -- The outcome: all NULL until the verdict stands, then never changed.
  judgement_id UUID,
  verdict TEXT,
  cpu_time_us BIGINT,
  memory_bytes BIGINT,
  test_count BIGINT,
  isolation TEXT,
  judged_at TIMESTAMPTZ
);

-- Ids are UUIDv7: their order is the order of time.
CREATE INDEX submissions_by_user ON submissions (user_id, submission_id);
CREATE INDEX submissions_by_problem ON submissions (problem_id, submission_id);
CREATE INDEX submissions_by_user_and_problem ON submissions (user_id, problem_id, submission_id);
-- For the limit of submissions per hour.
CREATE INDEX submissions_by_user_and_time ON submissions (user_id, created_at);
-- For finding what the judge forgot.
CREATE INDEX submissions_without_verdict ON submissions (requested_at) WHERE verdict IS NULL;

-- Beside the submissions, so that a list does not read past programs.
CREATE TABLE submission_sources (
  submission_id UUID PRIMARY KEY REFERENCES submissions (submission_id),
  source BYTEA NOT NULL
);

-- The outcomes of the tests, one row a submission: protobuf, as agon.event.v1.JudgementCompleted tells them.
CREATE TABLE submission_tests (
  submission_id UUID PRIMARY KEY REFERENCES submissions (submission_id),
  tests BYTEA NOT NULL
);

-- One row for everybody who ever submitted. Whoever submits updates it first, which makes the
-- submissions of one person queue up and thus countable.
CREATE TABLE submitters (
  user_id UUID PRIMARY KEY,
  submission_count BIGINT NOT NULL
);
