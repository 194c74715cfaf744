/**
 * One row on screen: its elements, and what was last written to them.
 *
 * Writing compares with what stands there, so a row that is drawn again costs
 * only its differences. Text goes into a text node that lives as long as the
 * cell; no markup is parsed.
 */
import type { Cell, Quality, Unit } from "../protocol/messages.ts";
import type { DisplayColumn } from "./columns.ts";
import { explainAmount, explainQuality, format, NO_VALUE, OVERDRAWN } from "./format.ts";
import type { Direction } from "./highlight.ts";

export interface Currencies {
  readonly reporting: string;
  /** Schema position of the row's own currency, or -1. */
  readonly localColumn: number;
}

export interface RowContent {
  readonly id: string;
  readonly key: string;
  readonly label: string;
  /** What the pointer shows over the label; empty for the label itself. */
  readonly title: string;
  /** A name, the name of nothing, or a mere number. */
  readonly tone: "name" | "nothing" | "ordinal";
  readonly depth: number;
  /** null where the row cannot be opened. */
  readonly expanded: boolean | null;
  readonly rowIndex: number;
  readonly values: readonly Cell[];
  readonly quality: Quality;
  /** The currency of the group, and the base currency of its account, where its key says them. */
  readonly currency: string | null;
  readonly baseCurrency: string | null;
}

const MARKS: Readonly<Record<string, string>> = {
  STALE: "q-stale",
  PARTIAL: "q-partial",
  MISSING: "q-missing",
};

interface CellElement {
  readonly element: HTMLElement;
  readonly text: Text;
  readonly base: string;
  raw: Cell | undefined;
  quality: string;
  direction: Direction | undefined;
  /** The currency of the amount, where it is not the reporting one. */
  own: string | null;
  flag: HTMLElement | null;
}

export class RowElement {
  readonly element: HTMLElement;
  readonly header: HTMLElement;
  readonly #twisty: HTMLElement;
  readonly #label: Text;
  readonly #cells: CellElement[];
  id = "";
  #content: RowContent | null = null;
  #top = NaN;

  constructor(
    private readonly columns: readonly DisplayColumn[],
    private readonly currencies: Currencies,
  ) {
    this.element = div("row", "row");
    this.header = div("cell head-cell", "rowheader");
    this.header.setAttribute("aria-colindex", "1");
    this.#twisty = document.createElement("span");
    this.#twisty.className = "twisty";
    this.#twisty.setAttribute("aria-hidden", "true");
    const label = document.createElement("span");
    label.className = "label";
    this.#label = label.appendChild(document.createTextNode(""));
    this.header.append(this.#twisty, label);
    this.element.append(this.header);
    this.#cells = columns.map(({ column, numeric }, i) => {
      const base = numeric ? "cell num" : "cell txt";
      const element = div(base, "gridcell");
      element.setAttribute("aria-colindex", String(i + 2));
      element.dataset["col"] = column.name;
      const text = element.appendChild(document.createTextNode(""));
      this.element.append(element);
      return { element, text, base, raw: undefined, quality: "", direction: undefined, own: null, flag: null };
    });
  }

  cell(displayIndex: number): HTMLElement | undefined {
    return displayIndex < 0 ? this.header : this.#cells[displayIndex]?.element;
  }

  write(content: RowContent, highlight: (column: number) => Direction | undefined): void {
    this.#writeHeader(content);
    for (let i = 0; i < this.columns.length; i++) {
      const { index } = this.columns[i]!;
      this.writeCell(i, content.values, content.quality, highlight(index));
    }
  }

  writeCell(
    displayIndex: number,
    values: readonly Cell[],
    qualities: Quality,
    direction: Direction | undefined,
  ): void {
    const cell = this.#cells[displayIndex]!;
    const { column, index, overdraws } = this.columns[displayIndex]!;
    const raw = values[index] ?? null;
    const quality = qualities[index] ?? "";
    const own = this.#currencyOf(column.unit, values);
    const overdrawn = overdraws && raw !== null && raw.startsWith("-");
    const { element } = cell;
    let restyle = false;
    if (raw !== cell.raw || own !== cell.own) {
      cell.raw = raw;
      cell.own = own;
      const text = format(raw, column, this.currencies.reporting, own);
      if (cell.text.data !== text) cell.text.data = text;
      element.dataset["raw"] = raw ?? "";
      restyle = true;
    }
    if (restyle || quality !== cell.quality || element.dataset["quality"] === undefined) {
      cell.quality = quality;
      element.dataset["quality"] = quality;
      const title = [
        overdrawn ? OVERDRAWN : "",
        quality === "" ? explainAmount(raw, column.unit, own) : explainQuality(quality, column.unit),
      ];
      const text = title.filter(Boolean).join(". ");
      if (element.title !== text) element.title = text;
      restyle = true;
    }
    if (overdrawn !== (cell.flag !== null)) {
      cell.flag?.remove();
      cell.flag = overdrawn ? overdrawnFlag(element) : null;
    }
    if (direction !== cell.direction) {
      cell.direction = direction;
      restyle = true;
    }
    if (!restyle) return;
    const text = cell.text.data;
    let classes = cell.base;
    if (text === NO_VALUE) classes += " none";
    else if (text.startsWith("-") && cell.base === "cell num") classes += " neg";
    if (quality !== "") classes += ` ${MARKS[quality.split(":")[0]!] ?? "q-stale"}`;
    if (direction !== undefined) classes += ` hl ${direction}`;
    if (element.className !== classes) element.className = classes;
  }

  #currencyOf(unit: Unit, values: readonly Cell[]): string | null {
    if (unit === "base") return this.#content?.baseCurrency ?? null;
    if (unit !== "local") return null;
    return values[this.currencies.localColumn] ?? this.#content?.currency ?? null;
  }

  /** What the first column says, and how far it is indented. */
  get name(): string {
    return this.#label.data;
  }

  get depth(): number {
    return this.#content?.depth ?? 0;
  }

  textOf(displayIndex: number): string {
    return this.#cells[displayIndex]!.text.data;
  }

  /** Takes the highlight off, and nothing else. */
  unmark(displayIndex: number): void {
    const cell = this.#cells[displayIndex]!;
    if (cell.direction === undefined) return;
    cell.element.classList.remove("hl", cell.direction);
    cell.direction = undefined;
  }

  place(topPx: number): void {
    if (topPx === this.#top) return;
    this.#top = topPx;
    this.element.style.transform = `translateY(${topPx}px)`;
  }

  #writeHeader(content: RowContent): void {
    const before = this.#content;
    this.#content = content;
    this.id = content.id;
    if (before?.key !== content.key) this.element.dataset["key"] = content.key;
    if (this.#label.data !== content.label) this.#label.data = content.label;
    const title = content.title || content.label;
    if (this.header.title !== title) this.header.title = title;
    if (before?.tone !== content.tone) this.header.dataset["tone"] = content.tone;
    if (before?.depth !== content.depth) {
      this.element.setAttribute("aria-level", String(Math.max(1, content.depth)));
      this.element.classList.toggle("nested", content.depth > 1);
      this.header.style.setProperty("--depth", String(Math.max(0, content.depth - 1)));
    }
    if (before?.expanded !== content.expanded) {
      if (content.expanded === null) this.element.removeAttribute("aria-expanded");
      else this.element.setAttribute("aria-expanded", String(content.expanded));
      this.#twisty.textContent = content.expanded === null ? "" : content.expanded ? "▾" : "▸";
    }
    if (before?.rowIndex !== content.rowIndex) {
      this.element.setAttribute("aria-rowindex", String(content.rowIndex));
      this.element.classList.toggle("odd", content.rowIndex % 2 === 1);
    }
  }
}

/** Beside the number, in text as well as in colour. */
function overdrawnFlag(cell: HTMLElement): HTMLElement {
  const flag = document.createElement("span");
  flag.className = "overdrawn";
  flag.setAttribute("role", "img");
  flag.setAttribute("aria-label", "Overdrawn");
  cell.prepend(flag);
  return flag;
}

function div(className: string, role: string): HTMLElement {
  const element = document.createElement("div");
  element.className = className;
  element.setAttribute("role", role);
  return element;
}
