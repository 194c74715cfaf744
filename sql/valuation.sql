-- What one unit of an instrument is worth. These are the only places that see a price or a rate.
--
-- `$currency` is the reporting currency, bound for each view. system.day has one row: the business date
-- and the times before which a price is stale. round6, round10 and round12 round the exact product of
-- their arguments half to even; quotient12 likewise rounds an exact quotient.

-- What one unit of a currency is worth in the reporting currency, at live and at start-of-day rates:
-- the direct rate, else the inverse, else the cross through USD.
CREATE VIEW fx AS
SELECT
  currency,
  live AS rate,
  COALESCE(sod, live) AS sod_rate
FROM (
  SELECT
    c.currency,
    CASE WHEN c.currency = $currency THEN CAST(1 AS DECIMAL(38, 12)) ELSE COALESCE(
      CAST(direct.rate AS DECIMAL(38, 12)),
      quotient12(1, inverse.rate),
      round12(
        CASE WHEN c.currency = 'USD' THEN CAST(1 AS DECIMAL(38, 12))
             ELSE COALESCE(CAST(to_usd.rate AS DECIMAL(38, 12)), quotient12(1, to_usd_inverse.rate)) END,
        CASE WHEN $currency = 'USD' THEN CAST(1 AS DECIMAL(38, 12))
             ELSE COALESCE(CAST(from_usd.rate AS DECIMAL(38, 12)), quotient12(1, from_usd_inverse.rate)) END))
    END AS live,
    CASE WHEN c.currency = $currency THEN CAST(1 AS DECIMAL(38, 12)) ELSE COALESCE(
      CAST(sod_direct.rate AS DECIMAL(38, 12)),
      quotient12(1, sod_inverse.rate),
      round12(
        CASE WHEN c.currency = 'USD' THEN CAST(1 AS DECIMAL(38, 12))
             ELSE COALESCE(CAST(sod_to_usd.rate AS DECIMAL(38, 12)), quotient12(1, sod_to_usd_inverse.rate)) END,
        CASE WHEN $currency = 'USD' THEN CAST(1 AS DECIMAL(38, 12))
             ELSE COALESCE(CAST(sod_from_usd.rate AS DECIMAL(38, 12)), quotient12(1, sod_from_usd_inverse.rate)) END))
    END AS sod
  FROM system.currency c
  LEFT JOIN base.fx_rate direct ON direct.from_currency = c.currency AND direct.to_currency = $currency AND direct.rate_type = 'LIVE'
  LEFT JOIN base.fx_rate inverse ON inverse.from_currency = $currency AND inverse.to_currency = c.currency AND inverse.rate_type = 'LIVE'
  LEFT JOIN base.fx_rate to_usd ON to_usd.from_currency = c.currency AND to_usd.to_currency = 'USD' AND to_usd.rate_type = 'LIVE'
  LEFT JOIN base.fx_rate to_usd_inverse ON to_usd_inverse.from_currency = 'USD' AND to_usd_inverse.to_currency = c.currency AND to_usd_inverse.rate_type = 'LIVE'
  LEFT JOIN base.fx_rate from_usd ON from_usd.from_currency = 'USD' AND from_usd.to_currency = $currency AND from_usd.rate_type = 'LIVE'
  LEFT JOIN base.fx_rate from_usd_inverse ON from_usd_inverse.from_currency = $currency AND from_usd_inverse.to_currency = 'USD' AND from_usd_inverse.rate_type = 'LIVE'
  LEFT JOIN base.fx_rate sod_direct ON sod_direct.from_currency = c.currency AND sod_direct.to_currency = $currency AND sod_direct.rate_type = 'SOD'
  LEFT JOIN base.fx_rate sod_inverse ON sod_inverse.from_currency = $currency AND sod_inverse.to_currency = c.currency AND sod_inverse.rate_type = 'SOD'
  LEFT JOIN base.fx_rate sod_to_usd ON sod_to_usd.from_currency = c.currency AND sod_to_usd.to_currency = 'USD' AND sod_to_usd.rate_type = 'SOD'
  LEFT JOIN base.fx_rate sod_to_usd_inverse ON sod_to_usd_inverse.from_currency = 'USD' AND sod_to_usd_inverse.to_currency = c.currency AND sod_to_usd_inverse.rate_type = 'SOD'
  LEFT JOIN base.fx_rate sod_from_usd ON sod_from_usd.from_currency = 'USD' AND sod_from_usd.to_currency = $currency AND sod_from_usd.rate_type = 'SOD'
  LEFT JOIN base.fx_rate sod_from_usd_inverse ON sod_from_usd_inverse.from_currency = $currency AND sod_from_usd_inverse.to_currency = 'USD' AND sod_from_usd_inverse.rate_type = 'SOD'
);

-- What one unit of a currency is worth in another at live rates: by the rule of `fx`, for every ordered pair.
CREATE VIEW fx_between AS
SELECT
  p.from_currency,
  p.to_currency,
  CASE WHEN p.from_currency = p.to_currency THEN CAST(1 AS DECIMAL(38, 12)) ELSE COALESCE(
    CAST(direct.rate AS DECIMAL(38, 12)),
    quotient12(1, inverse.rate),
    round12(
      CASE WHEN p.from_currency = 'USD' THEN CAST(1 AS DECIMAL(38, 12))
           ELSE COALESCE(CAST(to_usd.rate AS DECIMAL(38, 12)), quotient12(1, to_usd_inverse.rate)) END,
      CASE WHEN p.to_currency = 'USD' THEN CAST(1 AS DECIMAL(38, 12))
           ELSE COALESCE(CAST(from_usd.rate AS DECIMAL(38, 12)), quotient12(1, from_usd_inverse.rate)) END))
  END AS rate
FROM system.currency_pair p
LEFT JOIN base.fx_rate direct ON direct.from_currency = p.from_currency AND direct.to_currency = p.to_currency AND direct.rate_type = 'LIVE'
LEFT JOIN base.fx_rate inverse ON inverse.from_currency = p.to_currency AND inverse.to_currency = p.from_currency AND inverse.rate_type = 'LIVE'
LEFT JOIN base.fx_rate to_usd ON to_usd.from_currency = p.from_currency AND to_usd.to_currency = 'USD' AND to_usd.rate_type = 'LIVE'
LEFT JOIN base.fx_rate to_usd_inverse ON to_usd_inverse.from_currency = 'USD' AND to_usd_inverse.to_currency = p.from_currency AND to_usd_inverse.rate_type = 'LIVE'
LEFT JOIN base.fx_rate from_usd ON from_usd.from_currency = 'USD' AND from_usd.to_currency = p.to_currency AND from_usd.rate_type = 'LIVE'
LEFT JOIN base.fx_rate from_usd_inverse ON from_usd_inverse.from_currency = p.to_currency AND from_usd_inverse.to_currency = 'USD' AND from_usd_inverse.rate_type = 'LIVE';

-- Every instrument that any topic names. An undeclared one of three letters A-Z is cash in that currency;
-- of any other undeclared one nothing is known yet.
CREATE VIEW instrument AS
SELECT
  k.instrument_id,
  i.instrument_id IS NOT NULL AS declared,
  i.symbol,
  i.name,
  CASE WHEN i.instrument_id IS NULL AND k.currency_code THEN 'CASH' ELSE i.asset_class END AS asset_class,
  i.sector,
  i.industry,
  i.issuer,
  i.country_of_risk,
  i.country_of_domicile,
  CASE WHEN i.instrument_id IS NULL AND k.currency_code THEN k.instrument_id ELSE i.currency END AS currency,
  -- k: from a quoted price to money for one unit of quantity.
  CASE WHEN i.instrument_id IS NOT NULL THEN
    CAST(COALESCE(i.price_scale, CAST(1 AS DECIMAL(18, 8))) * COALESCE(i.contract_multiplier, CAST(1 AS DECIMAL(18, 8))) AS DECIMAL(38, 18))
      * CASE WHEN i.asset_class = 'BOND' THEN CAST(0.01 AS DECIMAL(3, 2)) ELSE CAST(1 AS DECIMAL(3, 2)) END
  END AS factor,
  CASE WHEN i.instrument_id IS NOT NULL THEN COALESCE(i.contract_multiplier, CAST(1 AS DECIMAL(18, 8))) END AS contract_multiplier,
  i.underlying_id,
  i.delta
FROM system.instrument k
LEFT JOIN base.instrument i ON i.instrument_id = k.instrument_id;

-- A quoted price in the reporting currency, for one unit of quantity.
CREATE VIEW quote AS
SELECT
  i.instrument_id,
  i.asset_class,
  CASE WHEN i.asset_class = 'CASH' THEN CASE WHEN i.currency = $currency THEN CAST(1 AS DECIMAL(38, 12)) ELSE own.rate END
       ELSE CAST(round10(
         p.price + CASE WHEN i.asset_class = 'BOND' THEN COALESCE(p.accrued, CAST(0 AS DECIMAL(18, 8))) ELSE CAST(0 AS DECIMAL(18, 8)) END,
         i.factor, paid.rate) AS DECIMAL(38, 12))
  END AS unit_price,
  -- Of an option: what its underlying's price, in that price's currency, makes of one contract.
  CASE WHEN i.asset_class = 'OPTION' THEN
    CAST(round10(i.delta, up.price, u.factor, i.contract_multiplier, upaid.rate) AS DECIMAL(38, 12)) END AS option_exposure,
  -- Cash that no record names as a currency has no row in fx; it is worth one of itself all the same.
  CASE WHEN i.currency = $currency THEN CAST(1 AS DECIMAL(38, 12)) ELSE own.rate END AS fx,
  CASE WHEN i.currency = $currency THEN CAST(1 AS DECIMAL(38, 12)) ELSE own.sod_rate END AS fx_sod,
  CASE WHEN i.asset_class IS DISTINCT FROM 'CASH' THEN p.price_time END AS price_time,
  (i.asset_class IS DISTINCT FROM 'CASH') AND COALESCE(
    p.price_time < CASE WHEN p.price_type = 'LAST' OR p.price_type = 'MID' THEN d.quotes_from ELSE d.evaluations_from END, FALSE) AS stale,
  COALESCE(
    up.price_time < CASE WHEN up.price_type = 'LAST' OR up.price_type = 'MID' THEN d.quotes_from ELSE d.evaluations_from END, FALSE) AS underlying_stale
FROM instrument i
CROSS JOIN system.day d
LEFT JOIN base.price p ON p.instrument_id = i.instrument_id
LEFT JOIN fx paid ON paid.currency = p.currency
LEFT JOIN fx own ON own.currency = i.currency
LEFT JOIN instrument u ON u.instrument_id = i.underlying_id
LEFT JOIN base.price up ON up.instrument_id = i.underlying_id
LEFT JOIN fx upaid ON upaid.currency = up.currency;

-- The values every row of every view uses, one row an instrument, once an epoch.
CREATE VIEW unit AS
SELECT
  q.instrument_id,
  q.unit_price,
  CASE WHEN q.asset_class = 'FUTURE' THEN CAST(0 AS DECIMAL(38, 12)) ELSE q.unit_price END AS unit_mv,
  CASE WHEN q.asset_class = 'OPTION' THEN q.option_exposure ELSE q.unit_price END AS unit_exposure,
  q.fx,
  q.fx_sod,
  q.price_time,
  q.stale AS price_stale,
  CASE WHEN q.asset_class = 'FUTURE' THEN FALSE ELSE q.stale END AS mv_stale,
  CASE WHEN q.asset_class = 'OPTION' THEN q.underlying_stale ELSE q.stale END AS exposure_stale
FROM quote q;

-- Every account that any topic names; of an undeclared one only the id is known.
CREATE VIEW account AS
SELECT k.account_id, a.account_name, a.base_currency, a.strategy, a.region
FROM system.account k
LEFT JOIN base.account a ON a.account_id = k.account_id;
