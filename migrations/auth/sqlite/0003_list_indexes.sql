-- SQLite sorts texts in the order of bytes.

-- The pages of lists with their filters.
CREATE INDEX sessions_live ON sessions (user_id, id) WHERE ended_at IS NULL;
CREATE INDEX role_bindings_by_user ON role_bindings (user_id, id);
CREATE INDEX role_bindings_by_role ON role_bindings (role, id);
CREATE INDEX role_bindings_by_user_and_role ON role_bindings (user_id, role, id);
CREATE INDEX invitations_usable ON invitations (id) WHERE remaining_use_count > 0;

-- What is removed when it is old.
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX invitations_expiry ON invitations (expires_at);
CREATE INDEX invitations_open_expiry ON invitations (expires_at) WHERE remaining_use_count > 0;
CREATE INDEX password_resets_expiry ON password_resets (expires_at);
CREATE INDEX used_assertions_expiry ON used_assertions (expires_at);
CREATE INDEX revocations_expiry ON revocations (expires_at);
