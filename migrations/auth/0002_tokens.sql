-- What signs tokens, and which of them are no longer good.

CREATE TABLE signing_keys (
  -- RFC 7638 thumbprint.
  kid TEXT PRIMARY KEY,
  public_key BYTEA NOT NULL,
  -- The private key, wrapped by the key-encryption key.
  wrapped_key BYTEA NOT NULL,
  -- pending, active, retired or revoked.
  state TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  state_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE service_accounts (
  id UUID PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  public_key BYTEA NOT NULL,
  created_at TIMESTAMPTZ NOT NULL
);

-- Assertions that were exchanged: each is good once.
CREATE TABLE used_assertions (
  service_id UUID NOT NULL,
  jti UUID NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (service_id, jti)
);

-- Sessions that ended and users whose epoch moved, while tokens from before could still be alive. Every auth
-- process holds these in memory.
CREATE TABLE revocations (
  -- A session or a user.
  subject UUID PRIMARY KEY,
  below_epoch BIGINT NOT NULL,
  suspended BOOLEAN NOT NULL,
  revoked_at TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX revocations_time ON revocations (revoked_at);

-- Security events: only appended to, each with a hash over itself and the one before it.
CREATE TABLE audit_log (
  sequence BIGINT PRIMARY KEY,
  occurred_at TIMESTAMPTZ NOT NULL,
  kind TEXT NOT NULL,
  -- Who did it; NULL for nobody known.
  actor_id UUID,
  -- Whom or what it concerns; NULL for nothing in particular.
  subject_id UUID,
  detail TEXT NOT NULL,
  hash BYTEA NOT NULL
);
