DROP TABLE submitters;
DROP TABLE submission_tests;
DROP TABLE submission_sources;
DROP TABLE submissions;
