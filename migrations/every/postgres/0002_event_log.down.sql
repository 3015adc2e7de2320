-- The ids begin at 1 again when it is made anew: consumers' cursors in other databases are then ahead of it.
DROP TABLE event_log;
