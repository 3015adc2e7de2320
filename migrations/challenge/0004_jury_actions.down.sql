DROP INDEX submissions_pending_by_challenge;
CREATE INDEX submissions_pending_by_challenge ON submissions (challenge_id, submission_id)
  WHERE challenge_id IS NOT NULL AND (verdict IS NULL OR verdict = 'JE');
ALTER TABLE submissions DROP COLUMN ignored;
DROP TABLE jury_actions;
