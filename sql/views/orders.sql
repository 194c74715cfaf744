-- Orders: one row for each order that counts today. Its stages are those of holdings.sql.
CREATE VIEW order_row AS
SELECT
  o.*,
  CASE WHEN o.filled <> 0 THEN 1 ELSE 0 END AS fills,
  CASE WHEN o.open <> 0 THEN 1 ELSE 0 END AS opens
FROM counting_order o;

CREATE VIEW orders AS
SELECT
  o.order_id,
  o.account_id,
  o.instrument_id,
  o.portfolio_id,
  i.symbol,
  i.name,
  i.asset_class,
  i.sector,
  i.currency,
  o.side,
  o.status,
  o.order_type,
  o.time_in_force,
  o.trader,
  o.venue,
  o.order_qty,
  o.cum_qty,
  -- Quantities without the sign of the side; the market values have it.
  o.sign * o.filled AS day_filled,
  o.sign * o.open AS remaining,
  CASE WHEN o.filled <> 0 THEN o.day_avg_px END AS day_avg_px,
  o.limit_price,
  u.unit_price,
  graded(
    o.filled * COALESCE(u.unit_mv, CAST(0 AS DECIMAL(38, 12))),
    o.fills,
    CASE WHEN u.unit_mv IS NULL THEN o.fills ELSE 0 END,
    CASE WHEN u.mv_stale THEN o.fills ELSE 0 END) AS filled_mv,
  graded(
    o.open * COALESCE(u.unit_mv, CAST(0 AS DECIMAL(38, 12))),
    o.opens,
    CASE WHEN u.unit_mv IS NULL THEN o.opens ELSE 0 END,
    CASE WHEN u.mv_stale THEN o.opens ELSE 0 END) AS open_mv,
  u.price_time
FROM order_row o
LEFT JOIN instrument i ON i.instrument_id = o.instrument_id
LEFT JOIN unit u ON u.instrument_id = o.instrument_id;
