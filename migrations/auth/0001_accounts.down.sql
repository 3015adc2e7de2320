DROP TABLE password_resets;
DROP TABLE invitations;
DROP TABLE role_bindings;
DROP TABLE sessions;
DROP TABLE email_claims;
DROP TABLE users;
