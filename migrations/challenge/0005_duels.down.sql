DROP TABLE problem_catalog;
DROP TABLE tickets;
DROP TABLE player_duels;
DROP TABLE duel_problems;
DROP TABLE duel_players;
DROP TABLE duels;
