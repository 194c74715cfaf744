-- What accounts hold, as legs: each holding, order and cash leg is a row with its quantities on the three
-- bases. No price is seen here; k and the currency of an instrument are, because amounts are rounded a row.

-- The orders that count: live, or of the business date. An order on cash counts nowhere.
CREATE VIEW counting_order AS
SELECT
  o.account_id,
  o.instrument_id,
  o.portfolio_id,
  o.order_id,
  o.side,
  o.status,
  o.order_type,
  o.time_in_force,
  o.trader,
  o.venue,
  o.order_qty,
  o.cum_qty,
  o.limit_price,
  o.day_avg_px,
  o.sign,
  o.live,
  -- An order of an earlier day has no fills of today.
  CASE WHEN o.business_date = o.today THEN o.sign * o.day_cum_qty ELSE CAST(0 AS DECIMAL(18, 6)) END AS filled,
  CASE WHEN o.live AND o.order_qty > o.cum_qty THEN o.sign * (o.order_qty - o.cum_qty) ELSE CAST(0 AS DECIMAL(18, 6)) END AS open,
  -- What the fills cost, in the instrument's currency; null while it is undeclared.
  CASE WHEN o.business_date = o.today AND o.day_cum_qty <> 0 THEN round6(o.sign * o.day_cum_qty, o.day_avg_px, i.factor)
       WHEN i.factor IS NOT NULL THEN CAST(0 AS DECIMAL(38, 6)) END AS cost,
  i.factor,
  i.currency,
  COALESCE(i.declared AND i.asset_class <> 'FUTURE', FALSE) AS settles
FROM (
  SELECT
    base.order_events.*,
    d.business_date AS today,
    CASE WHEN side IN ('BUY', 'BUY_COVER', 'SUBSCRIBE') THEN CAST(1 AS DECIMAL(1, 0)) ELSE CAST(-1 AS DECIMAL(1, 0)) END AS sign,
    status IN ('PENDING_NEW', 'NEW', 'PARTIALLY_FILLED', 'PENDING_CANCEL', 'PENDING_REPLACE', 'SUSPENDED', 'STOPPED') AS live
  FROM base.order_events
  CROSS JOIN system.day d
) o
LEFT JOIN instrument i ON i.instrument_id = o.instrument_id
WHERE (o.live OR o.business_date = o.today) AND (i.asset_class IS DISTINCT FROM 'CASH');

-- instrument_id says where a leg is grouped, priced_as by what it is valued. sod, current and expected are
-- quantities; `term` adds to mv_expected alone. The counts say what stands behind a value:
--   held, basis     quantity and start-of-day value (own currency) of a holding whose basis is known
--   traded, cost    signed fills of the day, and what they cost (own currency)
CREATE VIEW leg AS
SELECT
  h.account_id, h.portfolio_id, h.instrument_id, h.instrument_id AS priced_as,
  '(holding)' AS side, '(holding)' AS status, '(holding)' AS order_type,
  '(holding)' AS time_in_force, '(holding)' AS trader, '(holding)' AS venue,
  h.quantity AS sod, h.quantity AS current, h.quantity AS expected,
  CAST(0 AS DECIMAL(18, 6)) AS term,
  CASE WHEN h.basis IS NOT NULL THEN h.quantity ELSE CAST(0 AS DECIMAL(18, 6)) END AS held,
  COALESCE(h.basis, CAST(0 AS DECIMAL(38, 6))) AS basis,
  CAST(0 AS DECIMAL(18, 6)) AS traded,
  CAST(0 AS DECIMAL(38, 6)) AS cost,
  CASE WHEN h.basis IS NOT NULL AND h.quantity <> 0 THEN 1 ELSE 0 END AS based,
  CASE WHEN h.basis IS NULL AND h.quantity <> 0 AND NOT h.cash THEN 1 ELSE 0 END AS unbased,
  0 AS costed, 0 AS uncosted, 0 AS terms,
  CASE WHEN h.quantity <> 0 THEN 1 ELSE 0 END AS holdings,
  0 AS orders, 0 AS live_orders, 1 AS legs
FROM (
  SELECT
    s.account_id, s.portfolio_id, s.instrument_id, s.quantity,
    i.asset_class IS NOT DISTINCT FROM 'CASH' AS cash,
    CASE WHEN i.asset_class IS DISTINCT FROM 'CASH' THEN round6(s.quantity, s.sod_price, i.factor) END AS basis
  FROM base.sod_holding s
  CROSS JOIN system.day d
  LEFT JOIN instrument i ON i.instrument_id = s.instrument_id
  WHERE s.business_date = d.business_date
) h
UNION ALL
SELECT
  o.account_id, o.portfolio_id, o.instrument_id, o.instrument_id AS priced_as,
  o.side, o.status, o.order_type, o.time_in_force, o.trader, o.venue,
  CAST(0 AS DECIMAL(18, 6)) AS sod, o.filled AS current, o.filled + o.open AS expected,
  CAST(0 AS DECIMAL(18, 6)) AS term,
  CAST(0 AS DECIMAL(18, 6)) AS held, CAST(0 AS DECIMAL(38, 6)) AS basis,
  CASE WHEN o.cost IS NOT NULL THEN o.filled ELSE CAST(0 AS DECIMAL(18, 6)) END AS traded,
  COALESCE(o.cost, CAST(0 AS DECIMAL(38, 6))) AS cost,
  0 AS based, 0 AS unbased,
  CASE WHEN o.filled <> 0 AND o.cost IS NOT NULL THEN 1 ELSE 0 END AS costed,
  CASE WHEN o.filled <> 0 AND o.cost IS NULL THEN 1 ELSE 0 END AS uncosted,
  0 AS terms, 0 AS holdings, 1 AS orders,
  CASE WHEN o.live THEN 1 ELSE 0 END AS live_orders,
  1 AS legs
FROM counting_order o
UNION ALL
-- The cash leg: fills move cash at their price, open quantity at its limit.
SELECT
  o.account_id, o.portfolio_id, o.currency AS instrument_id, o.currency AS priced_as,
  o.side, o.status, o.order_type, o.time_in_force, o.trader, o.venue,
  CAST(0 AS DECIMAL(38, 6)) AS sod, -o.cost AS current,
  -o.cost - CASE WHEN o.open <> 0 AND o.limit_price IS NOT NULL THEN round6(o.open, o.limit_price, o.factor) ELSE CAST(0 AS DECIMAL(38, 6)) END AS expected,
  CAST(0 AS DECIMAL(18, 6)) AS term,
  CAST(0 AS DECIMAL(18, 6)) AS held, CAST(0 AS DECIMAL(38, 6)) AS basis, CAST(0 AS DECIMAL(18, 6)) AS traded, CAST(0 AS DECIMAL(38, 6)) AS cost,
  0 AS based, 0 AS unbased, 0 AS costed, 0 AS uncosted,
  0 AS terms, 0 AS holdings, 0 AS orders, 0 AS live_orders, 1 AS legs
FROM counting_order o
WHERE o.settles
UNION ALL
-- The term of an open order without a limit: cash it will take at the price of its own instrument.
SELECT
  o.account_id, o.portfolio_id, o.currency AS instrument_id, o.instrument_id AS priced_as,
  o.side, o.status, o.order_type, o.time_in_force, o.trader, o.venue,
  CAST(0 AS DECIMAL(18, 6)) AS sod, CAST(0 AS DECIMAL(18, 6)) AS current, CAST(0 AS DECIMAL(18, 6)) AS expected,
  -o.open AS term,
  CAST(0 AS DECIMAL(18, 6)) AS held, CAST(0 AS DECIMAL(38, 6)) AS basis, CAST(0 AS DECIMAL(18, 6)) AS traded, CAST(0 AS DECIMAL(38, 6)) AS cost,
  0 AS based, 0 AS unbased, 0 AS costed, 0 AS uncosted,
  1 AS terms, 0 AS holdings, 0 AS orders, 0 AS live_orders, 1 AS legs
FROM counting_order o
WHERE o.settles AND o.open <> 0 AND o.limit_price IS NULL
UNION ALL
SELECT
  m.account_id, m.portfolio_id, m.currency AS instrument_id, m.currency AS priced_as,
  '(holding)' AS side, '(holding)' AS status, '(holding)' AS order_type,
  '(holding)' AS time_in_force, '(holding)' AS trader, '(holding)' AS venue,
  CAST(0 AS DECIMAL(18, 6)) AS sod, m.amount AS current, m.amount AS expected,
  CAST(0 AS DECIMAL(18, 6)) AS term,
  CAST(0 AS DECIMAL(18, 6)) AS held, CAST(0 AS DECIMAL(38, 6)) AS basis, CAST(0 AS DECIMAL(18, 6)) AS traded, CAST(0 AS DECIMAL(38, 6)) AS cost,
  0 AS based, 0 AS unbased, 0 AS costed, 0 AS uncosted,
  0 AS terms, 0 AS holdings, 0 AS orders, 0 AS live_orders, 1 AS legs
FROM base.cash_movement m
CROSS JOIN system.day d
WHERE m.business_date = d.business_date;

-- The sign of an account's net current quantity of an instrument, over the selection.
CREATE VIEW direction AS
SELECT account_id, instrument_id,
  CASE WHEN SUM(current) > 0 THEN 'LONG' WHEN SUM(current) < 0 THEN 'SHORT' ELSE 'FLAT' END AS long_short
FROM leg
GROUP BY account_id, instrument_id;

-- Every field a leg can be grouped by, beside its own. The compiler keeps the fields a view names.
CREATE VIEW grouped_leg AS
SELECT
  l.*,
  i.asset_class, i.sector, i.industry, i.issuer, i.country_of_risk, i.country_of_domicile, i.currency,
  a.strategy, a.region, a.base_currency,
  d.long_short
FROM leg l
LEFT JOIN instrument i ON i.instrument_id = l.instrument_id
LEFT JOIN account a ON a.account_id = l.account_id
LEFT JOIN direction d ON d.account_id = l.account_id AND d.instrument_id = l.instrument_id;
