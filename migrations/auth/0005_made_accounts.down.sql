DROP TABLE made_accounts;
