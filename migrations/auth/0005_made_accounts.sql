-- Accounts that users made for other people.

CREATE TABLE made_accounts (
  maker_id UUID NOT NULL,
  -- What the maker knows the account by.
  account_key TEXT NOT NULL,
  user_id UUID NOT NULL REFERENCES users (id),
  -- When the password was generated: equal to that of the user until the user chooses another one.
  password_set_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (maker_id, account_key)
);

CREATE INDEX made_accounts_by_user ON made_accounts (user_id);
