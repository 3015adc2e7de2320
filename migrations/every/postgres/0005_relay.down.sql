ALTER TABLE inbox RENAME TO inbox_after;
CREATE TABLE inbox (
  consumer TEXT NOT NULL,
  event_id UUID NOT NULL,
  PRIMARY KEY (consumer, event_id)
);
INSERT INTO inbox
SELECT DISTINCT consumer, encode(substring(ids FROM at FOR 16), 'hex')::UUID
FROM inbox_after CROSS JOIN LATERAL generate_series(1, length(ids), 16) AS places (at);
DROP TABLE inbox_after;

DROP INDEX outbox_refused;
DROP TRIGGER outbox_number ON outbox;
DROP FUNCTION outbox_delete, outbox_next, outbox_number;
