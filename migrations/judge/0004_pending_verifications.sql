-- The open checks of a problem's imports, which share the judge with those of other problems.
CREATE INDEX judgements_pending_by_problem ON judgements (problem_id)
  WHERE verification_id IS NOT NULL AND state <> 'done';
