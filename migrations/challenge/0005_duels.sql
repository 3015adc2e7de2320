-- Duels, the tickets of the matchmaker, and what duels need to know of problems. A duel has a log, as contests do.

CREATE TABLE duels (
  duel_id UUID PRIMARY KEY,
  mode TEXT NOT NULL,
  state TEXT NOT NULL,
  -- Set if finished.
  ending TEXT,
  winner_id UUID,
  first_id UUID NOT NULL,
  first_name TEXT NOT NULL,
  second_id UUID NOT NULL,
  second_name TEXT NOT NULL,
  problem_count BIGINT NOT NULL,
  time_limit_s BIGINT NOT NULL,
  -- JSON array; empty until the start.
  problems TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  -- NULL for duels of the matchmaker.
  expires_at TIMESTAMPTZ,
  started_at TIMESTAMPTZ,
  ends_at TIMESTAMPTZ,
  finished_at TIMESTAMPTZ,
  draw_offered_by UUID,
  draw_offer_expires_at TIMESTAMPTZ,
  void_reason TEXT NOT NULL,
  rematch_of UUID,
  -- Why the matchmaker paired the players. Protobuf: see matchmaker.rs of the challenge service.
  explanation BYTEA,
  -- When the scheduler acts; NULL = never.
  due_at TIMESTAMPTZ
);

CREATE INDEX duels_due ON duels (due_at, duel_id) WHERE due_at IS NOT NULL;
CREATE INDEX duels_by_state ON duels (state, duel_id);
CREATE INDEX duels_public ON duels (duel_id) WHERE started_at IS NOT NULL;
CREATE INDEX duels_invitations ON duels (first_id, duel_id) WHERE state = 'invited';

-- The duels of each player.
CREATE TABLE duel_players (
  user_id UUID NOT NULL,
  duel_id UUID NOT NULL REFERENCES duels (duel_id),
  PRIMARY KEY (user_id, duel_id)
);

-- The problems that players met in duels.
CREATE TABLE duel_problems (
  problem_id UUID NOT NULL,
  duel_id UUID NOT NULL REFERENCES duels (duel_id),
  PRIMARY KEY (problem_id, duel_id)
);

-- The running duel of each player, or NULL. Updating the row locks the player.
CREATE TABLE player_duels (
  user_id UUID PRIMARY KEY,
  duel_id UUID
);

CREATE TABLE tickets (
  ticket_id UUID PRIMARY KEY,
  user_id UUID NOT NULL,
  user_name TEXT NOT NULL,
  mode TEXT NOT NULL,
  rating BIGINT NOT NULL,
  state TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  duel_id UUID,
  explanation BYTEA
);

CREATE UNIQUE INDEX tickets_open_by_user ON tickets (user_id) WHERE state = 'open';
CREATE INDEX tickets_open ON tickets (created_at, ticket_id) WHERE state = 'open';

-- A projection of the events of problems.
CREATE TABLE problem_catalog (
  problem_id UUID PRIMARY KEY,
  owner_id UUID,
  -- 0 = unknown.
  difficulty BIGINT NOT NULL,
  public BOOLEAN NOT NULL,
  deleted BOOLEAN NOT NULL,
  -- NULL = never.
  published_at TIMESTAMPTZ
);

CREATE INDEX problem_catalog_by_difficulty ON problem_catalog (difficulty, published_at, problem_id)
  WHERE public AND NOT deleted AND published_at IS NOT NULL;
