-- Holdings: one row for each start-of-day holding of the day, at zero too.
--
-- A row-level view has two stages. The first is one row of a base table and sees no price; it is what is
-- kept as rows come and go. The second looks up what belongs to the row's instrument. graded(value,
-- positions, unpriced, stale) gives a measure its quality as in a grouped view, of one row here; the total
-- is graded from the sums of the four, which for that are linear in the columns of the first stage.
CREATE VIEW holding_row AS
SELECT
  s.account_id,
  s.instrument_id,
  s.portfolio_id,
  s.quantity,
  s.sod_price,
  CASE WHEN s.quantity <> 0 THEN 1 ELSE 0 END AS held
FROM base.sod_holding s
CROSS JOIN system.day d
WHERE s.business_date = d.business_date;

CREATE VIEW holdings AS
SELECT
  h.account_id,
  h.instrument_id,
  h.portfolio_id,
  i.symbol,
  i.name,
  i.asset_class,
  i.sector,
  i.currency,
  h.quantity,
  h.sod_price,
  u.unit_price,
  graded(
    h.quantity * COALESCE(u.unit_mv, CAST(0 AS DECIMAL(38, 12))),
    h.held,
    CASE WHEN u.unit_mv IS NULL THEN h.held ELSE 0 END,
    CASE WHEN u.mv_stale THEN h.held ELSE 0 END) AS mv,
  u.price_time
FROM holding_row h
LEFT JOIN instrument i ON i.instrument_id = h.instrument_id
LEFT JOIN unit u ON u.instrument_id = h.instrument_id
WHERE NOT ($exclude_cash AND (i.asset_class IS NOT DISTINCT FROM 'CASH'));
