ALTER TABLE submissions DROP COLUMN judgement_count;
DROP TABLE rejudging_submissions;
DROP TABLE rejudgings;
