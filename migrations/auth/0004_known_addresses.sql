-- From where an account was used before: such addresses have their own budget of failed sign-ins.

-- The IPv4 address, or the IPv6 /64, of `address`; empty if unknown.
ALTER TABLE sessions ADD COLUMN subscriber TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_of_subscriber ON sessions (user_id, subscriber);
