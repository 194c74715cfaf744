/** A cell's text on screen: how each unit is rounded and written. */
import type { Cell, Column, Unit } from "../protocol/messages.ts";
import { exact, fixed, percent } from "./decimal.ts";

export const NO_VALUE = "–";
const PRICE_PLACES = 4;
const WEIGHT_PLACES = 2;

/** ISO 4217 minor units other than two. */
const MINOR_UNITS: Readonly<Record<string, number>> = {
  BIF: 0,
  CLP: 0,
  DJF: 0,
  GNF: 0,
  ISK: 0,
  JPY: 0,
  KMF: 0,
  KRW: 0,
  PYG: 0,
  RWF: 0,
  UGX: 0,
  UYI: 0,
  VND: 0,
  VUV: 0,
  XAF: 0,
  XOF: 0,
  XPF: 0,
  BHD: 3,
  IQD: 3,
  JOD: 3,
  KWD: 3,
  LYD: 3,
  OMR: 3,
  TND: 3,
};

export const minorUnits = (currency: string | null): number =>
  (currency === null ? undefined : MINOR_UNITS[currency]) ?? 2;

/**
 * `reporting` is the view's currency; `own` that of the cell where it has another, if it is known.
 * Quantities are never rounded: a fraction of a share is a fraction of a share.
 */
export function format(raw: Cell, { type, unit }: Column, reporting: string, own: string | null): string {
  if (raw === null) return NO_VALUE;
  if (type === "text" || unit === "text") return raw;
  switch (unit) {
    case "money":
      return fixed(raw, minorUnits(reporting));
    case "local":
    case "base":
      return fixed(raw, minorUnits(own));
    case "price":
      return fixed(raw, PRICE_PLACES);
    case "weight":
      return percent(raw, WEIGHT_PLACES);
    case "time":
      return instant(raw);
    default:
      return exact(raw);
  }
}

/** `2026-03-02T14:30:00.100Z` → `03-02 14:30:00`, in UTC as the source wrote it. */
function instant(raw: string): string {
  const match = /^\d{4}-(\d\d-\d\d)T(\d\d:\d\d:\d\d)/.exec(raw);
  return match === null ? raw : `${match[1]} ${match[2]}`;
}

/** Why a cell of no amount has no value, or what its amount is in; for its tooltip. */
export function explainAmount(raw: Cell, unit: Unit, own: string | null): string {
  if (unit === "local")
    return raw === null ? "Only by currency: amounts of several currencies are not added up" : "";
  if (unit !== "base") return "";
  if (raw === null) return "Only by account: accounts have base currencies of their own";
  return own === null ? "" : `In ${own}, the account's base currency`;
}

export const OVERDRAWN = "Overdrawn: expected cash is below zero";

/** What a mark on a cell means, for its tooltip. */
export function explainQuality(quality: string, unit?: Unit): string {
  const [mark, count] = quality.split(":");
  switch (mark) {
    case "STALE":
      return "Stale: a price used here is older than its limit";
    case "PARTIAL":
      return `Partial: ${count ?? "some"} ${count === "1" ? "position has" : "positions have"} no price or rate; the value is of the rest`;
    case "MISSING":
      return unit === "weight"
        ? "Missing: there is no share of a whole in which a position has no price or rate"
        : "Missing: no position here has a price or rate";
    default:
      return quality;
  }
}
