/** What `GET /api/catalog` and `GET /api/status` return: the choices the controls offer. */
import type { Unit } from "./messages.ts";
import { isBoolean, isNumber, isObject, isString, listOf, orNull, shape } from "./check.ts";

export interface Rollover {
  readonly to: string;
  readonly arrived: number;
  readonly expected: number;
}
export interface Status {
  readonly businessDate: string | null;
  readonly rollover: Rollover | null;
  readonly epoch: number;
  readonly ready: boolean;
}
export interface Account {
  readonly id: string;
  /** null while the account is undeclared. */
  readonly name: string | null;
  readonly strategy: string | null;
  readonly region: string | null;
  readonly baseCurrency: string | null;
}
export interface Measure {
  readonly name: string;
  readonly title: string;
  readonly unit: Unit;
  readonly basis: string | null;
  readonly scale: number;
  readonly doc: string;
}
export interface CatalogView {
  readonly name: string;
  readonly title: string;
  readonly kind: "grouped" | "rows";
  readonly groupBy: readonly string[];
  readonly defaultGroupBy: readonly string[];
  readonly exposures: boolean;
  readonly portfolios: boolean;
  readonly measures: readonly Measure[];
}
export interface Catalog {
  readonly businessDate: string | null;
  readonly rollover: Rollover | null;
  readonly epoch: number;
  readonly accounts: readonly Account[];
  readonly portfolios: readonly string[];
  readonly currencies: readonly string[];
  readonly views: readonly CatalogView[];
}

const date = orNull(isString);
const rollover = orNull(shape({ to: isString, arrived: isNumber, expected: isNumber }));
const status = shape({ businessDate: date, rollover, epoch: isNumber, ready: isBoolean });
const catalog = shape({
  businessDate: date,
  rollover,
  epoch: isNumber,
  accounts: listOf(shape({ id: isString, name: orNull(isString), baseCurrency: orNull(isString) })),
  portfolios: listOf(isString),
  currencies: listOf(isString),
  views: listOf(
    shape({
      name: isString,
      title: isString,
      kind: isString,
      groupBy: listOf(isString),
      defaultGroupBy: listOf(isString),
      exposures: isBoolean,
      portfolios: isBoolean,
      measures: listOf(isObject),
    }),
  ),
});

export function parseStatus(value: unknown): Status {
  if (!status(value)) throw new Error("malformed status");
  return value as Status;
}

export function parseCatalog(value: unknown): Catalog {
  if (!catalog(value)) throw new Error("malformed catalog");
  return value as Catalog;
}
