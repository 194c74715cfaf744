/** A socket whose other end is the test. */
import type { ClientMessage, Patch, ServerMessage, Snapshot } from "../../protocol/messages.ts";
import { parseClient, serialise } from "../../protocol/parse.ts";
import type { Socket } from "../connection.ts";

export class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly sent: ClientMessage[] = [];
  closed = false;

  send(text: string): void {
    this.sent.push(parseClient(text));
  }
  close(): void {
    this.closed = true;
  }
  open(): void {
    this.onopen?.();
  }
  drop(): void {
    this.onclose?.();
  }
  say(message: ServerMessage): void {
    this.onmessage?.({ data: serialise(message) });
  }
  /** Messages of one type, other traffic left out. */
  of<T extends ClientMessage["type"]>(type: T): (ClientMessage & { type: T })[] {
    return this.sent.filter((message): message is ClientMessage & { type: T } => message.type === type);
  }
}

/** Hands out sockets and keeps them, newest last. */
export class FakeNetwork {
  readonly sockets: FakeSocket[] = [];
  dial = (): FakeSocket => {
    const socket = new FakeSocket();
    this.sockets.push(socket);
    return socket;
  };
  get last(): FakeSocket {
    return this.sockets[this.sockets.length - 1]!;
  }
}

const asOf = { epoch: 1, time: "2026-03-02T14:30:00Z" };

export const welcome = (sessionId = "s1"): ServerMessage => ({
  type: "welcome",
  sessionId,
  token: "k",
  graceMs: 60_000,
  heartbeatMs: 5_000,
  limits: {},
});
export const opened = (viewVersion: number): ServerMessage => ({
  type: "opened",
  viewId: "v1",
  viewVersion,
  strategy: "incremental",
  schema: [{ name: "mv_sod", type: "decimal", scale: 2, unit: "money" }],
});
export const snapshot = (viewVersion: number, seq: number, value = "1"): Snapshot => ({
  type: "snapshot",
  viewId: "v1",
  viewVersion,
  seq,
  asOf,
  size: 1,
  from: 0,
  rows: [{ key: ["Energy"], depth: 1, expandable: false, values: [value], quality: {} }],
  total: { values: [value], quality: {} },
});
export const patch = (viewVersion: number, seq: number, value: string): Patch => ({
  type: "patch",
  viewId: "v1",
  viewVersion,
  seq,
  asOf: { ...asOf, epoch: seq },
  size: 1,
  removed: [],
  added: [],
  moved: [],
  cells: [{ column: 0, rows: [0], values: [value] }],
  quality: [],
  total: { cells: [{ column: 0, value }], quality: [] },
});
export const heartbeat = (t: number, lagMs = 0): ServerMessage => ({ type: "heartbeat", t, asOf, lagMs });
