import { expect, test } from "vitest";
import type { CatalogView } from "../protocol/catalog.ts";
import {
  DEFAULT_LAYOUT,
  fromQuery,
  groupingOf,
  nextSort,
  toQuery,
  toSpec,
  withView,
  type Layout,
} from "./layout.ts";

const view: CatalogView = {
  name: "account_overview",
  title: "Account Overview",
  kind: "grouped",
  exposures: true,
  portfolios: false,
  groupBy: ["sector", "currency", "account_id"],
  defaultGroupBy: ["sector"],
  measures: [],
};

test.each<Partial<Layout>>([
  {},
  { view: "holdings" },
  { accounts: ["A00001", "A00002"] },
  { accounts: [] },
  { accounts: ["a,b", "50%", "~", "Müller & Söhne"] },
  { portfolios: ["", "P1"] },
  { portfolios: [""] },
  { groupBy: [] },
  { groupBy: ["country_of_risk", "sector"] },
  { exposures: ["CURRENT"] },
  { currency: "EUR", excludeCash: true },
  {
    sort: [
      { column: "mv_sod", desc: true },
      { column: "holdings", desc: false },
    ],
  },
  { columns: ["mv_sod"] },
  { columns: [] },
  { expanded: "all" },
  { expanded: 3 },
])("%j survives the URL", (change) => {
  const layout = { ...DEFAULT_LAYOUT, ...change };
  expect(fromQuery(`?${toQuery(layout)}`)).toEqual(layout);
});

test("the default is an empty query, and nonsense is the default", () => {
  expect(toQuery(DEFAULT_LAYOUT)).toBe("");
  expect(fromQuery("")).toEqual(DEFAULT_LAYOUT);
  expect(fromQuery("?expanded=x&accounts=%25zz").expanded).toBe(1);
  expect(fromQuery("?group=sector,sector").groupBy).toEqual(["sector"]);
});

test("a fresh page asks for the overview of everything", () => {
  expect(toSpec(DEFAULT_LAYOUT, view, [], [])).toEqual({
    view: "account_overview",
    accounts: "all",
    groupBy: ["sector"],
    exposures: ["SOD", "CURRENT", "EXPECTED"],
    currency: "USD",
    expanded: "level:1",
  });
});

test("what the view does not know is not asked of it", () => {
  const rows: CatalogView = { ...view, name: "holdings", kind: "rows", groupBy: [], exposures: false };
  expect(toSpec({ ...DEFAULT_LAYOUT, excludeCash: true }, rows, [], [])).toEqual({
    view: "holdings",
    accounts: "all",
    groupBy: [],
    currency: "USD",
    expanded: "level:1",
    excludeCash: true,
  });
  expect(toSpec({ ...DEFAULT_LAYOUT, groupBy: ["colour", "sector"] }, view, [], []).groupBy).toEqual([
    "sector",
  ]);
  expect(toSpec(DEFAULT_LAYOUT, { ...view, portfolios: true }, ["", "P1"], []).portfolios).toEqual([
    "",
    "P1",
  ]);
});

test("rows opened one by one are opened again where they can be", () => {
  const layout: Layout = { ...DEFAULT_LAYOUT, groupBy: ["sector", "currency"] };
  expect(toSpec(layout, view, [], [["Energy"], ["Energy", "USD"]]).expanded).toEqual([["Energy"]]);
  expect(toSpec({ ...layout, expanded: 2 }, view, [], [["Energy"]]).expanded).toBe("level:2");
});

test("sort goes largest first, smallest first, not at all", () => {
  const first = nextSort([], "mv");
  expect(first).toEqual([{ column: "mv", desc: true }]);
  expect(nextSort(first, "mv")).toEqual([{ column: "mv", desc: false }]);
  expect(nextSort(nextSort(first, "mv"), "mv")).toEqual([]);
  expect(nextSort(first, "other")).toEqual([{ column: "other", desc: true }]);
});

test("another view keeps the grouping it shares, or brings its own", () => {
  const cash: CatalogView = {
    ...view,
    name: "cash_only",
    groupBy: ["currency"],
    defaultGroupBy: ["currency"],
  };
  const layout: Layout = { ...DEFAULT_LAYOUT, groupBy: ["sector"], sort: [{ column: "mv", desc: true }] };
  expect(withView(layout, { ...view, name: "pid_carve_out" })).toMatchObject({
    view: "pid_carve_out",
    groupBy: ["sector"],
    sort: [],
  });
  expect(groupingOf(withView(layout, cash), cash)).toEqual(["currency"]);
  expect(groupingOf(withView(DEFAULT_LAYOUT, cash), cash)).toEqual(["currency"]);
  // Amounts of cash by sector would be none at all, though the view can be grouped by it.
  const any = { ...cash, groupBy: ["currency", "sector"] };
  expect(groupingOf(withView(layout, any), any)).toEqual(["currency"]);
  const both: Layout = { ...layout, groupBy: ["sector", "currency"] };
  expect(groupingOf(withView(both, any), any)).toEqual(["sector", "currency"]);
});
