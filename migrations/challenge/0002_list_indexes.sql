-- An index for every combination of filters of ListSubmissions, so that a page costs the same whatever matches. Those
-- with a verdict do not contain submissions that have none.
CREATE INDEX submissions_by_language ON submissions (language, submission_id);
CREATE INDEX submissions_by_user_and_language ON submissions (user_id, language, submission_id);
CREATE INDEX submissions_by_problem_and_language ON submissions (problem_id, language, submission_id);
CREATE INDEX submissions_by_user_problem_and_language
  ON submissions (user_id, problem_id, language, submission_id);
CREATE INDEX submissions_by_verdict ON submissions (verdict, submission_id) WHERE verdict IS NOT NULL;
CREATE INDEX submissions_by_verdict_and_language
  ON submissions (verdict, language, submission_id) WHERE verdict IS NOT NULL;
CREATE INDEX submissions_by_user_and_verdict
  ON submissions (user_id, verdict, submission_id) WHERE verdict IS NOT NULL;
CREATE INDEX submissions_by_user_verdict_and_language
  ON submissions (user_id, verdict, language, submission_id) WHERE verdict IS NOT NULL;
CREATE INDEX submissions_by_problem_and_verdict
  ON submissions (problem_id, verdict, submission_id) WHERE verdict IS NOT NULL;
CREATE INDEX submissions_by_problem_verdict_and_language
  ON submissions (problem_id, verdict, language, submission_id) WHERE verdict IS NOT NULL;
CREATE INDEX submissions_by_user_problem_and_verdict
  ON submissions (user_id, problem_id, verdict, submission_id) WHERE verdict IS NOT NULL;
CREATE INDEX submissions_by_user_problem_verdict_and_language
  ON submissions (user_id, problem_id, verdict, language, submission_id) WHERE verdict IS NOT NULL;

-- In the order in which stale submissions are read.
DROP INDEX submissions_without_verdict;
CREATE INDEX submissions_waiting ON submissions (requested_at, submission_id) WHERE verdict IS NULL;

-- The number of the submission among those of its user, from 1. With it, the limit of submissions per hour needs one
-- row, however high it is.
ALTER TABLE submissions ADD COLUMN user_ordinal BIGINT NOT NULL DEFAULT 0;
UPDATE submissions SET user_ordinal = numbered.ordinal
FROM (
  SELECT submission_id AS id, row_number() OVER (PARTITION BY user_id ORDER BY submission_id) AS ordinal
  FROM submissions
) AS numbered
WHERE submissions.submission_id = numbered.id;
UPDATE submitters SET submission_count =
  (SELECT count(*) FROM submissions WHERE submissions.user_id = submitters.user_id);
DROP INDEX submissions_by_user_and_time;
CREATE INDEX submissions_by_user_and_ordinal ON submissions (user_id, user_ordinal);
