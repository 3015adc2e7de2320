-- Teams, and who belongs to a participant.

CREATE TABLE teams (
  team_id UUID PRIMARY KEY,
  -- The etag: increased by every change of the team or its members.
  version BIGINT NOT NULL,
  name TEXT NOT NULL,
  -- Equal for names that look alike.
  name_key TEXT NOT NULL,
  captain_id UUID NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL,
  deleted_at TIMESTAMPTZ
);

-- The name of a deleted team is free.
CREATE UNIQUE INDEX teams_name ON teams (name_key) WHERE deleted_at IS NULL;

CREATE TABLE team_members (
  team_id UUID NOT NULL REFERENCES teams (team_id),
  user_id UUID NOT NULL,
  -- The username at the invitation.
  name TEXT NOT NULL,
  invited_at TIMESTAMPTZ NOT NULL,
  -- NULL while the invitation is open.
  joined_at TIMESTAMPTZ,
  PRIMARY KEY (team_id, user_id)
);

CREATE INDEX team_members_by_user ON team_members (user_id, team_id);

-- A user takes part once in a contest, alone or in a team.
CREATE TABLE participant_members (
  contest_id UUID NOT NULL REFERENCES contests (contest_id),
  user_id UUID NOT NULL,
  participant_id UUID NOT NULL REFERENCES participants (participant_id),
  name TEXT NOT NULL,
  PRIMARY KEY (contest_id, user_id)
);

CREATE INDEX participant_members_by_participant ON participant_members (participant_id, user_id);
CREATE INDEX participant_members_by_user ON participant_members (user_id, contest_id);

INSERT INTO participant_members (contest_id, user_id, participant_id, name)
  SELECT contest_id, user_id, participant_id, name FROM participants;

-- NULL for a participant alone. `user_id` of a team is its captain.
ALTER TABLE participants ADD COLUMN team_id UUID;
ALTER TABLE participants ADD COLUMN organization TEXT NOT NULL DEFAULT '';
-- ISO 3166-1 alpha-3, or empty.
ALTER TABLE participants ADD COLUMN country TEXT NOT NULL DEFAULT '';
ALTER TABLE participants ADD COLUMN group_name TEXT NOT NULL DEFAULT '';
-- The id in an import, or empty.
ALTER TABLE participants ADD COLUMN external_id TEXT NOT NULL DEFAULT '';

CREATE UNIQUE INDEX participants_by_external_id ON participants (contest_id, external_id) WHERE external_id <> '';
CREATE INDEX participants_by_team ON participants (team_id, contest_id) WHERE team_id IS NOT NULL;
CREATE INDEX submissions_by_participant ON submissions (participant_id, submission_id)
  WHERE participant_id IS NOT NULL;
