-- The base tables: one for each topic. The engine reads this file; nothing else declares a column.
--
-- A record of a topic is an upsert of a keyed row. `version` and `event_time` belong to every topic.
-- NOT NULL columns must be in every record; CHECK decides which values are set aside.
-- PARTITION BY names the column that splits a table into partitions; tables without it are broadcast.
-- One tick applies the tables in the order of this file.
-- Money and quantities are exact: quantities and amounts (18,6), prices and factors (18,8), rates (24,12).

CREATE TABLE base.instrument (
  instrument_id       TEXT NOT NULL,
  symbol              TEXT NOT NULL,
  name                TEXT NOT NULL,
  asset_class         TEXT NOT NULL CHECK (asset_class IN ('EQUITY', 'FUND', 'BOND', 'FUTURE', 'OPTION', 'CASH')),
  sector              TEXT,
  industry            TEXT,
  issuer              TEXT,
  country_of_risk     TEXT,
  country_of_domicile TEXT,
  currency            TEXT NOT NULL,
  price_scale         DECIMAL(18, 8),
  contract_multiplier DECIMAL(18, 8),
  underlying_id       TEXT,
  delta               DECIMAL(18, 8),
  version             BIGINT NOT NULL,
  event_time          TIMESTAMP NOT NULL,
  PRIMARY KEY (instrument_id)
);

CREATE TABLE base.account (
  account_id         TEXT NOT NULL,
  account_name       TEXT NOT NULL,
  base_currency      TEXT NOT NULL,
  strategy           TEXT,
  region             TEXT,
  benchmark_id       TEXT,
  version            BIGINT NOT NULL,
  event_time         TIMESTAMP NOT NULL,
  PRIMARY KEY (account_id)
);

CREATE TABLE base.sod_holding (
  business_date DATE NOT NULL,
  account_id    TEXT NOT NULL,
  instrument_id TEXT NOT NULL,
  portfolio_id  TEXT NOT NULL DEFAULT '',
  quantity      DECIMAL(18, 6) NOT NULL,
  sod_price     DECIMAL(18, 8),
  average_cost  DECIMAL(18, 8),
  as_of         TIMESTAMP,
  version       BIGINT NOT NULL,
  event_time    TIMESTAMP NOT NULL,
  PRIMARY KEY (business_date, account_id, instrument_id, portfolio_id)
) PARTITION BY (account_id);

CREATE TABLE base.business_date (
  id            TEXT NOT NULL DEFAULT 'current' CHECK (id = 'current'),
  business_date DATE NOT NULL,
  holdings      BIGINT NOT NULL,
  version       BIGINT NOT NULL,
  event_time    TIMESTAMP NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE base.order_events (
  order_id      TEXT NOT NULL,
  business_date DATE NOT NULL,
  account_id    TEXT NOT NULL,
  instrument_id TEXT NOT NULL,
  portfolio_id  TEXT NOT NULL DEFAULT '',
  side          TEXT NOT NULL CHECK (side IN ('BUY', 'BUY_COVER', 'SUBSCRIBE', 'SELL', 'SELL_SHORT', 'REDEEM')),
  order_qty     DECIMAL(18, 6) NOT NULL,
  cum_qty       DECIMAL(18, 6) NOT NULL,
  day_cum_qty   DECIMAL(18, 6) NOT NULL,
  day_avg_px    DECIMAL(18, 8),
  status        TEXT NOT NULL CHECK (status IN (
                  'PENDING_NEW', 'NEW', 'PARTIALLY_FILLED', 'PENDING_CANCEL', 'PENDING_REPLACE', 'SUSPENDED', 'STOPPED',
                  'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'DONE_FOR_DAY', 'CALCULATED', 'REPLACED')),
  order_type    TEXT NOT NULL,
  limit_price   DECIMAL(18, 8),
  time_in_force TEXT,
  trader        TEXT,
  venue         TEXT,
  version       BIGINT NOT NULL,
  event_time    TIMESTAMP NOT NULL,
  PRIMARY KEY (order_id),
  CHECK (day_cum_qty = 0 OR day_avg_px IS NOT NULL)
) PARTITION BY (account_id);

CREATE TABLE base.cash_movement (
  movement_id   TEXT NOT NULL,
  business_date DATE NOT NULL,
  account_id    TEXT NOT NULL,
  portfolio_id  TEXT NOT NULL DEFAULT '',
  currency      TEXT NOT NULL,
  amount        DECIMAL(18, 6) NOT NULL,
  movement_type TEXT NOT NULL CHECK (movement_type IN (
                  'DIVIDEND', 'TRADE_SETTLEMENT', 'SUBSCRIPTION', 'REDEMPTION', 'FEE', 'INTEREST')),
  external_flow BOOLEAN NOT NULL,
  version       BIGINT NOT NULL,
  event_time    TIMESTAMP NOT NULL,
  PRIMARY KEY (movement_id)
) PARTITION BY (account_id);

CREATE TABLE base.fx_rate (
  from_currency TEXT NOT NULL,
  to_currency   TEXT NOT NULL,
  rate_type     TEXT NOT NULL CHECK (rate_type IN ('LIVE', 'SOD')),
  rate          DECIMAL(24, 12) NOT NULL CHECK (rate > 0),
  rate_time     TIMESTAMP NOT NULL,
  version       BIGINT NOT NULL,
  event_time    TIMESTAMP NOT NULL,
  PRIMARY KEY (from_currency, to_currency, rate_type)
);

CREATE TABLE base.price (
  instrument_id TEXT NOT NULL,
  price         DECIMAL(18, 8) NOT NULL,
  currency      TEXT NOT NULL,
  accrued       DECIMAL(18, 8),
  price_type    TEXT NOT NULL CHECK (price_type IN ('LAST', 'MID', 'CLOSE', 'EVALUATED')),
  price_time    TIMESTAMP NOT NULL,
  source        TEXT,
  version       BIGINT NOT NULL,
  event_time    TIMESTAMP NOT NULL,
  PRIMARY KEY (instrument_id)
);
