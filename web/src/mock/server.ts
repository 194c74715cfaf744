/**
 * A server that speaks the protocol over the mock market: for development and
 * for tests of the page. Also serves the built page, so that one address does.
 */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { WebSocketServer, type WebSocket } from "ws";
import type { ClientMessage, Key, ServerMessage, ViewSpec, Window } from "../protocol/messages.ts";
import { SUBPROTOCOL } from "../protocol/messages.ts";
import { rowId } from "../protocol/model.ts";
import { BadFrame, parseClient, serialise } from "../protocol/parse.ts";
import { diff, type View } from "./diff.ts";
import { Market } from "./market.ts";
import { compute, type Result } from "./result.ts";
import { catalogOf, VIEWS } from "./views.ts";

const GRACE_MS = 60_000;
const UNACKED_MAX = 2;

class MockView {
  seq = 0;
  acked = 0;
  sent: View | null = null;
  opened = new Set<string>();
  closed = new Set<string>();

  constructor(
    readonly viewId: string,
    public version: number,
    public spec: ViewSpec,
    public window: Window,
  ) {}

  isOpen = (key: Key): boolean => {
    const id = rowId(key);
    if (this.closed.has(id)) return false;
    const { expanded = "level:1" } = this.spec;
    if (this.opened.has(id) || expanded === "all") return true;
    if (typeof expanded === "string") return key.length < Number(expanded.split(":")[1] ?? 0);
    return expanded.some((other) => rowId(other) === id);
  };
}

interface MockSession {
  readonly id: string;
  readonly token: string;
  readonly views: Map<string, MockView>;
  socket: WebSocket | null;
  leftAtMs: number;
}

export interface MockOptions {
  readonly market?: Market;
  readonly tickMs?: number;
  /** Directory of the built page, or none. */
  readonly assets?: string;
  /** How long progress is played before the first result. */
  readonly loadMs?: number;
}

export class MockServer {
  readonly market: Market;
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Map<string, MockSession>();
  readonly #tickMs: number;
  readonly #readyAtMs: number;
  #timer: ReturnType<typeof setInterval>;
  #made = 0;

  constructor(private readonly options: MockOptions = {}) {
    this.market = options.market ?? new Market();
    this.#tickMs = options.tickMs ?? 250;
    this.#readyAtMs = Date.now() + (options.loadMs ?? 0);
    this.#http = createServer((request, response) => this.#onRequest(request, response));
    this.#sockets = new WebSocketServer({
      server: this.#http,
      path: "/ws",
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    });
    this.#sockets.on("connection", (socket) => this.#onSocket(socket));
    this.#timer = setInterval(() => this.tick(), this.#tickMs);
  }

  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#http.once("error", reject);
      this.#http.listen(port, "127.0.0.1", () => resolve((this.#http.address() as { port: number }).port));
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#sockets.close();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  get #ready(): boolean {
    return Date.now() >= this.#readyAtMs;
  }

  tick(): void {
    if (!this.#ready) {
      const total = 100_000;
      const left = (this.#readyAtMs - Date.now()) / Math.max(1, this.options.loadMs ?? 1);
      for (const { socket } of this.#sessions.values())
        if (socket !== null)
          send(socket, {
            type: "progress",
            source: "base.sod-holding",
            done: Math.round(total * (1 - left)),
            total,
          });
      return;
    }
    // Time stood still while the load was played.
    this.market.tick(Math.max(this.#tickMs, Date.now() - this.market.timeMs));
    for (const session of this.#sessions.values()) {
      if (session.socket === null) {
        if (Date.now() - session.leftAtMs > GRACE_MS) this.#sessions.delete(session.id);
        continue;
      }
      for (const view of session.views.values()) this.#update(session.socket, view);
    }
  }

  #update(socket: WebSocket, view: MockView): void {
    if (view.sent === null) return this.#snapshot(socket, view, true);
    if (view.seq - view.acked >= UNACKED_MAX) return;
    const now = cut(compute(this.market, view.spec, view.isOpen), view.window);
    const body = diff(view.sent, now);
    if (body === null) return;
    view.sent = now;
    view.seq += 1;
    send(socket, { type: "patch", ...head(view), asOf: this.#asOf(), ...body });
  }

  #snapshot(socket: WebSocket, view: MockView, opened: boolean): void {
    if (!this.#ready) return;
    const result = compute(this.market, view.spec, view.isOpen);
    if (opened)
      send(socket, {
        type: "opened",
        viewId: view.viewId,
        viewVersion: view.version,
        schema: result.schema,
        strategy: "recomputed",
      });
    view.sent = cut(result, view.window);
    view.seq += 1;
    const { size, rows, total } = view.sent;
    send(socket, {
      type: "snapshot",
      ...head(view),
      asOf: this.#asOf(),
      size,
      from: view.window.from,
      rows,
      total,
    });
  }

  #asOf() {
    return { epoch: this.market.epoch, time: new Date(this.market.timeMs).toISOString() };
  }

  #onSocket(socket: WebSocket): void {
    let session: MockSession = {
      id: `s${++this.#made}`,
      token: String(Math.random()),
      views: new Map(),
      socket,
      leftAtMs: 0,
    };
    this.#sessions.set(session.id, session);
    socket.on("message", (data) => {
      let message: ClientMessage;
      try {
        message = parseClient(String(data));
      } catch (error) {
        const text = error instanceof BadFrame ? error.message : "internal";
        return send(socket, {
          type: "reject",
          viewId: null,
          viewVersion: null,
          code: "BAD_FRAME",
          message: text,
        });
      }
      if (message.type === "hello") session = this.#onHello(socket, session, message);
      else this.#onMessage(socket, session, message);
    });
    socket.on("close", () => {
      if (session.socket !== socket) return;
      session.socket = null;
      session.leftAtMs = Date.now();
    });
  }

  #onHello(
    socket: WebSocket,
    fresh: MockSession,
    { resume }: ClientMessage & { type: "hello" },
  ): MockSession {
    const known = resume && this.#sessions.get(resume.sessionId);
    const session = known && known.token === resume.token ? known : fresh;
    if (session !== fresh) this.#sessions.delete(fresh.id);
    session.socket = socket;
    send(socket, {
      type: "welcome",
      sessionId: session.id,
      token: session.token,
      graceMs: GRACE_MS,
      heartbeatMs: 5_000,
      limits: { windowRows: 100_000 },
    });
    for (const { viewId, viewVersion } of resume?.views ?? []) {
      const view = session.views.get(viewId);
      if (view === undefined)
        send(socket, {
          type: "reject",
          viewId,
          viewVersion,
          code: "VIEW_GONE",
          message: "the view is no longer held",
        });
      else {
        view.acked = view.seq;
        this.#snapshot(socket, view, false);
      }
    }
    return session;
  }

  #onMessage(
    socket: WebSocket,
    session: MockSession,
    message: Exclude<ClientMessage, { type: "hello" }>,
  ): void {
    if (message.type === "ping")
      return send(socket, {
        type: "heartbeat",
        t: message.t,
        asOf: this.#ready ? this.#asOf() : null,
        lagMs: 0,
      });
    const reject = (code: string, text: string) =>
      send(socket, {
        type: "reject",
        viewId: message.viewId,
        viewVersion: "viewVersion" in message ? message.viewVersion : null,
        code,
        message: text,
      });
    if (message.type === "open" || message.type === "change") {
      const fault = this.#faultOf(message.spec);
      if (fault !== null) return reject(fault[0], fault[1]);
    }
    if (message.type === "open") {
      const view = new MockView(
        message.viewId,
        message.viewVersion,
        message.spec as ViewSpec,
        message.window,
      );
      session.views.set(message.viewId, view);
      return this.#snapshot(socket, view, true);
    }
    const view = session.views.get(message.viewId);
    if (view === undefined) return reject("VIEW_GONE", "the view is no longer held");
    switch (message.type) {
      case "change":
        view.version = message.viewVersion;
        view.spec = message.spec as ViewSpec;
        view.opened.clear();
        view.closed.clear();
        return this.#snapshot(socket, view, true);
      case "window":
        view.window = { from: message.from, to: message.to };
        return this.#snapshot(socket, view, false);
      case "expand":
      case "collapse": {
        const [into, outOf] =
          message.type === "expand" ? [view.opened, view.closed] : [view.closed, view.opened];
        if (message.key !== undefined) {
          into.add(rowId(message.key));
          outOf.delete(rowId(message.key));
        } else {
          view.opened.clear();
          view.closed.clear();
          view.spec = { ...view.spec, expanded: `level:${message.level ?? 1}` };
        }
        return this.#snapshot(socket, view, false);
      }
      case "ack":
        view.acked = Math.max(view.acked, message.seq);
        return;
      case "close":
        session.views.delete(message.viewId);
        return;
      case "pause":
      case "resume":
        return reject("UNKNOWN_TYPE", `the mock does not ${message.type}`);
    }
  }

  #faultOf(spec: ViewSpec | { sql: string }): [code: string, message: string] | null {
    if ("sql" in spec) return ["BAD_SPEC", "the mock has no SQL"];
    const view = VIEWS.find(({ name }) => name === spec.view);
    if (view === undefined) return ["UNKNOWN_VIEW", `no view "${spec.view}"`];
    const field = spec.groupBy.find((name) => !view.groupBy.includes(name));
    if (field !== undefined) return ["UNKNOWN_FIELD", `no group field "${field}"`];
    const account =
      spec.accounts === "all"
        ? undefined
        : spec.accounts.find((id) => !this.market.accounts.some((known) => known.id === id));
    return account === undefined ? null : ["UNKNOWN_ACCOUNT", `no account "${account}"`];
  }

  #onRequest({ url = "/" }: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(url, "http://mock");
    if (pathname === "/api/catalog") return json(response, catalogOf(this.market));
    if (pathname === "/api/status")
      return json(response, {
        businessDate: this.market.businessDate,
        rollover: null,
        epoch: this.market.epoch,
        ready: this.#ready,
      });
    const file =
      this.options.assets &&
      join(this.options.assets, normalize(pathname === "/" ? "/index.html" : pathname));
    if (!file || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end("not found");
      return;
    }
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  }
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
};

const head = ({ viewId, version, seq }: MockView) => ({ viewId, viewVersion: version, seq });

const cut = ({ rows, total }: Result, { from, to }: Window): View => ({
  size: rows.length,
  rows: rows.slice(from, to),
  total,
});

function send(socket: WebSocket, message: ServerMessage): void {
  socket.send(serialise(message));
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}
