DROP TABLE audit_log;
DROP TABLE revocations;
DROP TABLE used_assertions;
DROP TABLE service_accounts;
DROP TABLE signing_keys;
