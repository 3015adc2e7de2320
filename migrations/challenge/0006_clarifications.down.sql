DROP TABLE contest_awards;
DROP INDEX submissions_accepted_by_participant;
DROP INDEX submissions_accepted_by_challenge;
DROP TABLE balloon_deliveries;
DROP TABLE clarifications;
