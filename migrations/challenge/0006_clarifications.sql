-- Clarifications, delivered balloons, and the number of bronze medals of contests.

CREATE TABLE clarifications (
  clarification_id UUID PRIMARY KEY,
  contest_id UUID NOT NULL REFERENCES contests (contest_id),
  -- The etag: increased by every answer.
  version BIGINT NOT NULL,
  -- NULL for announcements.
  participant_id UUID,
  -- NULL = a general subject.
  problem_id UUID,
  question TEXT NOT NULL,
  -- The answer, or the announcement.
  answer TEXT NOT NULL,
  -- Whether everyone who sees the contest sees it.
  public BOOLEAN NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  answered_at TIMESTAMPTZ,
  answered_by UUID
);

CREATE INDEX clarifications_by_contest ON clarifications (contest_id, clarification_id);
CREATE INDEX clarifications_public ON clarifications (contest_id, clarification_id) WHERE public;
CREATE INDEX clarifications_by_participant ON clarifications (participant_id, clarification_id)
  WHERE participant_id IS NOT NULL;
CREATE INDEX clarifications_unanswered ON clarifications (contest_id, clarification_id) WHERE answered_at IS NULL;
CREATE INDEX clarifications_unanswered_by_participant ON clarifications (participant_id, clarification_id)
  WHERE answered_at IS NULL;

-- Balloons follow from the submissions; here are those that were delivered.
CREATE TABLE balloon_deliveries (
  participant_id UUID NOT NULL,
  problem_id UUID NOT NULL,
  delivered_at TIMESTAMPTZ NOT NULL,
  delivered_by UUID NOT NULL,
  PRIMARY KEY (participant_id, problem_id)
);

CREATE INDEX submissions_accepted_by_challenge ON submissions (challenge_id, judged_at, submission_id)
  WHERE challenge_id IS NOT NULL AND verdict = 'AC' AND NOT ignored;
CREATE INDEX submissions_accepted_by_participant ON submissions (participant_id, problem_id, judged_at, submission_id)
  WHERE participant_id IS NOT NULL AND verdict = 'AC' AND NOT ignored;

-- Contests whose organisers gave more bronze medals than usual.
CREATE TABLE contest_awards (
  contest_id UUID PRIMARY KEY REFERENCES contests (contest_id),
  extra_bronze_count BIGINT NOT NULL
);
