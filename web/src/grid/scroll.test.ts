// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BLOCK_ROWS, PHYSICAL_MAX_PX, ROW_HEIGHT_PX, RowScroll } from "./scroll.ts";

const BODY_ROWS = 30;
const FIXED_PX = 56;

let element: HTMLElement;
let spacer: HTMLElement;
let scroll: RowScroll;

beforeEach(() => {
  element = document.createElement("div");
  spacer = element.appendChild(document.createElement("div"));
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(
    BODY_ROWS * ROW_HEIGHT_PX + FIXED_PX,
  );
  scroll = new RowScroll(
    element,
    spacer,
    () => FIXED_PX,
    () => {},
  );
  scroll.resize();
});
afterEach(() => {
  scroll.destroy();
  vi.restoreAllMocks();
});

function dragTo(px: number): void {
  element.scrollTop = px;
  element.dispatchEvent(new Event("scroll"));
}

describe("few rows: a pixel is a pixel", () => {
  test("what is visible, and whole blocks around it", () => {
    scroll.setSize(1_000);
    dragTo(500 * ROW_HEIGHT_PX + 5);
    expect(scroll.visible()).toEqual({ from: 500, to: 531 });
    const { from, to } = scroll.wanted();
    expect([from % BLOCK_ROWS, to % BLOCK_ROWS]).toEqual([0, 0]);
    expect(from).toBeLessThanOrEqual(500 - BLOCK_ROWS / 2);
    expect(to).toBeGreaterThanOrEqual(531 + BLOCK_ROWS / 2);
  });

  test("a view that shrinks under the reader shows its end", () => {
    scroll.setSize(1_000);
    dragTo(900 * ROW_HEIGHT_PX);
    scroll.setSize(100);
    expect(scroll.visible()).toEqual({ from: 70, to: 100 });
    scroll.setSize(0);
    expect(scroll.visible()).toEqual({ from: 0, to: 0 });
  });

  test("reveal scrolls no further than it must", () => {
    scroll.setSize(1_000);
    scroll.reveal(10);
    expect(scroll.visible().from).toBe(0);
    scroll.reveal(40);
    expect(scroll.visible()).toEqual({ from: 11, to: 41 });
    scroll.reveal(5);
    expect(scroll.visible().from).toBe(5);
  });
});

describe("millions of rows: the bar is scaled", () => {
  const SIZE = 5_000_000;
  beforeEach(() => scroll.setSize(SIZE));

  test("the element stays within what browsers can lay out", () => {
    const height = Number.parseInt(spacer.style.height, 10);
    expect(height).toBeLessThanOrEqual(PHYSICAL_MAX_PX + BODY_ROWS * ROW_HEIGHT_PX + FIXED_PX);
  });

  test("both ends and the middle can be reached by the bar", () => {
    dragTo(PHYSICAL_MAX_PX);
    expect(scroll.visible()).toEqual({ from: SIZE - BODY_ROWS, to: SIZE });
    dragTo(PHYSICAL_MAX_PX / 2);
    expect(Math.abs(scroll.visible().from - SIZE / 2)).toBeLessThan(BODY_ROWS);
    dragTo(0);
    expect(scroll.visible().from).toBe(0);
  });

  test("the wheel moves by rows, not by what the bar's pixel is worth", () => {
    dragTo(PHYSICAL_MAX_PX / 2);
    const { from } = scroll.visible();
    for (let notch = 0; notch < 10; notch++) {
      element.dispatchEvent(new WheelEvent("wheel", { deltaY: 5 * ROW_HEIGHT_PX, cancelable: true }));
      // The browser reports our own write back, rounded to its pixels.
      element.scrollTop = Math.round(element.scrollTop);
      element.dispatchEvent(new Event("scroll"));
    }
    expect(scroll.visible().from).toBe(from + 50);
  });
});
