DROP INDEX judgements_queued_age;
DROP INDEX judgements_queued_due;
