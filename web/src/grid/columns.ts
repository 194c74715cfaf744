/** How the columns of a result are laid out: order, titles, widths, alignment. */
import type { Column, Unit } from "../protocol/messages.ts";
import type { CatalogView } from "../protocol/catalog.ts";

export interface DisplayColumn {
  readonly column: Column;
  /** Position in the schema, which is how the wire names the column. */
  readonly index: number;
  readonly title: string;
  /** "SOD", "CURRENT" or "EXPECTED", shown under the title. */
  readonly basis: string | null;
  readonly doc: string;
  readonly widthPx: number;
  /** Someone dragged it to this width, so it is not fitted to its content. */
  readonly fixedWidth: boolean;
  readonly numeric: boolean;
  /** Expected cash: below zero it is marked. */
  readonly overdraws: boolean;
}

export const ROW_HEADER_WIDTH_PX = 232;
/** Names grow the first column up to here; beyond it they end in an ellipsis. */
const ROW_HEADER_WIDTH_MAX_PX = 320;
const INDENT_PX = 14;
/** The fold mark before a name, and the padding around both. */
const NAME_PADDING_PX = 30;
/** Where rows are numbered instead of named. */
export const ROW_NUMBER_WIDTH_PX = 76;
export const COLUMN_WIDTH_MIN_PX = 48;

/** To begin with; columns then grow to what they hold. */
const WIDTHS_PX: Readonly<Record<Unit, number>> = {
  money: 112,
  local: 112,
  base: 112,
  quantity: 96,
  price: 96,
  weight: 84,
  count: 76,
  time: 116,
  text: 88,
};
/** Text beyond this ends in an ellipsis; a number never does. */
const TEXT_WIDTH_MAX_PX = 240;
/** Room for the arrow before a number and the quality mark after it. */
const NUMBER_PADDING_PX = 30;
const TEXT_PADDING_PX = 20;
/** Room for the sign of what is overdrawn. */
const OVERDRAWN_PX = 18;

/** Width of a character in digits. Figures are tabular, so all digits are alike. */
const CHARACTER_DIGITS: Readonly<Record<string, number>> = {
  ",": 0.52,
  ".": 0.52,
  "-": 0.62,
  ":": 0.55,
  " ": 0.55,
  "%": 1.5,
};

/** How many digits wide a number's text is. */
export function widthInDigits(text: string): number {
  let width = 0;
  for (const character of text) width += CHARACTER_DIGITS[character] ?? 1;
  return width;
}

/** The width that shows so many digits, or characters of text, whole. */
export function widthFor(column: DisplayColumn, digits: number, digitPx: number): number {
  if (column.numeric)
    return Math.ceil(digits * digitPx + NUMBER_PADDING_PX + (column.overdraws ? OVERDRAWN_PX : 0));
  return Math.min(Math.ceil(digits * digitPx + TEXT_PADDING_PX), TEXT_WIDTH_MAX_PX);
}

/** The width of the first column that shows a name of so many pixels whole. */
export const rowHeaderWidthFor = (namePx: number, depth: number): number =>
  Math.min(
    Math.ceil(namePx + NAME_PADDING_PX + Math.max(0, depth - 1) * INDENT_PX),
    ROW_HEADER_WIDTH_MAX_PX,
  );

const BASES: Readonly<Record<string, string>> = { SOD: "SOD", CURRENT: "Current", EXPECTED: "Expected" };

export function displayColumns(
  schema: readonly Column[],
  view: CatalogView | undefined,
  order: readonly string[] | null,
  widths: Readonly<Record<string, number>>,
): DisplayColumn[] {
  const measures = new Map(view?.measures.map((measure) => [measure.name, measure]));
  const columns = schema.map((column, index): DisplayColumn => {
    const measure = measures.get(column.name);
    const basis = measure?.basis ?? null;
    return {
      column,
      index,
      title: withoutBasis(measure?.title ?? titleOf(column.name), basis),
      basis: basis === null ? null : (BASES[basis] ?? basis),
      doc: measure?.doc ?? "",
      fixedWidth: widths[column.name] !== undefined,
      widthPx: widths[column.name] ?? WIDTHS_PX[column.unit] ?? WIDTHS_PX.text,
      numeric: column.type !== "text",
      overdraws: basis === "EXPECTED" && (column.unit === "local" || column.unit === "base"),
    };
  });
  if (order === null) return columns;
  return order.flatMap((name) => columns.find(({ column }) => column.name === name) ?? []);
}

/** The basis stands on its own line, so it need not end the title too. */
function withoutBasis(title: string, basis: string | null): string {
  if (basis === null) return title;
  const tail = title.slice(-basis.length);
  return tail.toUpperCase() === basis && title.length > basis.length
    ? title.slice(0, -basis.length).trim()
    : title;
}

const ABBREVIATIONS = new Set(["mv", "sod", "id", "fx", "pnl", "pid", "nav"]);

const ALTERNATIVES: Readonly<Record<string, string>> = {
  long_short: "Long/short",
  // Rows grouped by these go by their names.
  account_id: "Account",
  instrument_id: "Instrument",
  portfolio_id: "Portfolio",
};

/** `country_of_risk` → `Country of risk`, `mv_sod` → `MV SOD`. */
export function titleOf(name: string): string {
  return (
    ALTERNATIVES[name] ??
    name
      .split("_")
      .map((word, i) =>
        ABBREVIATIONS.has(word)
          ? word.toUpperCase()
          : i === 0
            ? word.slice(0, 1).toUpperCase() + word.slice(1)
            : word,
      )
      .join(" ")
  );
}
