-- Account Overview: the measures of the chosen accounts by any group fields.
--
-- A view is a set of parts, each an aggregate over legs at one grain, and a last SELECT that names its
-- measures. To every part the compiler adds the selection and, to its grain and its output, the group
-- fields; the last SELECT joins the parts on them. Weights come after the totals are known.
-- graded(value, positions, unpriced, stale) gives a measure its quality: without a price behind any
-- position it is MISSING and null, without some it is PARTIAL, with an old one STALE.

-- Linear in the legs: no netting needed.
CREATE VIEW account_overview_leg AS
SELECT
  COALESCE(SUM(l.sod * u.unit_mv), 0) AS own_sod,
  COALESCE(SUM(l.current * u.unit_mv), 0) AS own_current,
  COALESCE(SUM(l.expected * u.unit_mv), 0) AS own_expected,
  COALESCE(SUM(l.term * u.unit_mv), 0) AS term_expected,
  COALESCE(SUM(CASE WHEN u.mv_stale THEN l.terms ELSE 0 END), 0) AS term_stale,
  -- A holding's price effect needs its price and its currency's rate; both halves go together.
  COALESCE(SUM(l.held * CASE WHEN u.fx IS NOT NULL THEN u.unit_price END), 0) AS held_value,
  COALESCE(SUM(l.basis * CASE WHEN u.unit_price IS NOT NULL THEN u.fx END), 0) AS held_basis,
  COALESCE(SUM(l.basis * CASE WHEN i.asset_class = 'FUTURE' THEN CAST(0 AS DECIMAL(38, 12)) ELSE u.fx - u.fx_sod END), 0) AS pnl_fx,
  COALESCE(SUM(l.traded * CASE WHEN u.fx IS NOT NULL THEN u.unit_price END), 0) AS traded_value,
  COALESCE(SUM(l.cost * CASE WHEN u.unit_price IS NOT NULL THEN u.fx END), 0) AS traded_cost,
  COALESCE(SUM(l.based), 0) AS based,
  COALESCE(SUM(l.unbased), 0) AS unbased,
  COALESCE(SUM(CASE WHEN u.unit_price IS NULL OR u.fx IS NULL THEN l.based ELSE 0 END), 0) AS based_unpriced,
  COALESCE(SUM(CASE WHEN u.price_stale THEN l.based ELSE 0 END), 0) AS based_stale,
  COALESCE(SUM(CASE WHEN i.asset_class = 'FUTURE' THEN 0 ELSE l.based END), 0) AS fx_based,
  COALESCE(SUM(CASE WHEN i.asset_class = 'FUTURE' THEN 0 ELSE l.unbased END), 0) AS fx_unbased,
  COALESCE(SUM(CASE WHEN (i.asset_class IS DISTINCT FROM 'FUTURE') AND u.fx IS NULL THEN l.based ELSE 0 END), 0) AS fx_unpriced,
  COALESCE(SUM(l.costed), 0) AS costed,
  COALESCE(SUM(l.uncosted), 0) AS uncosted,
  COALESCE(SUM(CASE WHEN u.unit_price IS NULL OR u.fx IS NULL THEN l.costed ELSE 0 END), 0) AS costed_unpriced,
  COALESCE(SUM(CASE WHEN u.price_stale THEN l.costed ELSE 0 END), 0) AS costed_stale,
  COALESCE(SUM(l.holdings), 0) AS holdings,
  COALESCE(SUM(l.orders), 0) AS orders,
  COALESCE(SUM(l.live_orders), 0) AS live_orders
FROM leg l
LEFT JOIN instrument i ON i.instrument_id = l.instrument_id
LEFT JOIN unit u ON u.instrument_id = l.priced_as;

-- Positions: (account, instrument, portfolio), netted before they are counted.
CREATE VIEW account_overview_position AS
SELECT
  COUNT(*) FILTER (WHERE p.sod <> 0) AS sod_positions,
  COUNT(*) FILTER (WHERE p.sod <> 0 AND u.unit_mv IS NULL) AS sod_unpriced,
  COUNT(*) FILTER (WHERE p.sod <> 0 AND u.mv_stale) AS sod_stale,
  COUNT(*) FILTER (WHERE p.current <> 0) AS current_positions,
  COUNT(*) FILTER (WHERE p.current <> 0 AND u.unit_mv IS NULL) AS current_unpriced,
  COUNT(*) FILTER (WHERE p.current <> 0 AND u.mv_stale) AS current_stale,
  COUNT(*) FILTER (WHERE p.expected <> 0) AS expected_positions,
  COUNT(*) FILTER (WHERE p.expected <> 0 AND u.unit_mv IS NULL) AS expected_unpriced,
  COUNT(*) FILTER (WHERE p.expected <> 0 AND u.mv_stale) AS expected_stale,
  COUNT(*) FILTER (WHERE (p.sod <> 0 OR p.current <> 0 OR p.expected <> 0) AND u.unit_mv IS NULL) AS unpriced,
  COUNT(*) FILTER (WHERE (p.sod <> 0 OR p.current <> 0 OR p.expected <> 0) AND u.price_stale) AS stale,
  MIN(u.price_time) FILTER (WHERE (p.sod <> 0 OR p.current <> 0 OR p.expected <> 0)) AS price_time_min,
  MAX(u.price_time) FILTER (WHERE (p.sod <> 0 OR p.current <> 0 OR p.expected <> 0)) AS price_time_max
FROM (
  SELECT account_id, portfolio_id, instrument_id, priced_as,
    SUM(sod) AS sod, SUM(current) AS current, SUM(expected) AS expected
  FROM leg
  GROUP BY account_id, portfolio_id, instrument_id, priced_as
) p
LEFT JOIN unit u ON u.instrument_id = p.priced_as;

-- Cash positions with open orders that have no limit: such a position is without a price where one of its
-- terms is, and counts once, with its own quantity or without; `withheld` is what it adds all the same to
-- own_expected and term_expected.
CREATE VIEW account_overview_settlement AS
SELECT
  COUNT(*) FILTER (WHERE t.expected = 0) AS positions,
  COUNT(*) FILTER (WHERE t.unpriced_terms > 0 AND (t.expected = 0 OR t.unpriced_own = 0)) AS unpriced,
  COALESCE(SUM(CASE WHEN t.unpriced_terms > 0 THEN t.priced ELSE 0 END), 0) AS withheld
FROM (
  SELECT l.account_id, l.portfolio_id, l.instrument_id,
    SUM(l.expected) AS expected,
    COALESCE(SUM(l.expected * u.unit_mv), 0) + COALESCE(SUM(l.term * u.unit_mv), 0) AS priced,
    SUM(l.terms) AS terms,
    SUM(CASE WHEN u.unit_mv IS NULL THEN l.terms ELSE 0 END) AS unpriced_terms,
    SUM(CASE WHEN u.unit_mv IS NULL AND l.priced_as = l.instrument_id THEN l.legs ELSE 0 END) AS unpriced_own
  FROM leg l
  LEFT JOIN unit u ON u.instrument_id = l.priced_as
  GROUP BY l.account_id, l.portfolio_id, l.instrument_id
) t
WHERE t.terms > 0;

-- Exposures: (account, instrument), netted before long and short are told apart.
CREATE VIEW account_overview_exposure AS
SELECT
  COALESCE(SUM(GREATEST(n.sod * u.unit_exposure, CAST(0 AS DECIMAL(38, 18)))), 0) AS long_sod,
  COALESCE(SUM(LEAST(n.sod * u.unit_exposure, CAST(0 AS DECIMAL(38, 18)))), 0) AS short_sod,
  COUNT(*) FILTER (WHERE n.sod <> 0) AS sod_nets,
  COUNT(*) FILTER (WHERE n.sod <> 0 AND u.unit_exposure IS NULL) AS sod_nets_unpriced,
  COUNT(*) FILTER (WHERE n.sod <> 0 AND u.exposure_stale) AS sod_nets_stale,
  COALESCE(SUM(GREATEST(n.current * u.unit_exposure, CAST(0 AS DECIMAL(38, 18)))), 0) AS long_current,
  COALESCE(SUM(LEAST(n.current * u.unit_exposure, CAST(0 AS DECIMAL(38, 18)))), 0) AS short_current,
  COUNT(*) FILTER (WHERE n.current <> 0) AS current_nets,
  COUNT(*) FILTER (WHERE n.current <> 0 AND u.unit_exposure IS NULL) AS current_nets_unpriced,
  COUNT(*) FILTER (WHERE n.current <> 0 AND u.exposure_stale) AS current_nets_stale,
  COALESCE(SUM(GREATEST(n.expected * u.unit_exposure, CAST(0 AS DECIMAL(38, 18)))), 0) AS long_expected,
  COALESCE(SUM(LEAST(n.expected * u.unit_exposure, CAST(0 AS DECIMAL(38, 18)))), 0) AS short_expected,
  COUNT(*) FILTER (WHERE n.expected <> 0) AS expected_nets,
  COUNT(*) FILTER (WHERE n.expected <> 0 AND u.unit_exposure IS NULL) AS expected_nets_unpriced,
  COUNT(*) FILTER (WHERE n.expected <> 0 AND u.exposure_stale) AS expected_nets_stale
FROM (
  SELECT account_id, instrument_id, priced_as,
    SUM(sod) AS sod, SUM(current) AS current, SUM(expected) AS expected
  FROM leg
  GROUP BY account_id, instrument_id, priced_as
) n
LEFT JOIN instrument i ON i.instrument_id = n.instrument_id
LEFT JOIN unit u ON u.instrument_id = n.priced_as
WHERE NOT ($exclude_cash AND (i.asset_class IS NOT DISTINCT FROM 'CASH'));

CREATE VIEW account_overview AS
SELECT
  graded(own_sod, sod_positions, sod_unpriced, sod_stale) AS mv_sod,
  graded(own_current, current_positions, current_unpriced, current_stale) AS mv_current,
  graded(own_expected + term_expected - withheld, expected_positions + positions, expected_unpriced + account_overview_settlement.unpriced, expected_stale + term_stale) AS mv_expected,
  graded(long_sod, sod_nets, sod_nets_unpriced, sod_nets_stale) AS long_sod,
  graded(long_current, current_nets, current_nets_unpriced, current_nets_stale) AS long_current,
  graded(long_expected, expected_nets, expected_nets_unpriced, expected_nets_stale) AS long_expected,
  graded(short_sod, sod_nets, sod_nets_unpriced, sod_nets_stale) AS short_sod,
  graded(short_current, current_nets, current_nets_unpriced, current_nets_stale) AS short_current,
  graded(short_expected, expected_nets, expected_nets_unpriced, expected_nets_stale) AS short_expected,
  graded(long_sod - short_sod, sod_nets, sod_nets_unpriced, sod_nets_stale) AS gross_sod,
  graded(long_current - short_current, current_nets, current_nets_unpriced, current_nets_stale) AS gross_current,
  graded(long_expected - short_expected, expected_nets, expected_nets_unpriced, expected_nets_stale) AS gross_expected,
  graded(long_sod + short_sod, sod_nets, sod_nets_unpriced, sod_nets_stale) AS net_sod,
  graded(long_current + short_current, current_nets, current_nets_unpriced, current_nets_stale) AS net_current,
  graded(long_expected + short_expected, expected_nets, expected_nets_unpriced, expected_nets_stale) AS net_expected,
  weight(mv_sod) AS weight_sod,
  weight(mv_current) AS weight_current,
  weight(mv_expected) AS weight_expected,
  graded(held_value - held_basis + pnl_fx + traded_value - traded_cost, based + unbased + costed + uncosted, based_unpriced + unbased + costed_unpriced + uncosted, based_stale + costed_stale) AS day_pnl,
  graded(held_value - held_basis, based + unbased, based_unpriced + unbased, based_stale) AS day_pnl_price,
  graded(pnl_fx, fx_based + fx_unbased, fx_unpriced + fx_unbased, 0) AS day_pnl_fx,
  graded(traded_value - traded_cost, costed + uncosted, costed_unpriced + uncosted, costed_stale) AS day_pnl_trading,
  holdings,
  orders,
  live_orders,
  account_overview_position.unpriced,
  stale,
  price_time_min,
  price_time_max
FROM account_overview_leg
NATURAL JOIN account_overview_position
NATURAL JOIN account_overview_settlement
NATURAL JOIN account_overview_exposure;
