DROP TABLE languages;
DROP TABLE judgements;
