/**
 * Which rows a scroll position shows, for any number of rows.
 *
 * The virtualiser's items are blocks of 32 rows, not rows: it lays its items
 * out one by one whenever their number changes, which for a million rows costs
 * 17–44 ms a patch and for 31,250 blocks well under one. Blocks are also the
 * grain in which windows are asked for, so a short scroll asks for nothing.
 *
 * A browser element ends at some 17.9 (Firefox) to 33 million pixels. Past
 * 15 million, scroll is scaled: the bar moves in physical pixels, rows in
 * logical ones. The wheel then moves logical pixels directly, or one notch
 * would skip rows.
 */
import { Virtualizer } from "@tanstack/virtual-core";
import type { Window } from "../protocol/messages.ts";

export const ROW_HEIGHT_PX = 22;
export const BLOCK_ROWS = 32;
export const PHYSICAL_MAX_PX = 15_000_000;
const OVERSCAN_BLOCKS = 1;

export class RowScroll {
  #virtualizer: Virtualizer<HTMLElement, HTMLElement>;
  #size = 0;
  #bodyPx = 0;
  /** Logical pixels above the first visible one. */
  #offsetPx = 0;
  #report: ((offset: number, isScrolling: boolean) => void) | null = null;
  #unmount: () => void;

  constructor(
    private readonly element: HTMLElement,
    private readonly spacer: HTMLElement,
    /** Pixels of the scroll area that are not rows: header and total. */
    private readonly fixedPx: () => number,
    private readonly onScroll: () => void,
  ) {
    this.#virtualizer = new Virtualizer<HTMLElement, HTMLElement>(this.#options());
    this.#unmount = this.#virtualizer._didMount();
    this.#virtualizer._willUpdate();
    element.addEventListener("scroll", this.#onNativeScroll, { passive: true });
    element.addEventListener("wheel", this.#onWheel, { passive: false });
  }

  destroy(): void {
    this.#unmount();
    this.element.removeEventListener("scroll", this.#onNativeScroll);
    this.element.removeEventListener("wheel", this.#onWheel);
  }

  get offsetPx(): number {
    return this.#offsetPx;
  }

  /** Positions on screen, the last one perhaps cut off. */
  visible(): Window {
    const from = Math.min(Math.floor(this.#offsetPx / ROW_HEIGHT_PX), Math.max(0, this.#size - 1));
    const to = Math.ceil((this.#offsetPx + this.#bodyPx) / ROW_HEIGHT_PX);
    return { from, to: Math.max(from, Math.min(to, this.#size)) };
  }

  /** Whole blocks around what is visible. May end past the size, for rows yet to come. */
  wanted(): Window {
    const blocks = this.#virtualizer.getVirtualIndexes();
    const first = blocks[0] ?? 0;
    const last = blocks[blocks.length - 1] ?? 0;
    const perScreen = Math.ceil(this.#bodyPx / ROW_HEIGHT_PX / BLOCK_ROWS) + 2 * OVERSCAN_BLOCKS;
    return {
      from: first * BLOCK_ROWS,
      to: Math.max(last + 1, first + perScreen) * BLOCK_ROWS,
    };
  }

  setSize(size: number): void {
    if (size === this.#size) return;
    this.#size = size;
    this.#layout();
  }

  resize(): void {
    this.#bodyPx = Math.max(0, this.element.clientHeight - this.fixedPx());
    this.#layout();
  }

  /** Scrolls as little as it takes to show a position whole. */
  reveal(position: number): void {
    const top = position * ROW_HEIGHT_PX;
    if (top < this.#offsetPx) this.#scrollTo(top);
    else if (top + ROW_HEIGHT_PX > this.#offsetPx + this.#bodyPx)
      this.#scrollTo(top + ROW_HEIGHT_PX - this.#bodyPx);
  }

  toTop(): void {
    this.#scrollTo(0);
  }

  get rowsPerPage(): number {
    return Math.max(1, Math.floor(this.#bodyPx / ROW_HEIGHT_PX) - 1);
  }

  #options() {
    return {
      count: Math.ceil(this.#size / BLOCK_ROWS),
      getScrollElement: () => this.element,
      estimateSize: () => BLOCK_ROWS * ROW_HEIGHT_PX,
      overscan: OVERSCAN_BLOCKS,
      observeElementRect: (_: unknown, report: (rect: { width: number; height: number }) => void) => {
        report({ width: this.element.clientWidth, height: this.#bodyPx });
      },
      observeElementOffset: (_: unknown, report: (offset: number, isScrolling: boolean) => void) => {
        this.#report = report;
        report(this.#offsetPx, false);
      },
      scrollToFn: (offset: number) => this.#scrollTo(offset),
      onChange: () => {},
    };
  }

  get #logicalMaxPx(): number {
    return Math.max(0, this.#size * ROW_HEIGHT_PX - this.#bodyPx);
  }

  get #physicalMaxPx(): number {
    return Math.min(this.#logicalMaxPx, PHYSICAL_MAX_PX);
  }

  /** Logical pixels per physical one. */
  get #scale(): number {
    return this.#physicalMaxPx === 0 ? 1 : this.#logicalMaxPx / this.#physicalMaxPx;
  }

  #layout(): void {
    this.spacer.style.height = `${this.#physicalMaxPx + this.#bodyPx + this.fixedPx()}px`;
    this.#virtualizer.setOptions(this.#options());
    this.#virtualizer.scrollRect = { width: this.element.clientWidth, height: this.#bodyPx };
    if (this.#scale > 1 || this.#offsetPx > this.#logicalMaxPx)
      this.#scrollTo(Math.min(this.#offsetPx, this.#logicalMaxPx));
    else this.#report?.(this.#offsetPx, false);
  }

  #scrollTo(offsetPx: number): void {
    this.#offsetPx = Math.max(0, Math.min(offsetPx, this.#logicalMaxPx));
    this.#report?.(this.#offsetPx, false);
    this.element.scrollTop = this.#offsetPx / this.#scale;
    this.onScroll();
  }

  #onNativeScroll = (): void => {
    const physical = this.element.scrollTop;
    // Our own write comes back as an event, rounded; the logical offset is the finer one.
    if (this.#scale === 1 || Math.abs(physical - this.#offsetPx / this.#scale) > 1)
      this.#offsetPx = Math.min(physical * this.#scale, this.#logicalMaxPx);
    this.#report?.(this.#offsetPx, true);
    this.onScroll();
  };

  #onWheel = (event: WheelEvent): void => {
    if (this.#scale === 1 || event.ctrlKey || event.shiftKey || event.deltaY === 0) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? ROW_HEIGHT_PX : event.deltaMode === 2 ? this.#bodyPx : 1;
    this.#scrollTo(this.#offsetPx + event.deltaY * unit);
    this.element.scrollLeft += event.deltaX;
  };
}
