-- Rejudgings of contests: new verdicts of submissions, apart from those that count until they are applied.

CREATE TABLE rejudgings (
  rejudging_id UUID PRIMARY KEY,
  contest_id UUID NOT NULL REFERENCES contests (contest_id),
  user_id UUID NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'applied', 'discarded')),
  reason TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  closed_at TIMESTAMPTZ
);

CREATE INDEX rejudgings_by_contest ON rejudgings (contest_id, rejudging_id);
CREATE INDEX rejudgings_open ON rejudgings (contest_id) WHERE state = 'open';

CREATE TABLE rejudging_submissions (
  rejudging_id UUID NOT NULL REFERENCES rejudgings (rejudging_id),
  submission_id UUID NOT NULL,
  -- Which judgement of the submission it is, from 2.
  ordinal BIGINT NOT NULL,
  -- The version of the problem that it is judged against.
  problem_version BIGINT NOT NULL,
  old_verdict TEXT NOT NULL,
  -- Whether the rejudging is open.
  open BOOLEAN NOT NULL,
  -- The new outcome: all NULL until the submission is judged again.
  judgement_id UUID,
  verdict TEXT,
  cpu_time_us BIGINT,
  memory_bytes BIGINT,
  test_count BIGINT,
  isolation TEXT,
  judged_at TIMESTAMPTZ,
  tests BYTEA,
  PRIMARY KEY (rejudging_id, submission_id)
);

CREATE UNIQUE INDEX rejudging_submissions_open ON rejudging_submissions (submission_id) WHERE open;

-- How many judgements of the submission were requested.
ALTER TABLE submissions ADD COLUMN judgement_count BIGINT NOT NULL DEFAULT 1;
