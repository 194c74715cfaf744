/**
 * Which cells changed in the last two seconds.
 *
 * One timer turns a wheel of tenths of a second; a cell that changes again
 * starts over. Cells are named by row id and column number, so a mark follows
 * its row when rows move and survives while it is scrolled out of sight.
 */

export type Direction = "up" | "down" | "changed";

export const HIGHLIGHT_MS = 2_000;
const SLOT_MS = 100;

interface Mark {
  readonly direction: Direction;
  readonly slot: number;
}

export class HighlightWheel {
  #marks = new Map<string, Map<number, Mark>>();
  #slots = new Map<number, [row: string, column: number][]>();
  #turned = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly onExpire: (row: string, column: number) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  mark(row: string, column: number, direction: Direction): void {
    if (this.#slots.size === 0) this.#turned = Math.floor(this.now() / SLOT_MS);
    // Rounded up: a mark stays for two seconds at least.
    const slot = Math.ceil((this.now() + HIGHLIGHT_MS) / SLOT_MS);
    let columns = this.#marks.get(row);
    if (columns === undefined) this.#marks.set(row, (columns = new Map()));
    columns.set(column, { direction, slot });
    let due = this.#slots.get(slot);
    if (due === undefined) this.#slots.set(slot, (due = []));
    due.push([row, column]);
    this.#timer ??= this.#next();
  }

  get(row: string, column: number): Direction | undefined {
    return this.#marks.get(row)?.get(column)?.direction;
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#marks.clear();
    this.#slots.clear();
  }

  #turn = (): void => {
    const reached = Math.floor(this.now() / SLOT_MS);
    for (let slot = this.#turned + 1; slot <= reached; slot++) {
      for (const [row, column] of this.#slots.get(slot) ?? []) {
        const columns = this.#marks.get(row);
        // A later change of the same cell has moved it to a later slot.
        if (columns?.get(column)?.slot !== slot) continue;
        columns.delete(column);
        if (columns.size === 0) this.#marks.delete(row);
        this.onExpire(row, column);
      }
      this.#slots.delete(slot);
    }
    this.#turned = Math.max(this.#turned, reached);
    this.#timer = this.#slots.size === 0 ? undefined : this.#next();
  };

  /** Turns at the edge of a slot, so that a mark stays a tenth longer at most. */
  #next(): ReturnType<typeof setTimeout> {
    return setTimeout(this.#turn, Math.ceil(SLOT_MS - (this.now() % SLOT_MS)));
  }
}
