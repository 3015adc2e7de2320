CREATE INDEX judgements_queued ON judgements (priority, id) WHERE state = 'queued';
DROP INDEX judgements_queued_by_language;
