import { describe, expect, test } from "vitest";
import { advanced, amount, amountsOf, overall, type Load } from "./progress.ts";

const HOLDINGS = "base.sod-holding";
const ORDERS = "base.order-events";

/** The load after `[source, done, total]` at each time in milliseconds. */
const told = (...frames: [string, number, number, number][]): Load =>
  frames.reduce<Load>(
    (load, [source, done, total, atMs]) => advanced(load, { type: "progress", source, done, total }, atMs),
    {},
  );

test("nothing is said before a source has told anything", () => {
  expect(overall({})).toBeNull();
});

test("one telling says how much, and not yet how fast", () => {
  const load = told([HOLDINGS, 250, 1_000, 0]);
  expect(overall(load)).toEqual({
    done: 250,
    total: 1_000,
    unit: "rows",
    share: 0.25,
    perSecond: null,
    leftMs: null,
  });
});

test("the rate is that of the last seconds, and the rest takes as long as it says", () => {
  const load = told(
    [HOLDINGS, 0, 10_000, 0],
    [HOLDINGS, 4_000, 10_000, 4_000],
    // Slower from here on: what is older than the window no longer counts.
    [HOLDINGS, 4_500, 10_000, 9_000],
  );
  const { perSecond, leftMs } = amountsOf(load[HOLDINGS]!);
  expect(perSecond).toBe(100);
  expect(leftMs).toBe(55_000);
});

test("sources add up, each with its own rate", () => {
  const load = told(
    [HOLDINGS, 0, 1_000, 0],
    [ORDERS, 0, 2_000, 0],
    [HOLDINGS, 1_000, 1_000, 1_000],
    [ORDERS, 500, 2_000, 1_000],
  );
  expect(overall(load)).toMatchObject({ done: 1_500, total: 3_000, share: 0.5, perSecond: 1_500, leftMs: 1_000 });
  expect(amountsOf(load[ORDERS]!).perSecond).toBe(500);
});

test("a source that is done has no rate any more", () => {
  const load = told([HOLDINGS, 1_000, 1_000, 0], [HOLDINGS, 1_000, 1_000, 9_000]);
  expect(amountsOf(load[HOLDINGS]!)).toMatchObject({ share: 1, perSecond: null });
});

test("a server that begins anew is not said to go backwards", () => {
  const load = told([HOLDINGS, 900, 1_000, 0], [HOLDINGS, 10, 1_000, 1_000], [HOLDINGS, 20, 1_000, 2_000]);
  expect(amountsOf(load[HOLDINGS]!).perSecond).toBe(10);
});

describe("amounts", () => {
  test.each([
    [1_200_000.4, "rows", "1,200,000"],
    [1_250_000, "bytes", "1.3 MB"],
  ] as const)("%s %s", (value, unit, text) => expect(amount(value, unit)).toBe(text));
});
