-- Consumers then begin with the first event of their logs.
DROP TABLE dead_letters;
DROP TABLE consumer_cursors;
