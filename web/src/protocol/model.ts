/**
 * The window a client holds, and how a snapshot and a patch change it.
 *
 * Pure: a patch gives a new model and leaves the old one as it was. Rows that
 * a patch does not touch are shared between the two.
 *
 * Cost: one copy of the row list (pointers) and one copy per touched row.
 */
import type { AsOf, Cell, Key, Patch, Quality, Row, Snapshot, Total } from "./messages.ts";

export interface WindowModel {
  readonly viewVersion: number;
  readonly seq: number;
  readonly asOf: AsOf;
  /** Rows of the whole view, of which the window is a part. */
  readonly size: number;
  /** Position of the window's first row in the view. */
  readonly from: number;
  readonly rows: readonly Row[];
  readonly total: Total;
}

/** A cell a patch wrote. `row` is its position in the window, or "total". */
export interface Touched {
  readonly row: number | "total";
  readonly column: number;
  /** The value before, or undefined where only the quality changed. */
  readonly before: Cell | undefined;
}

export interface Applied {
  readonly model: WindowModel;
  readonly touched: readonly Touched[];
  /** Rows came, went or moved: positions on screen have to be worked out anew. */
  readonly reshaped: boolean;
}

/** The patch does not fit the model, so one of the two is not what it seems. */
export class Misfit extends Error {}

const ids = new WeakMap<Key, string>();

/** One string per key. JSON keeps null apart from "null", and a comma from a boundary. */
export function rowId(key: Key): string {
  let id = ids.get(key);
  if (id === undefined) {
    id = JSON.stringify(key);
    ids.set(key, id);
  }
  return id;
}

export function fromSnapshot(snapshot: Snapshot): WindowModel {
  const { viewVersion, seq, asOf, size, from, rows, total } = snapshot;
  return { viewVersion, seq, asOf, size, from, rows, total };
}

export function applyPatch(model: WindowModel, patch: Patch): Applied {
  const rows = model.rows.slice();
  const reshaped = patch.removed.length + patch.moved.length + patch.added.length > 0;

  // Positions are those before the patch, ascending; from the back they stay true.
  for (let i = patch.removed.length - 1; i >= 0; i--) {
    const at = patch.removed[i]!;
    if (at >= rows.length) throw new Misfit(`removed ${at} of ${rows.length}`);
    rows.splice(at, 1);
  }
  for (const { from, to } of patch.moved) {
    if (from >= rows.length || to >= rows.length)
      throw new Misfit(`moved ${from} to ${to} of ${rows.length}`);
    rows.splice(to, 0, ...rows.splice(from, 1));
  }
  for (const { at, ...row } of patch.added) {
    if (at > rows.length) throw new Misfit(`added at ${at} of ${rows.length}`);
    rows.splice(at, 0, row);
  }

  const touched: Touched[] = [];
  const drafts = new Map<number, { values: Cell[]; quality: Record<string, string> }>();
  const draft = (at: number) => {
    let copy = drafts.get(at);
    if (copy === undefined) {
      const row = rows[at];
      if (row === undefined) throw new Misfit(`cell in row ${at} of ${rows.length}`);
      copy = { values: row.values.slice(), quality: { ...row.quality } };
      drafts.set(at, copy);
      rows[at] = { ...row, ...copy };
    }
    return copy;
  };
  for (const { column, rows: positions, values } of patch.cells) {
    positions.forEach((at, i) => {
      const row = draft(at);
      touched.push({ row: at, column, before: row.values[column] ?? null });
      row.values[column] = values[i] ?? null;
    });
  }
  for (const { column, rows: positions, values } of patch.quality) {
    positions.forEach((at, i) => {
      setQuality(draft(at).quality, column, values[i] ?? null);
      touched.push({ row: at, column, before: undefined });
    });
  }

  const total = applyTotal(model.total, patch, touched);
  const { viewVersion, from } = model;
  const { seq, asOf, size } = patch;
  return { model: { viewVersion, seq, asOf, size, from, rows, total }, touched, reshaped };
}

function applyTotal(total: Total, patch: Patch, touched: Touched[]): Total {
  if (patch.total.cells.length + patch.total.quality.length === 0) return total;
  const values = total.values.slice();
  const quality: Record<string, string> = { ...(total.quality as Quality) };
  for (const { column, value } of patch.total.cells) {
    touched.push({ row: "total", column, before: values[column] ?? null });
    values[column] = value;
  }
  for (const { column, value } of patch.total.quality) {
    setQuality(quality, column, value);
    touched.push({ row: "total", column, before: undefined });
  }
  return { values, quality };
}

function setQuality(quality: Record<string, string>, column: number, value: Cell): void {
  if (value === null) delete quality[column];
  else quality[column] = value;
}
