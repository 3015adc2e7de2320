-- Texts of users.
CREATE TABLE echoes (
  echo_id UUID PRIMARY KEY,
  user_id UUID NOT NULL,
  text TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX echoes_of_user ON echoes (user_id, echo_id);
