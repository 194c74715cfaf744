// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi, type Mock } from "vitest";
import type { Column, Patch, Row, Snapshot } from "../protocol/messages.ts";
import { applyPatch, fromSnapshot, type WindowModel } from "../protocol/model.ts";
import { displayColumns } from "./columns.ts";
import { GridView, type GridActions, type GridLayout } from "./gridView.ts";
import { ROW_HEIGHT_PX } from "./scroll.ts";

const schema: Column[] = [
  { name: "mv_sod", type: "decimal", scale: 2, unit: "money" },
  { name: "holdings", type: "count", scale: 0, unit: "count" },
];
const layout: GridLayout = {
  view: "account_overview",
  columns: displayColumns(schema, undefined, null, {}),
  rowTitle: "Sector",
  grouping: ["sector"],
  rowHeaderWidthPx: undefined,
  sort: [],
  currency: "USD",
  baseCurrencies: new Map(),
  rowHeader: "group",
};
const HEIGHT_PX = 10 * ROW_HEIGHT_PX;

const row = (name: string | null, value: string | null, more: Partial<Row> = {}): Row => ({
  key: [name],
  depth: 1,
  expandable: false,
  values: [value, "1"],
  quality: {},
  ...more,
});
const snapshot = (rows: readonly Row[], from = 0, size = rows.length): WindowModel =>
  fromSnapshot({
    type: "snapshot",
    viewId: "v",
    viewVersion: 1,
    seq: 1,
    asOf: { epoch: 1, time: "" },
    size,
    from,
    rows,
    total: { values: ["10", "2"], quality: {} },
  } satisfies Snapshot);
const patch = (change: Partial<Patch>): Patch => ({
  type: "patch",
  viewId: "v",
  viewVersion: 1,
  seq: 2,
  asOf: { epoch: 2, time: "" },
  size: 2,
  removed: [],
  added: [],
  moved: [],
  cells: [],
  quality: [],
  total: { cells: [], quality: [] },
  ...change,
});

let host: HTMLElement;
let grid: GridView;
let actions: { [Name in keyof GridActions]: Mock<GridActions[Name]> };

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      disconnect() {}
    },
  );
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(HEIGHT_PX);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  host = document.body.appendChild(document.createElement("div"));
  actions = { sort: vi.fn(), resize: vi.fn(), expand: vi.fn(), collapse: vi.fn(), want: vi.fn() };
  grid = new GridView(host, actions, { from: 0, to: 128 });
  grid.setLayout(layout);
});
afterEach(() => {
  grid.destroy();
  host.remove();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const rowOf = (key: string) => host.querySelector<HTMLElement>(`.row[data-key='${key}']:not([hidden])`);
const cellOf = (key: string, column: string) =>
  rowOf(key)?.querySelector<HTMLElement>(`[data-col=${column}]`);
const keys = () =>
  [...host.querySelectorAll<HTMLElement>(".body .row:not([hidden])")]
    .sort((a, b) => Number(a.getAttribute("aria-rowindex")) - Number(b.getAttribute("aria-rowindex")))
    .map((element) => element.dataset["key"]);

function show(model: WindowModel): WindowModel {
  grid.showSnapshot(model);
  return model;
}
function change(model: WindowModel, body: Partial<Patch>): WindowModel {
  const applied = applyPatch(model, patch(body));
  grid.showPatch(applied);
  return applied.model;
}

test("a snapshot shows text, raw value and quality, and flashes nothing", () => {
  show(snapshot([row("Energy", "1234.5"), row(null, null, { quality: { 0: "MISSING" } })]));
  expect(cellOf('["Energy"]', "mv_sod")!.textContent).toBe("1,234.50");
  expect(cellOf('["Energy"]', "mv_sod")!.dataset["raw"]).toBe("1234.5");
  const missing = cellOf("[null]", "mv_sod")!;
  expect([missing.textContent, missing.dataset["raw"], missing.dataset["quality"]]).toEqual([
    "–",
    "",
    "MISSING",
  ]);
  expect(missing.title).toMatch(/^Missing/);
  expect(rowOf("[null]")!.textContent).toContain("(none)");
  expect(cellOf("total", "mv_sod")!.textContent).toBe("10.00");
  expect(host.querySelector(".hl")).toBeNull();
});

test("the first column grows to the names it shows, and not without end", () => {
  const firstWidth = () =>
    parseInt(host.querySelector<HTMLElement>(".scroller")!.style.getPropertyValue("--columns"));
  show(snapshot([row("Energy", "1")]));
  const narrow = firstWidth();
  const long = "Communication Services of Europe";
  show(snapshot([row(long, "1"), row("x".repeat(1_000), "1")], 0, 2));
  expect(firstWidth()).toBeGreaterThan(narrow);
  expect(firstWidth()).toBeLessThan(400);
  grid.preview("mv_sod", 300);
  expect(firstWidth(), "another column's width leaves it").toBeGreaterThan(narrow);
  grid.setLayout({ ...layout, rowHeaderWidthPx: 100 });
  expect(firstWidth(), "a width someone chose stays").toBe(100);
});

describe("patches", () => {
  test("a changed cell is marked with its direction for two seconds", () => {
    const model = show(snapshot([row("A", "1"), row("B", "5")]));
    const text = cellOf('["A"]', "mv_sod")!.firstChild!;
    change(model, {
      cells: [{ column: 0, rows: [0, 1], values: ["2", "4"] }],
      total: { cells: [{ column: 1, value: null }], quality: [] },
    });
    expect(cellOf('["A"]', "mv_sod")!.className).toContain("hl up");
    expect(cellOf('["B"]', "mv_sod")!.className).toContain("hl down");
    expect(cellOf("total", "holdings")!.className).toContain("hl changed");
    expect(cellOf('["A"]', "mv_sod")!.firstChild).toBe(text);
    vi.advanceTimersByTime(1_900);
    expect(host.querySelectorAll(".hl")).toHaveLength(3);
    vi.advanceTimersByTime(400);
    expect(host.querySelectorAll(".hl")).toHaveLength(0);
    expect(cellOf('["A"]', "mv_sod")!.textContent).toBe("2.00");
  });

  test("a quality that comes or goes is no change of value", () => {
    const model = show(snapshot([row("A", "1", { quality: { 0: "STALE" } })]));
    change(model, { size: 1, quality: [{ column: 0, rows: [0], values: [null] }] });
    const cell = cellOf('["A"]', "mv_sod")!;
    expect([cell.dataset["quality"], cell.title, cell.className]).toEqual(["", "", "cell num"]);
  });

  test("rows move with their marks, come and go", () => {
    let model = show(snapshot([row("A", "1"), row("B", "5")]));
    model = change(model, { cells: [{ column: 0, rows: [0], values: ["9"] }] });
    model = change(model, { moved: [{ from: 0, to: 1 }] });
    expect(keys()).toEqual(['["B"]', '["A"]']);
    expect(cellOf('["A"]', "mv_sod")!.className).toContain("hl up");
    model = change(model, { size: 2, removed: [0], added: [{ at: 0, ...row("C", "7") }] });
    expect(keys()).toEqual(['["C"]', '["A"]']);
    expect(cellOf('["C"]', "mv_sod")!.className).not.toContain("hl");
    change(model, { size: 0, removed: [0, 1] });
    expect(keys()).toEqual([]);
  });

  test("a value that returns shows what it showed", () => {
    let model = show(snapshot([row("A", "1.005")]));
    model = change(model, { size: 1, cells: [{ column: 0, rows: [0], values: ["-3"] }] });
    expect(cellOf('["A"]', "mv_sod")!.className).toContain("neg");
    change(model, { size: 1, cells: [{ column: 0, rows: [0], values: ["1.005"] }] });
    vi.advanceTimersByTime(3_000);
    const cell = cellOf('["A"]', "mv_sod")!;
    expect([cell.textContent, cell.dataset["raw"], cell.className]).toEqual(["1.00", "1.005", "cell num"]);
  });
});

describe("tree", () => {
  const tree = [
    row("Energy", "3", { expandable: true }),
    row("Energy", "1", { key: ["Energy", "US"], depth: 2 }),
    row("Utilities", "4", { expandable: true }),
  ];

  test("a row is open if a deeper one follows", () => {
    show(snapshot(tree));
    expect(rowOf('["Energy"]')!.getAttribute("aria-expanded")).toBe("true");
    expect(rowOf('["Energy","US"]')!.hasAttribute("aria-expanded")).toBe(false);
    expect(rowOf('["Energy","US"]')!.getAttribute("aria-level")).toBe("2");
    expect(rowOf('["Utilities"]')!.getAttribute("aria-expanded")).toBe("false");
  });

  test("its twisty closes and opens it", () => {
    show(snapshot(tree));
    rowOf('["Energy"]')!.querySelector<HTMLElement>(".twisty")!.click();
    expect(actions.collapse).toHaveBeenCalledWith(["Energy"]);
    rowOf('["Utilities"]')!.querySelector<HTMLElement>(".twisty")!.click();
    expect(actions.expand).toHaveBeenCalledWith(["Utilities"]);
  });

  test("the keyboard cursor stays on its row when rows come above it", () => {
    const model = show(snapshot(tree));
    const scroller = host.querySelector<HTMLElement>(".scroller")!;
    const press = (key: string) =>
      scroller.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    press("ArrowDown");
    press("ArrowDown");
    const active = () => host.querySelector("#active-cell")!.closest<HTMLElement>(".row")!.dataset["key"];
    expect(active()).toBe('["Utilities"]');
    change(model, { size: 4, added: [{ at: 0, ...row("Aero", "1") }] });
    expect(active()).toBe('["Utilities"]');
    press("Enter");
    expect(actions.expand).toHaveBeenCalledWith(["Utilities"]);
  });
});

test("rows that have not come leave the picture; the snapshot brings them", () => {
  const many = (from: number) => Array.from({ length: 128 }, (_, i) => row(`R${from + i}`, String(i)));
  show(snapshot(many(0), 0, 1_000));
  vi.advanceTimersByTime(50);
  const scroller = host.querySelector<HTMLElement>(".scroller")!;
  scroller.scrollTop = 500 * ROW_HEIGHT_PX;
  scroller.dispatchEvent(new Event("scroll"));
  vi.advanceTimersByTime(50);
  expect(keys()[0]).toBe('["R0"]');
  const wanted = actions.want.mock.lastCall![0];
  expect(wanted.from).toBeLessThanOrEqual(500);
  expect(wanted.to).toBeGreaterThanOrEqual(510);
  show(snapshot(many(wanted.from), wanted.from, 1_000));
  expect(keys()[0]).toBe('["R500"]');
});

test("anything but LIVE is said on the grid", () => {
  grid.setState("LAGGING");
  expect(host.dataset["state"]).toBe("LAGGING");
});

describe("cash", () => {
  const cash: Column[] = [
    { name: "expected", type: "decimal", scale: 6, unit: "local" },
    { name: "expected_base", type: "decimal", scale: 18, unit: "base" },
  ];
  const measures = cash.map(({ name, unit, scale }) => ({
    name,
    title: name,
    unit,
    basis: "EXPECTED",
    scale,
    doc: "",
  }));
  const view = {
    name: "cash_only",
    title: "Cash-Only",
    kind: "grouped",
    groupBy: [],
    defaultGroupBy: [],
    exposures: true,
    portfolios: false,
    measures,
  } as const;
  const line = (key: string[], values: (string | null)[], quality = {}): Row => ({
    ...row(null, null),
    key,
    depth: key.length,
    values,
    quality,
  });
  const flagOf = (key: string, column: string) =>
    cellOf(key, column)!.querySelector<HTMLElement>(".overdrawn")?.getAttribute("aria-label");

  beforeEach(() =>
    grid.setLayout({
      ...layout,
      view: "cash_only",
      columns: displayColumns(cash, view, null, {}),
      grouping: ["account_id", "currency"],
      baseCurrencies: new Map([["A1", "JPY"]]),
    }),
  );

  test("amounts are written in the currency of the row and of its account", () => {
    show(snapshot([line(["A1"], [null, "1500.25"]), line(["A1", "EUR"], ["10.5", "1680.25"])]));
    expect(cellOf('["A1"]', "expected")!.textContent).toBe("–");
    expect(cellOf('["A1"]', "expected")!.title).toMatch(/^Only by currency/);
    expect(cellOf('["A1"]', "expected_base")!.textContent).toBe("1,500");
    expect(cellOf('["A1"]', "expected_base")!.title).toMatch(/^In JPY/);
    expect(cellOf('["A1","EUR"]', "expected")!.textContent).toBe("10.50");
    expect(host.querySelector(".overdrawn")).toBeNull();
  });

  test("expected cash below zero has a sign, until it is not", () => {
    let model = show(
      snapshot([line(["A1"], [null, "-3"], { 1: "PARTIAL:1" }), line(["A1", "EUR"], ["0", "1"])]),
    );
    expect([flagOf('["A1"]', "expected"), flagOf('["A1"]', "expected_base")]).toEqual([
      undefined,
      "Overdrawn",
    ]);
    expect(cellOf('["A1"]', "expected_base")!.title).toMatch(/^Overdrawn.*Partial/);
    expect(cellOf('["A1"]', "expected_base")!.textContent).toBe("-3");
    model = change(model, {
      cells: [
        { column: 0, rows: [1], values: ["-0.01"] },
        { column: 1, rows: [0], values: ["4"] },
      ],
    });
    expect([flagOf('["A1"]', "expected_base"), flagOf('["A1","EUR"]', "expected")]).toEqual([
      undefined,
      "Overdrawn",
    ]);
    expect(cellOf('["A1"]', "expected_base")!.title).toMatch(/^Partial/);
    change(model, { cells: [{ column: 0, rows: [1], values: ["0"] }] });
    expect(flagOf('["A1","EUR"]', "expected")).toBeUndefined();
  });
});
