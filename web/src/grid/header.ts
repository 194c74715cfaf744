/** The row of column headers: titles, sort marks, and edges to drag a width by. */
import type { SortBy } from "../protocol/messages.ts";
import { COLUMN_WIDTH_MIN_PX, ROW_HEADER_WIDTH_PX, type DisplayColumn } from "./columns.ts";

export interface HeaderActions {
  /** By a column; null for the rows' own order. */
  sort(column: string | null): void;
  resize(column: string, widthPx: number, done: boolean): void;
}

/** Name under which the width of the first column is kept. */
export const ROW_HEADER = "$key";

export class HeaderRow {
  readonly element: HTMLElement;
  #cells: HTMLElement[] = [];

  constructor(
    rowTitle: string,
    columns: readonly DisplayColumn[],
    sort: readonly SortBy[],
    private readonly actions: HeaderActions,
  ) {
    this.element = document.createElement("div");
    this.element.className = "row header";
    this.element.setAttribute("role", "row");
    this.element.setAttribute("aria-rowindex", "1");
    const first = this.#cell(1, ROW_HEADER, rowTitle, null, "");
    first.classList.add("head-cell", "txt", "sortable");
    first.addEventListener("click", () => actions.sort(null));
    columns.forEach(({ column, title, basis, doc, numeric }, i) => {
      const cell = this.#cell(i + 2, column.name, title, basis, doc);
      cell.classList.add(numeric ? "num" : "txt", "sortable");
      const by = sort.find((entry) => entry.column === column.name);
      cell.setAttribute("aria-sort", by === undefined ? "none" : by.desc ? "descending" : "ascending");
      cell.addEventListener("click", () => actions.sort(column.name));
    });
  }

  cell(displayIndex: number): HTMLElement | undefined {
    return this.#cells[displayIndex + 1];
  }

  #cell(colIndex: number, name: string, title: string, basis: string | null, doc: string): HTMLElement {
    const cell = document.createElement("div");
    cell.className = "cell";
    cell.setAttribute("role", "columnheader");
    cell.setAttribute("aria-colindex", String(colIndex));
    cell.dataset["column"] = name;
    cell.title = doc === "" ? title : `${title}${basis === null ? "" : ` (${basis})`}\n${doc}`;
    const top = cell.appendChild(document.createElement("span"));
    top.className = "title";
    top.textContent = title;
    if (basis !== null) {
      const tag = cell.appendChild(document.createElement("span"));
      tag.className = "basis";
      tag.textContent = basis;
    }
    const edge = cell.appendChild(document.createElement("span"));
    edge.className = "edge";
    edge.addEventListener("click", (event) => event.stopPropagation());
    edge.addEventListener("pointerdown", (event) => this.#drag(event, cell, edge, name));
    this.element.append(cell);
    this.#cells.push(cell);
    return cell;
  }

  #drag(down: PointerEvent, cell: HTMLElement, edge: HTMLElement, name: string): void {
    down.preventDefault();
    const startPx = cell.getBoundingClientRect().width || ROW_HEADER_WIDTH_PX;
    const widthAt = (event: PointerEvent) =>
      Math.max(COLUMN_WIDTH_MIN_PX, Math.round(startPx + event.clientX - down.clientX));
    const move = (event: PointerEvent) => this.actions.resize(name, widthAt(event), false);
    const up = (event: PointerEvent) => {
      edge.removeEventListener("pointermove", move);
      this.actions.resize(name, widthAt(event), true);
    };
    edge.setPointerCapture(down.pointerId);
    edge.addEventListener("pointermove", move);
    edge.addEventListener("pointerup", up, { once: true });
  }
}
