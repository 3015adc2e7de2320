-- Events that wait in the outbox are lost.
DROP TABLE inbox;
DROP TABLE outbox;
