/** Two windows of a view to the patch between them, or null where nothing changed. */
import type { Cell, CellRun, Move, Patch, Row, Total } from "../protocol/messages.ts";
import { rowId } from "../protocol/model.ts";

export interface View {
  readonly size: number;
  readonly rows: readonly Row[];
  readonly total: Total;
}

type Body = Pick<Patch, "size" | "removed" | "added" | "moved" | "cells" | "quality" | "total">;

export function diff(before: View, after: View): Body | null {
  const kept = new Set(after.rows.map(({ key }) => rowId(key)));
  const old = new Map(before.rows.map((row) => [rowId(row.key), row]));
  const removed = before.rows.flatMap(({ key }, at) => (kept.has(rowId(key)) ? [] : [at]));
  const added = after.rows.flatMap((row, at) => (old.has(rowId(row.key)) ? [] : [{ at, ...row }]));

  const order = before.rows.map(({ key }) => rowId(key)).filter((id) => kept.has(id));
  const wanted = after.rows.map(({ key }) => rowId(key)).filter((id) => old.has(id));
  const moved: Move[] = [];
  wanted.forEach((id, to) => {
    if (order[to] === id) return;
    const from = order.indexOf(id);
    moved.push({ from, to });
    order.splice(to, 0, ...order.splice(from, 1));
  });

  const cells = new Runs();
  const quality = new Runs();
  after.rows.forEach((row, at) => {
    const was = old.get(rowId(row.key));
    if (was === undefined) return;
    row.values.forEach((value, column) => {
      if (value !== was.values[column]) cells.put(column, at, value);
      const mark = row.quality[column] ?? null;
      if (mark !== (was.quality[column] ?? null)) quality.put(column, at, mark);
    });
  });
  const total = {
    cells: after.total.values.flatMap((value, column) =>
      value === before.total.values[column] ? [] : [{ column, value }],
    ),
    quality: after.total.values.flatMap((_, column) => {
      const value = after.total.quality[column] ?? null;
      return value === (before.total.quality[column] ?? null) ? [] : [{ column, value }];
    }),
  };
  const same =
    before.size === after.size &&
    removed.length + added.length + moved.length + cells.list.length + quality.list.length === 0 &&
    total.cells.length + total.quality.length === 0;
  return same
    ? null
    : { size: after.size, removed, added, moved, cells: cells.list, quality: quality.list, total };
}

class Runs {
  readonly #byColumn = new Map<number, { column: number; rows: number[]; values: Cell[] }>();

  put(column: number, row: number, value: Cell): void {
    let run = this.#byColumn.get(column);
    if (run === undefined) this.#byColumn.set(column, (run = { column, rows: [], values: [] }));
    run.rows.push(row);
    run.values.push(value);
  }

  get list(): CellRun[] {
    return [...this.#byColumn.values()];
  }
}
