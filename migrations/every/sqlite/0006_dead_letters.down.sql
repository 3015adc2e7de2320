ALTER TABLE dead_letters DROP COLUMN envelope;
ALTER TABLE dead_letters DROP COLUMN blocks_key;
