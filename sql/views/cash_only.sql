-- Cash-Only: what every account has in every currency, by trade date. Amounts of different currencies are
-- not added: the local columns are null where a group spans currencies, the base columns where it spans
-- accounts. `overdrawn` counts negative expected balances, (account, currency) by (account, currency).
CREATE VIEW cash_only_balance AS
SELECT
  COALESCE(SUM(c.sod), 0) AS sod,
  COALESCE(SUM(c.current), 0) AS current,
  COALESCE(SUM(c.expected), 0) AS expected,
  COALESCE(SUM(c.sod * b.rate), 0) AS sod_base,
  COALESCE(SUM(c.current * b.rate), 0) AS current_base,
  COALESCE(SUM(c.expected * b.rate), 0) AS expected_base,
  COUNT(*) FILTER (WHERE c.sod <> 0) AS sod_balances,
  COUNT(*) FILTER (WHERE c.sod <> 0 AND b.rate IS NULL) AS sod_unpriced,
  COUNT(*) FILTER (WHERE c.current <> 0) AS current_balances,
  COUNT(*) FILTER (WHERE c.current <> 0 AND b.rate IS NULL) AS current_unpriced,
  COUNT(*) FILTER (WHERE c.expected <> 0) AS expected_balances,
  COUNT(*) FILTER (WHERE c.expected <> 0 AND b.rate IS NULL) AS expected_unpriced,
  COUNT(*) FILTER (WHERE c.expected < 0) AS overdrawn
FROM (
  SELECT account_id, instrument_id, priced_as,
    SUM(sod) AS sod, SUM(current) AS current, SUM(expected) AS expected
  FROM leg
  GROUP BY account_id, instrument_id, priced_as
) c
LEFT JOIN instrument i ON i.instrument_id = c.instrument_id
LEFT JOIN base_rate b ON b.instrument_id = c.priced_as
WHERE i.asset_class = 'CASH';

CREATE VIEW cash_only AS
SELECT
  sod, current, expected,
  graded(sod_base, sod_balances, sod_unpriced, 0) AS sod_base,
  graded(current_base, current_balances, current_unpriced, 0) AS current_base,
  graded(expected_base, expected_balances, expected_unpriced, 0) AS expected_base,
  overdrawn
FROM cash_only_balance;
