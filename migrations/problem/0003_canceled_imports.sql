-- Whether a failed import was canceled. Its unfinished checks are done, without a result.
ALTER TABLE imports ADD COLUMN canceled BOOLEAN NOT NULL DEFAULT FALSE;
