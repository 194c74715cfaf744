// @vitest-environment jsdom
/** What the page says instead of a grid, and above it. */
import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Beat } from "../sync/session.ts";
import { Halt } from "./Halt.tsx";
import { Loading } from "./Loading.tsx";
import { advanced, type Load } from "./progress.ts";
import { usePage } from "./store.ts";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

const beat: Beat = {
  state: "LIVE",
  asOf: null,
  ageMs: null,
  rttMs: null,
  lagMs: 0,
  awaiting: true,
  halted: null,
};

let root: Root;
let page: HTMLElement;

beforeEach(() => {
  page = document.createElement("div");
  root = createRoot(page);
  act(() => usePage.setState({ beat, progress: {} }));
});
afterEach(() => act(() => root.unmount()));

const lines = () =>
  [...page.querySelectorAll("label")].map((label) => ({
    name: label.querySelector("span")!.textContent,
    value: label.querySelector("progress")!.value,
    max: label.querySelector("progress")!.max,
    text: label.querySelector(".muted")!.textContent,
  }));

test("a load shows a bar for all and for each source, with rows, rate and time left", () => {
  act(() => root.render(<Loading />));
  expect(page.textContent).toBe("Waiting for the result…");
  let load: Load = {};
  for (const [atMs, holdings, orders] of [
    [0, 0, 0],
    [2_000, 400_000, 0],
  ] as const) {
    load = advanced(load, { type: "progress", source: "base.sod-holding", done: holdings, total: 400_000 }, atMs);
    load = advanced(load, { type: "progress", source: "base.order-events", done: orders, total: 600_000 }, atMs);
  }
  act(() => usePage.setState({ progress: load }));
  expect(lines()).toEqual([
    { name: "All", value: 400_000, max: 1_000_000, text: "400,000 of 1,000,000 rows · 200,000/s · 3.0 s left" },
    { name: "base.sod-holding", value: 400_000, max: 400_000, text: "400,000 of 400,000 rows" },
    { name: "base.order-events", value: 0, max: 600_000, text: "0 of 600,000 rows" },
  ]);
});

test("files are counted in bytes", () => {
  const told = { type: "progress", source: "base.price", done: 1_500_000, total: 6_000_000, unit: "bytes" } as const;
  act(() => usePage.setState({ progress: advanced({}, told, 0) }));
  act(() => root.render(<Loading />));
  expect(lines()[1]!.text).toBe("1.5 MB of 6.0 MB");
});

test("data that stands still is said above the grid, with its time, for as long as it does", () => {
  act(() => root.render(<Halt />));
  expect(page.textContent).toBe("");
  const halted = { reason: "memory limit reached", since: "2026-03-02T14:29:51.250Z" };
  act(() => usePage.setState({ beat: { ...beat, halted } }));
  expect(page.textContent).toBe("memory limit reached: data stands still since 14:29:51 UTC");
  expect(page.querySelector("[role=alert]")).not.toBeNull();
  act(() => usePage.setState({ beat }));
  expect(page.textContent).toBe("");
});
