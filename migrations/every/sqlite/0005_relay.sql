-- Nothing: there is no outbox on SQLite.
SELECT 1;
