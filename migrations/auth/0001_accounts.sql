-- People, how they prove who they are, what they may do, and where they are signed in.

CREATE TABLE users (
  id UUID PRIMARY KEY,
  username TEXT NOT NULL,
  -- The username in lower case: what is unique and looked up.
  username_key TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  country TEXT NOT NULL,
  -- As its owner gave it; empty for none.
  email TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  password_changed_at TIMESTAMPTZ NOT NULL,
  suspended_at TIMESTAMPTZ,
  suspend_reason TEXT NOT NULL DEFAULT '',
  auth_epoch BIGINT NOT NULL,
  version BIGINT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  updated_at TIMESTAMPTZ NOT NULL
);

-- Which account may sign in with an address: the first that gave it. Another account that gives the same
-- address keeps it in `users.email`, and is not told.
CREATE TABLE email_claims (
  -- The address in lower case.
  email_key TEXT PRIMARY KEY,
  user_id UUID NOT NULL UNIQUE REFERENCES users (id)
);

CREATE TABLE sessions (
  id UUID PRIMARY KEY,
  user_id UUID NOT NULL REFERENCES users (id),
  client TEXT NOT NULL,
  address TEXT NOT NULL,
  methods TEXT NOT NULL,
  -- SHA-256 of the refresh token that is good now, and of the one before it.
  token_hash BYTEA NOT NULL,
  previous_hash BYTEA,
  -- The good token, sealed under the one before it: for whoever lost the answer.
  sealed_token BYTEA,
  created_at TIMESTAMPTZ NOT NULL,
  refreshed_at TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL,
  ended_at TIMESTAMPTZ,
  version BIGINT NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE role_bindings (
  id UUID PRIMARY KEY,
  user_id UUID NOT NULL REFERENCES users (id),
  role TEXT NOT NULL,
  -- Empty: everywhere.
  resource TEXT NOT NULL,
  created_by UUID NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (user_id, role, resource)
);
CREATE INDEX role_bindings_of_role ON role_bindings (role, resource);

CREATE TABLE invitations (
  id UUID PRIMARY KEY,
  -- SHA-256 of the code; the code itself is derived from the id and a secret.
  code_hash BYTEA NOT NULL UNIQUE,
  note TEXT NOT NULL,
  remaining_use_count BIGINT NOT NULL,
  created_by UUID NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE password_resets (
  user_id UUID PRIMARY KEY REFERENCES users (id),
  code_hash BYTEA NOT NULL UNIQUE,
  created_at TIMESTAMPTZ NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL
);
