-- Nothing: on SQLite the event log itself is what consumers read.
SELECT 1;
