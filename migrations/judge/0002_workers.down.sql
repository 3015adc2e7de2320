ALTER TABLE judgements DROP COLUMN lost_count;
DROP TABLE workers;
