import { describe, expect, test } from "vitest";
import type { Column, Unit } from "../protocol/messages.ts";
import { compare, exact, fixed, percent } from "./decimal.ts";
import { explainQuality, format } from "./format.ts";

test.each([
  ["0", 2, "0.00"],
  ["1234567.891", 2, "1,234,567.89"],
  ["-1234.5", 2, "-1,234.50"],
  ["0.005", 2, "0.00"],
  ["0.015", 2, "0.02"],
  ["0.025", 2, "0.02"],
  ["0.0250000000000000001", 2, "0.03"],
  ["-0.004", 2, "0.00"],
  ["-0.006", 2, "-0.01"],
  ["999.995", 2, "1,000.00"],
  ["0.5", 0, "0"],
  ["1.5", 0, "2"],
  ["2.5", 0, "2"],
  ["12345678901234567890.125", 2, "12,345,678,901,234,567,890.12"],
  ["n/a", 2, "n/a"],
])("fixed(%s, %i) = %s", (raw, places, text) => expect(fixed(raw, places)).toBe(text));

test.each([
  ["1000000", "1,000,000"],
  ["-1234.000001", "-1,234.000001"],
  ["12", "12"],
])("exact(%s) = %s", (raw, text) => expect(exact(raw)).toBe(text));

test.each([
  ["1", "100.00%"],
  ["0.123456", "12.35%"],
  ["0.12345", "12.34%"],
  ["-0.00005", "0.00%"],
  ["-0.0001", "-0.01%"],
  ["12.5", "1,250.00%"],
  ["0", "0.00%"],
  ["0.1", "10.00%"],
])("percent(%s) = %s", (raw, text) => expect(percent(raw, 2)).toBe(text));

test.each([
  ["1", "2", 1],
  ["2", "1.9999999999999999999", -1],
  ["-1", "-2", -1],
  ["1.50", "1.5", 0],
  ["0.1", "a", 0],
] as const)("compare(%s, %s) = %i", (before, after, way) => expect(compare(before, after)).toBe(way));

describe("units", () => {
  const column = (unit: Unit): Column => ({
    name: "c",
    unit,
    scale: 0,
    type: unit === "text" || unit === "time" || unit === "count" ? unit : "decimal",
  });
  test.each<[Unit, string | null, string, string | null, string]>([
    ["money", "1234.567", "USD", null, "1,234.57"],
    ["money", "1234.567", "JPY", null, "1,235"],
    ["money", "1234.5678", "KWD", null, "1,234.568"],
    ["local", "1234.5", "USD", "JPY", "1,234"],
    ["local", "1234.5", "JPY", null, "1,234.50"],
    ["base", "1234.5", "USD", "JPY", "1,234"],
    ["quantity", "1000.000001", "USD", null, "1,000.000001"],
    ["price", "1.23456", "USD", null, "1.2346"],
    ["weight", "0.5", "USD", null, "50.00%"],
    ["count", "12000", "USD", null, "12,000"],
    ["time", "2026-03-02T14:30:00.100Z", "USD", null, "03-02 14:30:00"],
    ["text", "1234.5", "USD", null, "1234.5"],
    ["money", null, "USD", null, "–"],
  ])("%s %s in %s/%s is %s", (unit, raw, reporting, local, text) =>
    expect(format(raw, column(unit), reporting, local)).toBe(text),
  );
});

test("quality is explained", () => {
  expect(explainQuality("PARTIAL:1")).toContain("1 position has");
  expect(explainQuality("PARTIAL:3")).toContain("3 positions have");
  expect(explainQuality("STALE")).toMatch(/^Stale/);
  expect(explainQuality("MISSING")).toMatch(/^Missing/);
});
