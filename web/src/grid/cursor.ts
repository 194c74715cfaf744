/**
 * Where the keyboard is in the grid, and where a key takes it.
 *
 * Pure. Position -2 is the header row, -1 the total; column -1 is the row
 * header. Left and right open and close rows while on the row header, and move
 * between cells elsewhere, as in the treegrid pattern.
 */
export const HEADER = -2;
export const TOTAL = -1;

export interface Cursor {
  readonly position: number;
  readonly column: number;
}

export interface Surroundings {
  readonly size: number;
  readonly columns: number;
  readonly rowsPerPage: number;
  /** Of the row under the cursor; null where it cannot be opened. */
  readonly expanded: boolean | null;
  /** Position of the row's parent, if it is known. */
  readonly parent: number | null;
}

export type Move = { readonly to: Cursor } | { readonly act: "expand" | "collapse" | "activate" } | null;

export function moveBy(key: string, ctrl: boolean, { position, column }: Cursor, around: Surroundings): Move {
  const { size, columns, rowsPerPage, expanded, parent } = around;
  const to = (row: number, col: number): Move => ({
    to: {
      position: Math.max(HEADER, Math.min(row, size - 1)),
      column: Math.max(-1, Math.min(col, columns - 1)),
    },
  });
  switch (key) {
    case "ArrowDown":
      return to(position + 1, column);
    case "ArrowUp":
      return to(position - 1, column);
    case "PageDown":
      return to(Math.max(position, 0) + rowsPerPage, column);
    case "PageUp":
      return to(position < 0 ? position : Math.max(0, position - rowsPerPage), column);
    case "Home":
      return ctrl || column === -1 ? to(size === 0 ? TOTAL : 0, column) : to(position, -1);
    case "End":
      return ctrl || column === -1 ? to(size - 1, column) : to(position, columns - 1);
    case "ArrowRight":
      return column === -1 && expanded === false ? { act: "expand" } : to(position, column + 1);
    case "ArrowLeft":
      if (column > -1) return to(position, column - 1);
      if (expanded === true) return { act: "collapse" };
      return parent === null ? null : to(parent, -1);
    case "Enter":
      if (position === HEADER) return { act: "activate" };
      return expanded === null ? null : { act: expanded ? "collapse" : "expand" };
    default:
      return null;
  }
}
