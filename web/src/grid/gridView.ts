/**
 * The grid on screen. Takes snapshots and patches from the session and writes
 * them to the DOM itself; React only gives it an element to live in.
 *
 * Rows are addressed by position in the view. A pane as high as the screen
 * sticks to the top of the scroll area and holds the visible rows, so a fast
 * scroll shows the rows before it until the new ones have come, never a blank.
 *
 * Cost: a patch costs its changed cells on screen; a scroll or a reshaping
 * patch costs the rows on screen.
 */
import type { Cell, Key, Row, SortBy, Window } from "../protocol/messages.ts";
import { rowId, type Applied, type Touched, type WindowModel } from "../protocol/model.ts";
import type { ConnectionState } from "../sync/liveness.ts";
import {
  ROW_HEADER_WIDTH_PX,
  ROW_NUMBER_WIDTH_PX,
  rowHeaderWidthFor,
  widthFor,
  widthInDigits,
  type DisplayColumn,
} from "./columns.ts";
import { HEADER, moveBy, TOTAL, type Cursor } from "./cursor.ts";
import { compare } from "./decimal.ts";
import { HeaderRow, ROW_HEADER, type HeaderActions } from "./header.ts";
import { HighlightWheel } from "./highlight.ts";
import { RowElement, type RowContent } from "./rowElement.ts";
import { ROW_HEIGHT_PX, RowScroll } from "./scroll.ts";

export interface GridActions extends HeaderActions {
  expand(key: Key): void;
  collapse(key: Key): void;
  /** Rows around the screen, whenever they are others than before. */
  want(window: Window): void;
}

export interface GridLayout {
  /** Another view begins at its top; another layout of the same view stays where it was. */
  readonly view: string;
  readonly columns: readonly DisplayColumn[];
  readonly rowTitle: string;
  /** The fields the rows are grouped by, outermost first. */
  readonly grouping: readonly string[];
  readonly rowHeaderWidthPx: number | undefined;
  readonly sort: readonly SortBy[];
  readonly currency: string;
  /** The base currencies of accounts by id, as far as they are declared. */
  readonly baseCurrencies: ReadonlyMap<string, string>;
  /**
   * What the first column says of a row: the group's name, the parts of its
   * key, or its number where the columns beside it hold the key already.
   */
  readonly rowHeader: "group" | "key" | "number";
}

/** Cannot be a row's id, which is a JSON list. */
const TOTAL_ID = "total";
/** Header and total are counted before the first row; ARIA counts from one. */
const ROWS_BEFORE = 2;
const CURSOR_FIRST: Cursor = { position: 0, column: -1 };
const FIT_EVERY_MS = 1_000;
const NAMES_MEASURED_MAX = 5_000;
/** A title's letter is about this much of a digit wide. */
const TITLE_DIGITS = 0.9;
/** The arrow after the title of a sorted column, in letters. */
const SORT_ARROW_LETTERS = 2;

export class GridView {
  readonly #scroller = element("scroller", "treegrid");
  readonly #space = element("space", "presentation");
  readonly #pane = element("pane", "presentation");
  readonly #top = element("top", "rowgroup");
  readonly #body = element("body", "rowgroup");
  readonly #scroll: RowScroll;
  readonly #wheel = new HighlightWheel((row, column) => this.#unmark(row, column));
  readonly #resizes = new ResizeObserver(() => this.#resize());

  #layout: GridLayout | null = null;
  #header: HeaderRow | null = null;
  #total: RowElement | null = null;
  #displayOf = new Map<number, number>();
  #shown = new Map<string, RowElement>();
  #spare: RowElement[] = [];
  #model: WindowModel | null = null;
  #drawn: Window = { from: 0, to: 0 };
  #cursor = CURSOR_FIRST;
  #cursorId: string | null = null;
  #active: HTMLElement | null = null;
  #frame = 0;
  #asked: Window;
  #rowCount = 0;
  #widths = new Map<string, number>();
  #namePx = new Map<string, number>();
  #digitPx = 7;
  #fitTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly host: HTMLElement,
    private readonly actions: GridActions,
    /** What the session asked for before there was a grid. */
    window: Window,
  ) {
    this.#asked = window;
    this.#scroller.tabIndex = 0;
    this.#scroller.setAttribute("aria-label", "Positions");
    this.#scroller.setAttribute("aria-multiselectable", "false");
    this.#pane.append(this.#top, this.#body);
    this.#space.append(this.#pane);
    this.#scroller.append(this.#space);
    host.append(this.#scroller);
    this.#scroll = new RowScroll(
      this.#scroller,
      this.#space,
      () => this.#top.offsetHeight,
      () => this.#schedule(),
    );
    this.#resizes.observe(this.#scroller);
    this.#scroller.addEventListener("keydown", this.#onKey);
    this.#scroller.addEventListener("click", this.#onClick);
    this.#scroller.addEventListener("dblclick", this.#onDoubleClick);
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#fitTimer);
    this.#wheel.clear();
    this.#resizes.disconnect();
    this.#scroll.destroy();
    this.host.replaceChildren();
  }

  /** Lays the columns out anew; the rows on screen are rebuilt. */
  setLayout(layout: GridLayout): void {
    if (this.#layout !== null && this.#layout.view !== layout.view) {
      this.#model = null;
      this.#cursor = CURSOR_FIRST;
      this.#cursorId = null;
      this.#scroll.toTop();
      this.#scroller.scrollLeft = 0;
    }
    this.#layout = layout;
    // Bold, the widest that columns have to hold.
    this.#digitPx = textPx(this.host, "600", "0");
    this.#displayOf = new Map(layout.columns.map(({ index }, display) => [index, display]));
    this.#header = new HeaderRow(layout.rowTitle, layout.columns, layout.sort, this.actions);
    this.#total = this.#newRow();
    this.#total.element.classList.add("total");
    this.#top.replaceChildren(this.#header.element, this.#total.element);
    this.#body.replaceChildren();
    this.#shown.clear();
    this.#spare = [];
    this.#active = null;
    this.#scroller.setAttribute("aria-colcount", String(layout.columns.length + 1));
    this.#setWidths({
      [ROW_HEADER]:
        layout.rowHeaderWidthPx ??
        (layout.rowHeader === "number" ? ROW_NUMBER_WIDTH_PX : ROW_HEADER_WIDTH_PX),
      ...Object.fromEntries(layout.columns.map((c) => [c.column.name, c.widthPx])),
    });
    this.#resize();
    if (this.#model !== null) this.#drawAll();
  }

  /** Shows a column at another width while its edge is dragged. */
  preview(name: string, widthPx: number): void {
    this.#setWidths({ [name]: widthPx });
  }

  /** A snapshot flashes nothing: what it shows is not a change but a beginning. */
  showSnapshot(model: WindowModel): void {
    this.#model = model;
    this.#scroll.setSize(model.size);
    this.#followCursor();
    this.#drawAll();
    this.#schedule();
  }

  showPatch({ model, touched, reshaped }: Applied): void {
    this.#model = model;
    this.#mark(touched);
    if (reshaped) {
      this.#scroll.setSize(model.size);
      this.#followCursor();
      this.#draw();
      this.#schedule();
    } else if (model.size + ROWS_BEFORE !== this.#rowCount) {
      this.#scroll.setSize(model.size);
      this.#schedule();
    }
    this.#writeTouched(touched);
    this.#fitSoon();
  }

  /** Anything but LIVE is greyed: dead data never looks live. */
  setState(state: ConnectionState): void {
    this.host.dataset["state"] = state;
    this.#scroller.setAttribute("aria-busy", String(state !== "LIVE"));
  }

  clearHighlights(): void {
    this.#wheel.clear();
  }

  #newRow(): RowElement {
    const { columns, currency } = this.#layout!;
    const local = columns.find(({ column }) => column.name === "currency")?.index ?? -1;
    return new RowElement(columns, { reporting: currency, localColumn: local });
  }

  #setWidths(changed: Readonly<Record<string, number>>): void {
    for (const name in changed) this.#widths.set(name, changed[name]!);
    const names = [ROW_HEADER, ...this.#layout!.columns.map(({ column }) => column.name)];
    const widths = names.map((name) => this.#widths.get(name)!);
    this.#scroller.style.setProperty("--columns", widths.map((w) => `${w}px`).join(" "));
    this.#space.style.width = `${widths.reduce((sum, width) => sum + width, 0)}px`;
  }

  /** Widens columns to what is on screen. They never shrink under the reader's eyes. */
  #fit(): void {
    const wider: Record<string, number> = {};
    const rows = [this.#total!, ...this.#shown.values()];
    const { rowHeader, rowHeaderWidthPx, rowTitle } = this.#layout!;
    if (rowHeader !== "number" && rowHeaderWidthPx === undefined) {
      let widthPx = rowHeaderWidthFor(this.#widthOfName(rowTitle), 1);
      for (const { name, depth } of rows)
        widthPx = Math.max(widthPx, rowHeaderWidthFor(this.#widthOfName(name), depth));
      if (widthPx > this.#widths.get(ROW_HEADER)!) wider[ROW_HEADER] = widthPx;
    }
    this.#layout!.columns.forEach((column, display) => {
      if (column.fixedWidth) return;
      const measure = column.numeric ? widthInDigits : (text: string) => text.length;
      const isSorted = this.#layout!.sort.some(({ column: name }) => name === column.column.name);
      let digits = (column.title.length + (isSorted ? SORT_ARROW_LETTERS : 0)) * TITLE_DIGITS;
      for (const row of rows) digits = Math.max(digits, measure(row.textOf(display)));
      const widthPx = widthFor(column, digits, this.#digitPx);
      if (widthPx > this.#widths.get(column.column.name)!) wider[column.column.name] = widthPx;
    });
    if (Object.keys(wider).length > 0) this.#setWidths(wider);
  }

  /** Measured once a name: the same rows are fitted again and again. */
  #widthOfName(name: string): number {
    let px = this.#namePx.get(name);
    if (px === undefined) {
      if (this.#namePx.size >= NAMES_MEASURED_MAX) this.#namePx.clear();
      this.#namePx.set(name, (px = textPx(this.host, "", name)));
    }
    return px;
  }

  /** Values grow digit by digit; once a second is soon enough to see to it. */
  #fitSoon(): void {
    this.#fitTimer ??= setTimeout(() => {
      this.#fitTimer = undefined;
      if (this.#layout !== null) this.#fit();
    }, FIT_EVERY_MS);
  }

  #resize(): void {
    this.#pane.style.height = `${this.#scroller.clientHeight}px`;
    this.#scroll.resize();
    this.#schedule();
  }

  /** One drawing a frame, however many scroll events. */
  #schedule(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#ask();
      this.#draw();
    });
  }

  /** Asks for other rows once those on screen come near the edge of what was asked. */
  #ask(): void {
    if (this.#model === null) return;
    const visible = this.#scroll.visible();
    const { from, to } = this.#asked;
    const near = (edge: number) => Math.max(0, edge);
    if (visible.from >= near(from === 0 ? 0 : from + 4) && visible.to + 4 <= to) return;
    this.#asked = this.#scroll.wanted();
    this.actions.want(this.#asked);
  }

  #rowAt(position: number): Row | undefined {
    return this.#model?.rows[position - this.#model.from];
  }

  #drawAll(): void {
    this.#drawTotal();
    this.#draw();
  }

  #drawTotal(): void {
    const model = this.#model!;
    if (this.#total === null) return;
    this.#total.write(
      {
        id: TOTAL_ID,
        key: "total",
        label: "Total",
        title: "",
        tone: "name",
        depth: 0,
        expanded: null,
        rowIndex: ROWS_BEFORE,
        values: model.total.values,
        quality: model.total.quality,
        currency: null,
        baseCurrency: null,
      },
      (column) => this.#wheel.get(TOTAL_ID, column),
    );
  }

  #draw(): void {
    const model = this.#model;
    if (model === null || this.#layout === null) return;
    if (this.#rowCount !== model.size + ROWS_BEFORE) {
      this.#rowCount = model.size + ROWS_BEFORE;
      this.#scroller.setAttribute("aria-rowcount", String(this.#rowCount));
    }
    const visible = this.#scroll.visible();
    const end = model.from + model.rows.length;
    const covered = visible.from >= model.from && Math.min(visible.to, model.size) <= end;
    // Rows that have not come yet leave the picture as it was; the snapshot is on its way.
    if (!covered && this.#shown.size > 0 && this.#drawnStill(model)) return;
    this.#drawn = visible;
    const offset = this.#scroll.offsetPx;

    const before = this.#shown;
    const shown = new Map<string, RowElement>();
    const fresh: [position: number, row: Row, id: string][] = [];
    for (let position = visible.from; position < visible.to; position++) {
      const row = this.#rowAt(position);
      if (row === undefined) continue;
      const id = rowId(row.key);
      const kept = before.get(id);
      if (kept === undefined) {
        fresh.push([position, row, id]);
      } else {
        before.delete(id);
        shown.set(id, kept);
        this.#writeRow(kept, position, row, offset);
      }
    }
    this.#spare.push(...before.values());
    for (const [position, row, id] of fresh) {
      let element = this.#spare.pop();
      if (element === undefined) {
        element = this.#newRow();
        this.#body.append(element.element);
      }
      element.element.hidden = false;
      shown.set(id, element);
      this.#writeRow(element, position, row, offset);
    }
    for (const { element } of this.#spare) element.hidden = true;
    this.#shown = shown;
    this.#fit();
    this.#drawCursor();
  }

  /** The rows drawn last are still those the model has. */
  #drawnStill(model: WindowModel): boolean {
    for (let position = this.#drawn.from; position < this.#drawn.to; position++) {
      const row = model.rows[position - model.from];
      if (row !== undefined && !this.#shown.has(rowId(row.key))) return false;
    }
    return true;
  }

  #writeRow(element: RowElement, position: number, row: Row, offsetPx: number): void {
    const id = rowId(row.key);
    element.place(Math.round(position * ROW_HEIGHT_PX - offsetPx));
    element.write(this.#contentOf(position, row, id), (column) => this.#wheel.get(id, column));
  }

  #contentOf(position: number, row: Row, id: string): RowContent {
    const name = this.#nameOf(position, row) || null;
    const last = row.key.at(-1);
    return {
      id,
      key: id,
      label: name ?? (last === "" ? emptyName(this.#layout!.grouping[row.key.length - 1]) : NULL_NAME),
      // A row that goes by a name is known by its id too.
      title: row.label && last ? `${row.label} · ${last}` : "",
      tone: name === null ? "nothing" : this.#layout!.rowHeader === "number" ? "ordinal" : "name",
      depth: row.depth,
      expanded: row.expandable ? this.#isExpanded(position, row) : null,
      rowIndex: position + 1 + ROWS_BEFORE,
      values: row.values,
      quality: row.quality,
      currency: this.#partOf(row, "currency"),
      baseCurrency: this.#layout!.baseCurrencies.get(this.#partOf(row, "account_id") ?? "") ?? null,
    };
  }

  /** What a group's key says of a field. */
  #partOf({ key }: Row, field: string): string | null {
    const { rowHeader, grouping } = this.#layout!;
    return rowHeader === "group" ? (key[grouping.indexOf(field)] ?? null) : null;
  }

  #nameOf(position: number, { label, key }: Row): string | null {
    switch (this.#layout!.rowHeader) {
      case "number":
        return (position + 1).toLocaleString("en");
      case "key":
        return label ?? key.map((part) => part ?? NULL_NAME).join(" · ");
      case "group":
        return label ?? key[key.length - 1] ?? null;
    }
  }

  /** Depth first: a row is open if a deeper one follows it. */
  #isExpanded(position: number, row: Row): boolean {
    const next = this.#rowAt(position + 1);
    return next !== undefined && next.depth > row.depth;
  }

  #mark(touched: readonly Touched[]): void {
    const model = this.#model!;
    for (const { row, column, before } of touched) {
      if (before === undefined) continue;
      const target = row === "total" ? model.total : model.rows[row]!;
      const id = row === "total" ? TOTAL_ID : rowId(model.rows[row]!.key);
      this.#wheel.mark(id, column, directionOf(before, target.values[column] ?? null));
    }
  }

  #writeTouched(touched: readonly Touched[]): void {
    const model = this.#model!;
    for (const { row, column } of touched) {
      const target = row === "total" ? model.total : model.rows[row]!;
      const id = row === "total" ? TOTAL_ID : rowId(model.rows[row]!.key);
      this.#writeCell(id, column, target.values, target.quality);
    }
  }

  #writeCell(id: string, column: number, values: readonly Cell[], quality: Row["quality"]): void {
    const display = this.#displayOf.get(column);
    if (display === undefined) return;
    const element = id === TOTAL_ID ? this.#total : this.#shown.get(id);
    element?.writeCell(display, values, quality, this.#wheel.get(id, column));
  }

  #unmark(id: string, column: number): void {
    const display = this.#displayOf.get(column);
    if (display === undefined) return;
    const element = id === TOTAL_ID ? this.#total : this.#shown.get(id);
    element?.unmark(display);
  }

  /** The cursor stays on its row when rows around it come, go or move. */
  #followCursor(): void {
    if (this.#cursorId === null) return;
    const { rows, from, size } = this.#model!;
    const at = rows.findIndex((row) => rowId(row.key) === this.#cursorId);
    const position = at >= 0 ? from + at : Math.min(this.#cursor.position, size - 1);
    this.#cursor = { ...this.#cursor, position };
  }

  #drawCursor(): void {
    const { position, column } = this.#cursor;
    const row = this.#rowAt(position);
    const cell =
      position === HEADER
        ? this.#header?.cell(column)
        : position === TOTAL
          ? this.#total?.cell(column)
          : row && this.#shown.get(rowId(row.key))?.cell(column);
    if (cell === this.#active) return;
    if (this.#active !== null) {
      this.#active.removeAttribute("id");
      delete this.#active.dataset["active"];
    }
    this.#active = cell ?? null;
    if (cell) {
      cell.id = "active-cell";
      cell.dataset["active"] = "";
      this.#scroller.setAttribute("aria-activedescendant", cell.id);
    } else {
      this.#scroller.removeAttribute("aria-activedescendant");
    }
  }

  #moveCursor(cursor: Cursor): void {
    this.#cursor = cursor;
    const row = this.#rowAt(cursor.position);
    this.#cursorId = row === undefined ? null : rowId(row.key);
    if (cursor.position >= 0) this.#scroll.reveal(cursor.position);
    this.#revealColumn(cursor.column);
    this.#drawCursor();
  }

  /** Cells under the pinned row header are not in sight. */
  #revealColumn(column: number): void {
    const cell = column < 0 ? undefined : this.#header?.cell(column);
    if (cell === undefined) return;
    const pinned = this.#header!.cell(-1)!.offsetWidth;
    const { scrollLeft, clientWidth } = this.#scroller;
    if (cell.offsetLeft < scrollLeft + pinned) this.#scroller.scrollLeft = cell.offsetLeft - pinned;
    else if (cell.offsetLeft + cell.offsetWidth > scrollLeft + clientWidth)
      this.#scroller.scrollLeft = cell.offsetLeft + cell.offsetWidth - clientWidth;
  }

  #onKey = (event: KeyboardEvent): void => {
    if (this.#model === null || this.#layout === null || event.altKey) return;
    const row = this.#rowAt(this.#cursor.position);
    const move = moveBy(event.key, event.ctrlKey || event.metaKey, this.#cursor, {
      size: this.#model.size,
      columns: this.#layout.columns.length,
      rowsPerPage: this.#scroll.rowsPerPage,
      expanded: row?.expandable ? this.#isExpanded(this.#cursor.position, row) : null,
      parent: row === undefined ? null : this.#parentOf(this.#cursor.position, row),
    });
    if (move === null) return;
    event.preventDefault();
    if ("to" in move) return this.#moveCursor(move.to);
    if (move.act === "activate") {
      this.actions.sort(this.#layout.columns[this.#cursor.column]?.column.name ?? null);
    } else {
      this.#cursorId = rowId(row!.key);
      this.actions[move.act](row!.key);
    }
  };

  #parentOf(position: number, row: Row): number | null {
    for (let above = position - 1; above >= this.#model!.from; above--)
      if (this.#rowAt(above)!.depth < row.depth) return above;
    return null;
  }

  #onClick = (event: MouseEvent): void => {
    const at = this.#hit(event);
    if (at === null) return;
    this.#moveCursor(at.cursor);
    if ((event.target as HTMLElement).classList.contains("twisty")) this.#toggle(at.cursor.position);
  };

  #onDoubleClick = (event: MouseEvent): void => {
    const at = this.#hit(event);
    const onTwisty = (event.target as HTMLElement).classList.contains("twisty");
    if (at?.cursor.column === -1 && !onTwisty) this.#toggle(at.cursor.position);
  };

  #toggle(position: number): void {
    const row = this.#rowAt(position);
    if (row?.expandable) this.actions[this.#isExpanded(position, row) ? "collapse" : "expand"](row.key);
  }

  #hit(event: MouseEvent): { cursor: Cursor } | null {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[aria-colindex]");
    const row = cell?.closest<HTMLElement>("[aria-rowindex]");
    if (!cell || !row) return null;
    const position = Number(row.getAttribute("aria-rowindex")) - 1 - ROWS_BEFORE;
    return { cursor: { position, column: Number(cell.getAttribute("aria-colindex")) - 2 } };
  }
}

const NULL_NAME = "(none)";
/** What has no portfolio is in the unsleeved one, whose id is empty. */
const emptyName = (field: string | undefined): string =>
  field === "portfolio_id" ? "(unsleeved)" : "(empty)";

function directionOf(before: Cell, after: Cell): "up" | "down" | "changed" {
  if (before === null || after === null) return "changed";
  const way = compare(before, after);
  return way > 0 ? "up" : way < 0 ? "down" : "changed";
}

const measuring = document.createElement("canvas");

/** How wide a text is in the grid's font. */
function textPx(host: HTMLElement, weight: string, text: string): number {
  const context = measuring.getContext("2d");
  if (context === null) return 7 * text.length;
  const { fontFamily, fontSize } = getComputedStyle(host);
  context.font = `${weight} ${fontSize} ${fontFamily}`;
  return context.measureText(text).width;
}

function element(className: string, role: string): HTMLElement {
  const made = document.createElement("div");
  made.className = className;
  made.setAttribute("role", role);
  return made;
}
