/** The mock's catalogue: the views it offers and their columns. */
import type { Catalog, CatalogView, Measure } from "../protocol/catalog.ts";
import type { Column, ColumnType, Unit, ViewSpec } from "../protocol/messages.ts";
import type { Market } from "./market.ts";

const FIELDS = [
  "account_id",
  "strategy",
  "region",
  "portfolio_id",
  "instrument_id",
  "asset_class",
  "sector",
  "country_of_risk",
  "currency",
  "side",
  "status",
];
const BASES = ["SOD", "CURRENT", "EXPECTED"] as const;

const measure = (
  name: string,
  title: string,
  unit: Unit,
  scale: number,
  basis: string | null,
  doc: string,
): Measure => ({ name, title, unit, basis, scale, doc });

function perBasis(prefix: string, title: string, unit: Unit, scale: number, doc: string): Measure[] {
  return BASES.map((basis) =>
    measure(
      `${prefix}_${basis.toLowerCase()}`,
      `${title} ${basis === "SOD" ? basis : basis[0] + basis.slice(1).toLowerCase()}`,
      unit,
      scale,
      basis,
      doc,
    ),
  );
}

const GROUPED: readonly Measure[] = [
  ...perBasis("mv", "MV", "money", 14, "Sum of quantity times unit price"),
  ...perBasis("long", "Long", "money", 14, "Positive positions, net per account and instrument"),
  ...perBasis("short", "Short", "money", 14, "Negative positions, net per account and instrument"),
  ...perBasis("gross", "Gross", "money", 14, "Long minus short"),
  ...perBasis("net", "Net", "money", 14, "Long plus short"),
  ...perBasis("weight", "Weight", "weight", 10, "Market value over NAV"),
  measure("day_pnl", "Day P&L", "money", 14, null, "Profit and loss since start of day"),
  measure("holdings", "Holdings", "count", 0, null, "Holdings of the day"),
  measure("orders", "Orders", "count", 0, null, "Orders that count today"),
  measure("live_orders", "Live orders", "count", 0, null, "Orders still working"),
  measure("unpriced", "Unpriced", "count", 0, null, "Positions without a price"),
  measure("price_time_max", "Last price", "time", 0, null, "Newest price used"),
];
const HOLDINGS: readonly Measure[] = [
  measure("account_id", "Account", "text", 0, null, ""),
  measure("instrument_id", "Instrument", "text", 0, null, ""),
  measure("portfolio_id", "Portfolio", "text", 0, null, ""),
  measure("sector", "Sector", "text", 0, null, ""),
  measure("currency", "Currency", "text", 0, null, ""),
  measure("quantity", "Quantity", "quantity", 6, null, ""),
  measure("unit_price", "Unit price", "price", 8, null, "In the reporting currency"),
  measure("mv", "MV", "money", 14, null, "Quantity times unit price"),
  measure("price_time", "Price time", "time", 0, null, ""),
];
const ORDERS: readonly Measure[] = [
  measure("order_id", "Order", "text", 0, null, ""),
  ...HOLDINGS.slice(0, 5),
  measure("side", "Side", "text", 0, null, ""),
  measure("status", "Status", "text", 0, null, ""),
  measure("filled_quantity", "Filled", "quantity", 6, null, ""),
  measure("open_quantity", "Open", "quantity", 6, null, ""),
  measure("unit_price", "Unit price", "price", 8, null, ""),
  measure("filled_mv", "Filled MV", "money", 14, null, ""),
  measure("open_mv", "Open MV", "money", 14, null, ""),
];

const view = (
  name: string,
  title: string,
  kind: "grouped" | "rows",
  measures: readonly Measure[],
  defaultGroupBy: readonly string[],
  portfolios = false,
): CatalogView => ({
  name,
  title,
  kind,
  groupBy: kind === "rows" ? [] : FIELDS,
  defaultGroupBy,
  exposures: kind === "grouped",
  portfolios,
  measures,
});

export const VIEWS: readonly CatalogView[] = [
  view("account_overview", "Account Overview", "grouped", GROUPED, ["sector"]),
  view("holdings", "Holdings", "rows", HOLDINGS, []),
  view("orders", "Orders", "rows", ORDERS, []),
  view(
    "cash_only",
    "Cash-Only",
    "grouped",
    [
      ...BASES.map((basis) =>
        measure(basis.toLowerCase(), `Local ${basis.toLowerCase()}`, "local", 6, basis, "By currency only"),
      ),
      ...BASES.map((basis) =>
        measure(
          `${basis.toLowerCase()}_base`,
          `Base ${basis.toLowerCase()}`,
          "base",
          14,
          basis,
          "By account only",
        ),
      ),
      measure("overdrawn", "Overdrawn", "count", 0, null, "Accounts' nets expected below zero"),
    ],
    ["account_id", "currency"],
  ),
  view("pid_carve_out", "PID Carve-Out", "grouped", GROUPED, ["portfolio_id"], true),
];

export function catalogOf(market: Market): Catalog {
  return {
    businessDate: market.businessDate,
    rollover: null,
    epoch: market.epoch,
    accounts: market.accounts.map((account) => ({ ...account, baseCurrency: "USD" })),
    portfolios: market.portfolios,
    currencies: ["USD", "EUR", "GBP", "JPY"],
    views: VIEWS,
  };
}

const TYPES: Partial<Record<Unit, ColumnType>> = { count: "count", time: "time", text: "text" };

export function schemaOf(spec: ViewSpec): Column[] {
  const measures = VIEWS.find(({ name }) => name === spec.view)!.measures;
  return measures
    .filter(
      ({ basis }) => basis === null || (spec.exposures ?? BASES).includes(basis as (typeof BASES)[number]),
    )
    .filter(({ name }) => spec.columns?.includes(name) ?? true)
    .map(({ name, unit, scale }) => ({ name, type: TYPES[unit] ?? "decimal", scale, unit }));
}
