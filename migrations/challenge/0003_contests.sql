-- Contests, their participants and logs.

CREATE TABLE contests (
  contest_id UUID PRIMARY KEY,
  -- The etag: increased by every change of the settings.
  version BIGINT NOT NULL,
  slug TEXT NOT NULL,
  title TEXT NOT NULL,
  -- Title and slug in lower case.
  search TEXT NOT NULL,
  description TEXT NOT NULL,
  owner_id UUID NOT NULL,
  visibility TEXT NOT NULL CHECK (visibility IN ('public', 'private')),
  format TEXT NOT NULL,
  registration TEXT NOT NULL,
  access_code TEXT NOT NULL,
  starts_at TIMESTAMPTZ NOT NULL,
  ends_at TIMESTAMPTZ NOT NULL,
  -- NULL = never.
  freezes_at TIMESTAMPTZ,
  penalty_minutes BIGINT NOT NULL,
  -- JSON array of language ids.
  languages TEXT NOT NULL,
  -- Bytes; 0 = the limit of the server.
  source_limit BIGINT NOT NULL,
  -- JSON array, in the order of the contest.
  problems TEXT NOT NULL,
  participant_count BIGINT NOT NULL,
  -- The last state that the scheduler recorded, and when it records the next one; NULL = never.
  recorded_state TEXT NOT NULL,
  transition_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  published_at TIMESTAMPTZ,
  canceled_at TIMESTAMPTZ,
  thawed_at TIMESTAMPTZ,
  finalized_at TIMESTAMPTZ,
  deleted_at TIMESTAMPTZ
);

-- The slug of a deleted contest is free.
CREATE UNIQUE INDEX contests_slug ON contests (slug) WHERE deleted_at IS NULL;
CREATE INDEX contests_by_start ON contests (starts_at, contest_id);
CREATE INDEX contests_by_owner ON contests (owner_id, starts_at, contest_id);
CREATE INDEX contests_transition ON contests (transition_at, contest_id) WHERE transition_at IS NOT NULL;

CREATE TABLE participants (
  participant_id UUID PRIMARY KEY,
  contest_id UUID NOT NULL REFERENCES contests (contest_id),
  user_id UUID NOT NULL,
  name TEXT NOT NULL,
  unofficial BOOLEAN NOT NULL,
  hidden BOOLEAN NOT NULL,
  disqualified BOOLEAN NOT NULL,
  extra_time_s BIGINT NOT NULL,
  registered_at TIMESTAMPTZ NOT NULL,
  withdrawn_at TIMESTAMPTZ
);

CREATE UNIQUE INDEX participants_by_contest_and_user ON participants (contest_id, user_id);
CREATE INDEX participants_by_contest ON participants (contest_id, participant_id);
CREATE INDEX participants_by_user ON participants (user_id, contest_id);

-- The number of the last entry of each log. Updating the row locks the log, and with it the contest.
CREATE TABLE challenge_logs (
  challenge_id UUID PRIMARY KEY,
  last_seq BIGINT NOT NULL
);

-- Everything that decides the standings, in order. Entries never change.
CREATE TABLE challenge_log (
  challenge_id UUID NOT NULL REFERENCES challenge_logs (challenge_id),
  seq BIGINT NOT NULL,
  time TIMESTAMPTZ NOT NULL,
  -- Protobuf: see log.rs of the challenge service.
  entry BYTEA NOT NULL,
  PRIMARY KEY (challenge_id, seq)
);

-- NULL in practice.
ALTER TABLE submissions ADD COLUMN challenge_id UUID;
ALTER TABLE submissions ADD COLUMN participant_id UUID;
-- From the start of the contest to the acknowledgement, in microseconds.
ALTER TABLE submissions ADD COLUMN contest_time_us BIGINT;
-- The number of the attempt at the problem, from 1.
ALTER TABLE submissions ADD COLUMN attempt BIGINT;

CREATE INDEX submissions_by_challenge ON submissions (challenge_id, submission_id) WHERE challenge_id IS NOT NULL;
CREATE INDEX submissions_by_challenge_and_user
  ON submissions (challenge_id, user_id, submission_id) WHERE challenge_id IS NOT NULL;
CREATE INDEX submissions_by_challenge_and_problem
  ON submissions (challenge_id, problem_id, submission_id) WHERE challenge_id IS NOT NULL;
CREATE INDEX submissions_by_participant_and_problem
  ON submissions (participant_id, problem_id, attempt) WHERE participant_id IS NOT NULL;
-- Those that prevent final results.
CREATE INDEX submissions_pending_by_challenge ON submissions (challenge_id, submission_id)
  WHERE challenge_id IS NOT NULL AND (verdict IS NULL OR verdict = 'JE');
