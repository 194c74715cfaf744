-- Cash-Only: what accounts hold in cash, in its own currency and in the account's base currency.
--
-- It is trade-date cash: a fill moves it when it is made, an open order with a limit in `expected`. The term
-- of an order without a limit is no amount of cash, so it adds nothing.
-- The WHERE on an instrument says which rows the view has at all, and is the same in every part.
-- per(field, …, value) is a measure at the levels that have one of the fields in their path; elsewhere it
-- has no value: amounts of several currencies are never added up. An instrument has one currency, an account
-- one base currency.

-- Linear in the legs. Of an undeclared account there is no base currency, so no rate.
CREATE VIEW cash_only_leg AS
SELECT
  COALESCE(SUM(l.sod), 0) AS local_sod,
  COALESCE(SUM(l.current), 0) AS local_current,
  COALESCE(SUM(l.expected), 0) AS local_expected,
  COALESCE(SUM(l.sod * f.rate), 0) AS worth_sod,
  COALESCE(SUM(l.current * f.rate), 0) AS worth_current,
  COALESCE(SUM(l.expected * f.rate), 0) AS worth_expected
FROM leg l
LEFT JOIN instrument i ON i.instrument_id = l.instrument_id
LEFT JOIN account a ON a.account_id = l.account_id
LEFT JOIN fx_between f ON f.from_currency = i.currency AND f.to_currency = a.base_currency
WHERE i.asset_class IS NOT DISTINCT FROM 'CASH';

-- Positions: (account, portfolio, currency), netted before they are counted. All legs of one have one rate.
CREATE VIEW cash_only_position AS
SELECT
  COUNT(*) FILTER (WHERE p.sod <> 0) AS sod_positions,
  COUNT(*) FILTER (WHERE p.sod <> 0 AND p.unrated > 0) AS sod_unrated,
  COUNT(*) FILTER (WHERE p.current <> 0) AS current_positions,
  COUNT(*) FILTER (WHERE p.current <> 0 AND p.unrated > 0) AS current_unrated,
  COUNT(*) FILTER (WHERE p.expected <> 0) AS expected_positions,
  COUNT(*) FILTER (WHERE p.expected <> 0 AND p.unrated > 0) AS expected_unrated
FROM (
  SELECT l.account_id, l.portfolio_id, i.currency,
    SUM(l.sod) AS sod, SUM(l.current) AS current, SUM(l.expected) AS expected,
    SUM(CASE WHEN f.rate IS NULL THEN l.legs ELSE 0 END) AS unrated
  FROM leg l
  LEFT JOIN instrument i ON i.instrument_id = l.instrument_id
  LEFT JOIN account a ON a.account_id = l.account_id
  LEFT JOIN fx_between f ON f.from_currency = i.currency AND f.to_currency = a.base_currency
  WHERE i.asset_class IS NOT DISTINCT FROM 'CASH'
  GROUP BY l.account_id, l.portfolio_id, i.currency
) p;

-- Accounts' nets of a currency that are expected to be negative.
CREATE VIEW cash_only_net AS
SELECT
  COUNT(*) FILTER (WHERE n.expected < 0) AS overdrawn
FROM (
  SELECT l.account_id, i.currency, SUM(l.expected) AS expected
  FROM leg l
  LEFT JOIN instrument i ON i.instrument_id = l.instrument_id
  WHERE i.asset_class IS NOT DISTINCT FROM 'CASH'
  GROUP BY l.account_id, i.currency
) n;

CREATE VIEW cash_only AS
SELECT
  per(currency, instrument_id, local_sod) AS sod,
  per(currency, instrument_id, local_current) AS current,
  per(currency, instrument_id, local_expected) AS expected,
  per(account_id, graded(worth_sod, sod_positions, sod_unrated, 0)) AS sod_base,
  per(account_id, graded(worth_current, current_positions, current_unrated, 0)) AS current_base,
  per(account_id, graded(worth_expected, expected_positions, expected_unrated, 0)) AS expected_base,
  overdrawn
FROM cash_only_leg
NATURAL JOIN cash_only_position
NATURAL JOIN cash_only_net;
