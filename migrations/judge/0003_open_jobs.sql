-- What periodic work asks about open jobs, without reading those that are done.
CREATE INDEX judgements_queued_due ON judgements (due_at) WHERE state = 'queued';
CREATE INDEX judgements_queued_age ON judgements (created_at) WHERE state = 'queued';
