-- What the jury of a contest did, for its audit. The log of the contest has the effects.

CREATE TABLE jury_actions (
  action_id UUID PRIMARY KEY,
  contest_id UUID NOT NULL REFERENCES contests (contest_id),
  user_id UUID NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  -- Those that the kind has.
  submission_id UUID,
  participant_id UUID,
  penalty_minutes BIGINT,
  from_s BIGINT,
  to_s BIGINT,
  extra_time_s BIGINT,
  interval_id UUID,
  created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX jury_actions_by_contest ON jury_actions (contest_id, action_id);
CREATE INDEX jury_actions_by_interval ON jury_actions (interval_id) WHERE interval_id IS NOT NULL;

-- The submission counts no more.
ALTER TABLE submissions ADD COLUMN ignored BOOLEAN NOT NULL DEFAULT FALSE;

DROP INDEX submissions_pending_by_challenge;
CREATE INDEX submissions_pending_by_challenge ON submissions (challenge_id, submission_id)
  WHERE challenge_id IS NOT NULL AND NOT ignored AND (verdict IS NULL OR verdict = 'JE');
