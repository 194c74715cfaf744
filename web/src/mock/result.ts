/** The whole result of a specification over the mock market, computed anew each time. */
import type { Cell, Column, Key, Row, Total, ViewSpec } from "../protocol/messages.ts";
import { rowId } from "../protocol/model.ts";
import { PRICE_SCALE, QUANTITY_SCALE, type Leg, type Market } from "./market.ts";
import { schemaOf, VIEWS } from "./views.ts";

export interface Result {
  readonly schema: readonly Column[];
  readonly rows: readonly Row[];
  readonly total: Total;
}

const MV_SCALE = PRICE_SCALE + QUANTITY_SCALE;
const WEIGHT_SCALE = 10;

/** Plain notation without trailing zeros. */
export function plain(value: bigint, scale: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, "");
  return (value < 0n ? "-" : "") + whole + (fraction === "" ? "" : `.${fraction}`);
}

export function compute(market: Market, spec: ViewSpec, isOpen: (key: Key) => boolean): Result {
  const legs = selected(market, spec);
  const schema = schemaOf(spec);
  const view = VIEWS.find(({ name }) => name === spec.view)!;
  const isRows = view.kind === "rows";
  const rows = isRows ? records(legs, schema, spec) : tree(legs, schema, spec, isOpen);
  const all = measureAll(legs, schema, null);
  const total = isRows
    ? { values: schema.map(({ unit }, i) => (unit === "money" ? sumOf(rows, i) : null)), quality: {} }
    : all;
  return { schema, rows, total };
}

const sumOf = (rows: readonly Row[], column: number): string => {
  let sum = 0n;
  for (const { values } of rows) sum += scaled(values[column] ?? null, MV_SCALE);
  return plain(sum, MV_SCALE);
};

function scaled(raw: Cell, scale: number): bigint {
  if (raw === null) return 0n;
  const [whole, fraction = ""] = raw.replace("-", "").split(".");
  const value = BigInt(whole! + fraction.padEnd(scale, "0"));
  return raw.startsWith("-") ? -value : value;
}

function selected(market: Market, spec: ViewSpec): Leg[] {
  const accounts = spec.accounts === "all" ? null : new Set(spec.accounts);
  const portfolios = spec.portfolios === undefined ? null : new Set(spec.portfolios);
  return market.legs.filter(
    (leg) =>
      (accounts === null || accounts.has(leg.account.id)) &&
      (portfolios === null || portfolios.has(leg.portfolio)) &&
      (spec.view !== "holdings" || leg.orderId === null) &&
      (spec.view !== "orders" || leg.orderId !== null) &&
      (spec.view !== "cash_only" || leg.instrument.assetClass === "CASH") &&
      !(spec.excludeCash === true && leg.instrument.assetClass === "CASH"),
  );
}

function fieldOf(leg: Leg, field: string): string | null {
  switch (field) {
    case "account_id":
      return leg.account.id;
    case "strategy":
      return leg.account.strategy;
    case "region":
      return leg.account.region;
    case "portfolio_id":
      return leg.portfolio;
    case "instrument_id":
      return leg.instrument.id;
    case "asset_class":
      return leg.instrument.assetClass;
    case "sector":
      return leg.instrument.sector;
    case "country_of_risk":
      return leg.instrument.country;
    case "currency":
      return leg.instrument.currency;
    case "side":
      return leg.orderId === null ? "(holding)" : leg.side;
    case "status":
      return leg.orderId === null ? "(holding)" : leg.status;
    default:
      return null;
  }
}

const byKey = (a: string | null, b: string | null): number =>
  a === b ? 0 : a === null ? 1 : b === null ? -1 : a < b ? -1 : 1;

function tree(
  legs: readonly Leg[],
  schema: readonly Column[],
  spec: ViewSpec,
  isOpen: (key: Key) => boolean,
): Row[] {
  const nav = mvOf(legs, "CURRENT").value;
  const level = (members: readonly Leg[], prefix: Key): Row[] => {
    const field = spec.groupBy[prefix.length]!;
    const groups = new Map<string | null, Leg[]>();
    for (const leg of members) {
      const value = fieldOf(leg, field);
      const own = groups.get(value);
      if (own === undefined) groups.set(value, [leg]);
      else own.push(leg);
    }
    const siblings = [...groups].map(([value, own]) => {
      const key = [...prefix, value];
      const label = field === "account_id" && value !== null ? own[0]!.account.name : undefined;
      const row: Row = {
        key,
        depth: key.length,
        expandable: key.length < spec.groupBy.length,
        ...(label !== undefined && { label }),
        ...measureAll(own, schema, nav),
      };
      return { row, own, value };
    });
    siblings.sort((a, b) => sorted(a.row, b.row, schema, spec) || byKey(a.value, b.value));
    return siblings.flatMap(({ row, own }) =>
      row.expandable && isOpen(row.key) ? [row, ...level(own, row.key)] : [row],
    );
  };
  return spec.groupBy.length === 0 ? [] : level(legs, []);
}

function sorted(a: Row, b: Row, schema: readonly Column[], spec: ViewSpec): number {
  for (const { column, desc } of spec.sort ?? []) {
    const at = schema.findIndex(({ name }) => name === column);
    if (at < 0) continue;
    const [x, y] = [a.values[at] ?? null, b.values[at] ?? null];
    const numeric = schema[at]!.type === "decimal" || schema[at]!.type === "count";
    const order =
      x === null || y === null || !numeric
        ? byKey(x, y)
        : Number(scaled(x, 18) - scaled(y, 18) > 0n) - Number(scaled(x, 18) - scaled(y, 18) < 0n);
    if (order !== 0) return desc ? -order : order;
  }
  return 0;
}

type Basis = "SOD" | "CURRENT" | "EXPECTED";
const quantityOf = (leg: Leg, basis: Basis): bigint =>
  basis === "SOD"
    ? leg.sod
    : basis === "CURRENT"
      ? leg.sod + leg.filled
      : leg.sod + leg.filled + leg.remaining;

function mvOf(legs: readonly Leg[], basis: Basis): { value: bigint | null; quality: string | null } {
  let value = 0n;
  let unpriced = 0;
  let positions = 0;
  let stale = false;
  for (const leg of legs) {
    const quantity = quantityOf(leg, basis);
    if (quantity === 0n) continue;
    positions += 1;
    if (leg.instrument.price === null) unpriced += 1;
    else {
      value += quantity * leg.instrument.price;
      stale ||= leg.instrument.stale;
    }
  }
  if (positions > 0 && unpriced === positions) return { value: null, quality: "MISSING" };
  return { value, quality: unpriced > 0 ? `PARTIAL:${unpriced}` : stale ? "STALE" : null };
}

function measureAll(legs: readonly Leg[], schema: readonly Column[], nav: bigint | null): Total {
  const quality: Record<string, string> = {};
  const mv = new Map<Basis, ReturnType<typeof mvOf>>();
  const nets = new Map<Basis, { long: bigint; short: bigint }>();
  const values = schema.map(({ name, unit }, i): Cell => {
    const [, family, basisName] =
      /^(mv|long|short|gross|net|weight)_(sod|current|expected)$/.exec(name) ?? [];
    if (family === undefined) return cashOf(legs, name) ?? other(legs, name);
    const basis = basisName!.toUpperCase() as Basis;
    let market = mv.get(basis);
    if (market === undefined) mv.set(basis, (market = mvOf(legs, basis)));
    if (unit === "money" && market.quality !== null) quality[i] = market.quality;
    if (market.value === null) return null;
    if (family === "mv") return plain(market.value, MV_SCALE);
    if (family === "weight") {
      const whole = nav ?? market.value;
      return whole === 0n ? null : plain((market.value * 10n ** BigInt(WEIGHT_SCALE)) / whole, WEIGHT_SCALE);
    }
    let net = nets.get(basis);
    if (net === undefined) nets.set(basis, (net = netOf(legs, basis)));
    const value =
      family === "long"
        ? net.long
        : family === "short"
          ? net.short
          : family === "gross"
            ? net.long - net.short
            : net.long + net.short;
    return plain(value, MV_SCALE);
  });
  return { values, quality };
}

/** Cash-Only: amounts of one currency in it, those of one account at the mock's prices. */
function cashOf(legs: readonly Leg[], name: string): Cell {
  if (name === "overdrawn") {
    const nets = new Map<string, bigint>();
    for (const leg of legs) {
      const id = rowId([leg.account.id, leg.instrument.currency]);
      nets.set(id, (nets.get(id) ?? 0n) + quantityOf(leg, "EXPECTED"));
    }
    return String([...nets.values()].filter((net) => net < 0n).length);
  }
  const [, basis, base] = /^(sod|current|expected)(_base)?$/.exec(name) ?? [];
  if (basis === undefined) return null;
  const of = basis.toUpperCase() as Basis;
  const sum = (worth: (leg: Leg) => bigint): bigint => legs.reduce((total, leg) => total + worth(leg), 0n);
  const alone = (part: (leg: Leg) => string): boolean => new Set(legs.map(part)).size === 1;
  if (base === undefined)
    return alone(({ instrument }) => instrument.currency)
      ? plain(
          sum((leg) => quantityOf(leg, of)),
          QUANTITY_SCALE,
        )
      : null;
  return alone(({ account }) => account.id)
    ? plain(
        sum((leg) => quantityOf(leg, of) * (leg.instrument.price ?? 0n)),
        MV_SCALE,
      )
    : null;
}

function netOf(legs: readonly Leg[], basis: Basis): { long: bigint; short: bigint } {
  const positions = new Map<string, bigint>();
  for (const leg of legs) {
    const id = rowId([leg.account.id, leg.instrument.id]);
    positions.set(id, (positions.get(id) ?? 0n) + quantityOf(leg, basis) * (leg.instrument.price ?? 0n));
  }
  let long = 0n;
  let short = 0n;
  for (const value of positions.values()) {
    if (value > 0n) long += value;
    else short += value;
  }
  return { long, short };
}

function other(legs: readonly Leg[], name: string): Cell {
  switch (name) {
    case "day_pnl":
      return plain(
        legs.reduce(
          (sum, { sod, instrument }) =>
            sum + sod * ((instrument.price ?? instrument.sodPrice) - instrument.sodPrice),
          0n,
        ),
        MV_SCALE,
      );
    case "holdings":
      return String(legs.filter(({ orderId, sod }) => orderId === null && sod !== 0n).length);
    case "orders":
      return String(legs.filter(({ orderId }) => orderId !== null).length);
    case "live_orders":
      return String(legs.filter(({ remaining }) => remaining !== 0n).length);
    case "unpriced":
      return String(legs.filter(({ instrument }) => instrument.price === null).length);
    case "price_time_max":
      return legs.reduce<Cell>(
        (newest, { instrument }) =>
          newest === null || instrument.priceTime > newest ? instrument.priceTime : newest,
        null,
      );
    default:
      return null;
  }
}

function records(legs: readonly Leg[], schema: readonly Column[], spec: ViewSpec): Row[] {
  const seen = new Map<string, number>();
  const rows = legs.map((leg): Row => {
    const price = leg.instrument.price;
    const quality: Record<string, string> = {};
    const quantity = spec.view === "holdings" ? leg.sod : leg.filled;
    const values = schema.map(({ name, unit }, i): Cell => {
      if (unit === "money") {
        if (price === null) quality[i] = "MISSING";
        else if (leg.instrument.stale) quality[i] = "STALE";
      }
      switch (name) {
        case "order_id":
          return leg.orderId;
        case "quantity":
          return plain(leg.sod, QUANTITY_SCALE);
        case "filled_quantity":
          return plain(leg.filled, QUANTITY_SCALE);
        case "open_quantity":
          return plain(leg.remaining, QUANTITY_SCALE);
        case "unit_price":
          return price === null ? null : plain(price, PRICE_SCALE);
        case "mv":
        case "filled_mv":
          return price === null ? null : plain(quantity * price, MV_SCALE);
        case "open_mv":
          return price === null ? null : plain(leg.remaining * price, MV_SCALE);
        case "price_time":
          return leg.instrument.priceTime;
        default:
          return fieldOf(leg, name);
      }
    });
    // A holding's key must be its own; the mock may draw an instrument twice.
    const parts = [BUSINESS_DATE, leg.account.id, leg.instrument.id, leg.portfolio];
    const count = (seen.get(parts.join("\n")) ?? 0) + 1;
    seen.set(parts.join("\n"), count);
    const key = leg.orderId !== null ? [leg.orderId] : count === 1 ? parts : [...parts, String(count)];
    return { key, depth: 1, expandable: false, values, quality };
  });
  return rows.sort((a, b) => sorted(a, b, schema, spec) || compareKeys(a.key, b.key));
}

const BUSINESS_DATE = "2026-03-02";

function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = byKey(a[i] ?? null, b[i] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}
