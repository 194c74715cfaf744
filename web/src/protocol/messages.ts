/**
 * The wire types of `tickview.v1`, as the protocol document states them.
 *
 * Nothing outside `protocol/` looks at a frame. Numbers of the business are
 * strings in plain notation; only counters and positions are JS numbers.
 */

export const PROTOCOL = 1;
export const SUBPROTOCOL = "tickview.v1";

/** A decimal, count, time or text as the server wrote it; null is "no value". */
export type Cell = string | null;
/** The group's path, or the primary key of a row-level view. */
export type Key = readonly Cell[];
/** Column number to "STALE", "PARTIAL:n" or "MISSING". A good cell is absent. */
export type Quality = Readonly<Record<string, string>>;

export type Exposure = "SOD" | "CURRENT" | "EXPECTED";
export type Expanded = "none" | "all" | `level:${number}` | readonly Key[];
export interface SortBy {
  readonly column: string;
  readonly desc: boolean;
}
export interface FilterBy {
  readonly column: string;
  readonly op: string;
  readonly value: Cell;
}

export interface ViewSpec {
  readonly view: string;
  readonly accounts: "all" | readonly string[];
  readonly portfolios?: readonly string[];
  readonly groupBy: readonly string[];
  readonly exposures?: readonly Exposure[];
  readonly columns?: readonly string[];
  readonly sort?: readonly SortBy[];
  readonly filter?: readonly FilterBy[];
  readonly expanded?: Expanded;
  readonly currency?: string;
  readonly scenario?: string;
  readonly excludeCash?: boolean;
}
export interface SqlSpec {
  readonly sql: string;
}
export type Spec = ViewSpec | SqlSpec;

/** Positions `from` up to, not including, `to`. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export interface AsOf {
  readonly epoch: number;
  readonly time: string;
}

export type ColumnType = "decimal" | "count" | "time" | "text";
export type Unit =
  | "money"
  | "local"
  | "base"
  | "quantity"
  | "price"
  | "weight"
  | "count"
  | "time"
  | "text";
export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly scale: number;
  readonly unit: Unit;
}

export interface Row {
  readonly key: Key;
  readonly depth: number;
  readonly expandable: boolean;
  /** The name to show where it differs from the key's last element. */
  readonly label?: string;
  readonly values: readonly Cell[];
  readonly quality: Quality;
}
export interface AddedRow extends Row {
  readonly at: number;
}
export interface Total {
  readonly values: readonly Cell[];
  readonly quality: Quality;
}

export interface Hello {
  readonly type: "hello";
  readonly protocol: number;
  readonly clientId: string;
  readonly accept?: readonly "arrow"[];
  readonly resume?: {
    readonly sessionId: string;
    readonly token: string;
    readonly views: readonly {
      readonly viewId: string;
      readonly viewVersion: number;
      readonly seq: number;
    }[];
  };
}
export interface Open {
  readonly type: "open";
  readonly viewId: string;
  readonly viewVersion: number;
  readonly spec: Spec;
  readonly window: Window;
}
export interface Change {
  readonly type: "change";
  readonly viewId: string;
  readonly viewVersion: number;
  readonly spec: Spec;
}
export interface WindowRequest extends Window {
  readonly type: "window";
  readonly viewId: string;
  readonly columns?: readonly string[];
}
export interface Expand {
  readonly type: "expand" | "collapse";
  readonly viewId: string;
  readonly key?: Key;
  readonly level?: number;
}
export interface Pause {
  readonly type: "pause";
  readonly viewId: string;
  readonly mode: "all" | "order";
}
export interface Resume {
  readonly type: "resume";
  readonly viewId: string;
}
export interface Ack {
  readonly type: "ack";
  readonly viewId: string;
  readonly seq: number;
}
export interface Close {
  readonly type: "close";
  readonly viewId: string;
}
/** `t` is the sender's clock in whole milliseconds; it comes back untouched. */
export interface Ping {
  readonly type: "ping";
  readonly t: number;
}
export type ClientMessage =
  Hello | Open | Change | WindowRequest | Expand | Pause | Resume | Ack | Close | Ping;

export interface Welcome {
  readonly type: "welcome";
  readonly sessionId: string;
  readonly token: string;
  readonly graceMs: number;
  readonly heartbeatMs: number;
  readonly limits: Readonly<Record<string, unknown>>;
}
export interface Opened {
  readonly type: "opened";
  readonly viewId: string;
  readonly viewVersion: number;
  readonly schema: readonly Column[];
  readonly strategy: string;
}
export interface Progress {
  readonly type: "progress";
  readonly source: string;
  readonly done: number;
  readonly total: number;
  /** What is counted where that is no rows. */
  readonly unit?: "bytes";
}
/** Why data stands still that should not, and since when. */
export interface Halted {
  readonly reason: string;
  readonly since: string;
}
export interface Snapshot {
  readonly type: "snapshot";
  readonly viewId: string;
  readonly viewVersion: number;
  readonly seq: number;
  readonly asOf: AsOf;
  readonly size: number;
  readonly from: number;
  readonly rows: readonly Row[];
  readonly total: Total;
}
export interface Move {
  readonly from: number;
  readonly to: number;
}
export interface CellRun {
  readonly column: number;
  readonly rows: readonly number[];
  readonly values: readonly Cell[];
}
export interface TotalPatch {
  readonly cells: readonly { readonly column: number; readonly value: Cell }[];
  readonly quality: readonly { readonly column: number; readonly value: Cell }[];
}
export interface Patch {
  readonly type: "patch";
  readonly viewId: string;
  readonly viewVersion: number;
  readonly seq: number;
  readonly asOf: AsOf;
  readonly size: number;
  readonly removed: readonly number[];
  readonly added: readonly AddedRow[];
  readonly moved: readonly Move[];
  readonly cells: readonly CellRun[];
  readonly quality: readonly CellRun[];
  readonly total: TotalPatch;
}
export interface Gap {
  readonly type: "gap";
  readonly viewId: string;
  readonly reason: string;
}
export interface Stale {
  readonly type: "stale";
  readonly source: string;
  readonly sinceMs: number;
}
export interface Heartbeat {
  readonly type: "heartbeat";
  readonly t: number;
  /** Null until the first epoch is committed. */
  readonly asOf: AsOf | null;
  readonly lagMs: number;
  readonly halted?: Halted;
}
export interface Reject {
  readonly type: "reject";
  /** Null where the frame was too broken to say which view it meant. */
  readonly viewId: string | null;
  readonly viewVersion: number | null;
  readonly code: string;
  readonly message: string;
}
export interface Bye {
  readonly type: "bye";
  readonly reason: string;
  readonly retryAfterMs: number;
}
export type ServerMessage =
  Welcome | Opened | Progress | Snapshot | Patch | Gap | Stale | Heartbeat | Reject | Bye;
