-- The order of the waiting jobs of a language: a worker that lacks other languages passes over none of their jobs.
CREATE INDEX judgements_queued_by_language ON judgements (language, priority, id, due_at)
  WHERE state = 'queued';
DROP INDEX judgements_queued;
