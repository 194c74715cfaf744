/**
 * What a person chose to see, and its place in the URL.
 *
 * A link shows another person the same: everything that shapes the result is
 * in the query string, defaults left out. Column widths and the theme are a
 * matter of one's own screen and stay with the browser.
 */
import type { CatalogView } from "../protocol/catalog.ts";
import type { Exposure, Key, SortBy, ViewSpec } from "../protocol/messages.ts";

export type Choice = "all" | readonly string[];

export interface Layout {
  readonly view: string;
  readonly accounts: Choice;
  readonly portfolios: Choice;
  /** null for the view's own grouping. */
  readonly groupBy: readonly string[] | null;
  readonly exposures: readonly Exposure[];
  readonly currency: string;
  readonly excludeCash: boolean;
  readonly sort: readonly SortBy[];
  /** Names in order; null for all the view has. */
  readonly columns: readonly string[] | null;
  readonly expanded: "all" | number;
}

export const EXPOSURES: readonly Exposure[] = ["SOD", "CURRENT", "EXPECTED"];

export const DEFAULT_LAYOUT: Layout = {
  view: "account_overview",
  accounts: "all",
  portfolios: "all",
  groupBy: null,
  exposures: EXPOSURES,
  currency: "USD",
  excludeCash: false,
  sort: [],
  columns: null,
  expanded: 1,
};

// The unsleeved portfolio is the empty string, which a list could not tell from
// no entry at all.
const EMPTY_NAME = "~";
const join = (names: readonly string[]): string =>
  names
    .map((name) =>
      name === "" ? EMPTY_NAME : name.replace(/[%,~]/g, encodeURIComponent).replace(/~/g, "%7E"),
    )
    .join(",");
const split = (text: string): string[] =>
  text === "" ? [] : text.split(",").map((name) => (name === EMPTY_NAME ? "" : safeDecode(name)));

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function toQuery(layout: Layout): string {
  const query = new URLSearchParams();
  const put = (name: string, value: string, standard: string) => {
    if (value !== standard) query.set(name, value);
  };
  const choice = (value: Choice) => (value === "all" ? "*" : join(value));
  const base = DEFAULT_LAYOUT;
  put("view", layout.view, base.view);
  put("accounts", choice(layout.accounts), "*");
  put("portfolios", choice(layout.portfolios), "*");
  put("group", layout.groupBy === null ? "*" : join(layout.groupBy), "*");
  put("exposures", join(layout.exposures), join(base.exposures));
  put("currency", layout.currency, base.currency);
  put("cash", layout.excludeCash ? "excluded" : "", "");
  put("sort", join(layout.sort.map(({ column, desc }) => (desc ? "-" : "") + column)), "");
  put("columns", layout.columns === null ? "*" : join(layout.columns), "*");
  put("expanded", String(layout.expanded), "1");
  // Commas are allowed in a query and read better than %2C.
  return query.toString().replaceAll("%2C", ",");
}

export function fromQuery(search: string): Layout {
  const query = new URLSearchParams(search);
  const base = DEFAULT_LAYOUT;
  const names = (name: string, standard: readonly string[]) => {
    const value = query.get(name);
    return value === null ? standard : split(value);
  };
  const choice = (name: string): Choice => {
    const value = query.get(name);
    return value === null || value === "*" ? "all" : split(value);
  };
  const ownList = (name: string): string[] | null => {
    const value = query.get(name);
    return value === null || value === "*" ? null : [...new Set(split(value))];
  };
  const exposures = EXPOSURES.filter((name) => names("exposures", base.exposures).includes(name));
  const expanded = query.get("expanded");
  return {
    view: query.get("view") ?? base.view,
    accounts: choice("accounts"),
    portfolios: choice("portfolios"),
    groupBy: ownList("group"),
    // With no exposure there would be next to nothing to see.
    exposures: exposures.length === 0 ? base.exposures : exposures,
    currency: query.get("currency") ?? base.currency,
    excludeCash: query.get("cash") === "excluded",
    sort: names("sort", []).map((name) =>
      name.startsWith("-") ? { column: name.slice(1), desc: true } : { column: name, desc: false },
    ),
    columns: ownList("columns"),
    expanded: expanded === "all" ? "all" : Math.max(1, Math.trunc(Number(expanded)) || 1),
  };
}

/** Keeps what carries over to another view and drops what names this one's columns. */
export function withView(layout: Layout, view: CatalogView): Layout {
  // Amounts of cash add up by account or currency alone: another grouping would show next to none.
  const amounts =
    view.name !== "cash_only" || layout.groupBy?.some((field) => view.defaultGroupBy.includes(field));
  const carries =
    view.kind === "rows" || (amounts && layout.groupBy?.every((field) => view.groupBy.includes(field)));
  return {
    ...layout,
    view: view.name,
    groupBy: carries ? layout.groupBy : null,
    sort: [],
    columns: null,
  };
}

/** The fields the view is grouped by: those chosen that it knows, or its own. */
export function groupingOf(layout: Layout, view: CatalogView): readonly string[] {
  if (view.kind === "rows") return [];
  return layout.groupBy?.filter((field) => view.groupBy.includes(field)) ?? view.defaultGroupBy;
}

export function toSpec(
  layout: Layout,
  view: CatalogView,
  portfolios: readonly string[],
  opened: readonly Key[],
): ViewSpec {
  const groupBy = groupingOf(layout, view);
  // A row opened under one grouping means nothing at or below the last level of another.
  const keys = opened.filter((key) => key.length < groupBy.length);
  return {
    view: view.name,
    accounts: layout.accounts,
    ...(view.portfolios && {
      portfolios: layout.portfolios === "all" ? portfolios : layout.portfolios,
    }),
    groupBy,
    ...(view.exposures && { exposures: layout.exposures }),
    ...(layout.columns !== null && { columns: layout.columns }),
    ...(layout.sort.length > 0 && { sort: layout.sort }),
    currency: layout.currency,
    expanded:
      layout.expanded === "all"
        ? "all"
        : layout.expanded > 1 || keys.length === 0
          ? `level:${layout.expanded}`
          : keys,
    ...(layout.excludeCash && { excludeCash: true }),
  };
}

/** None, then largest first, then smallest first, then none again. */
export function nextSort(sort: readonly SortBy[], column: string | null): readonly SortBy[] {
  if (column === null) return [];
  const current = sort.find((entry) => entry.column === column);
  if (current === undefined) return [{ column, desc: true }];
  return current.desc ? [{ column, desc: false }] : [];
}
