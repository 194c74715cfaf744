import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { HighlightWheel } from "./highlight.ts";

let expired: [string, number][];
let wheel: HighlightWheel;

beforeEach(() => {
  vi.useFakeTimers();
  expired = [];
  wheel = new HighlightWheel(
    (row, column) => expired.push([row, column]),
    () => Date.now(),
  );
});
afterEach(() => vi.useRealTimers());

test("a mark stands for two seconds and is gone a tenth later", () => {
  vi.advanceTimersByTime(37);
  wheel.mark("r", 1, "up");
  vi.advanceTimersByTime(1_999);
  expect(wheel.get("r", 1)).toBe("up");
  vi.advanceTimersByTime(101);
  expect(wheel.get("r", 1)).toBeUndefined();
  expect(expired).toEqual([["r", 1]]);
});

test("a cell that changes again starts over, and expires once", () => {
  wheel.mark("r", 1, "up");
  vi.advanceTimersByTime(1_500);
  wheel.mark("r", 1, "down");
  vi.advanceTimersByTime(1_500);
  expect(wheel.get("r", 1)).toBe("down");
  vi.advanceTimersByTime(800);
  expect(expired).toEqual([["r", 1]]);
});

test("one timer for any number of cells, none when nothing is marked", () => {
  for (let column = 0; column < 500; column++) wheel.mark("r", column, "changed");
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(2_300);
  expect(expired).toHaveLength(500);
  expect(vi.getTimerCount()).toBe(0);
});

test("a timer held up for long expires everything that was due", () => {
  wheel.mark("a", 1, "up");
  vi.advanceTimersByTime(900);
  wheel.mark("b", 1, "up");
  vi.setSystemTime(Date.now() + 60_000);
  vi.advanceTimersByTime(100);
  expect(expired).toEqual([
    ["a", 1],
    ["b", 1],
  ]);
});
