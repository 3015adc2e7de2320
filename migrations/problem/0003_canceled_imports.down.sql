ALTER TABLE imports DROP COLUMN canceled;
