DROP INDEX sessions_of_subscriber;
ALTER TABLE sessions DROP COLUMN subscriber;
