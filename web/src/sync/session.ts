/**
 * A session with one view: what the server was told, and what it showed.
 *
 * Holds the window model and keeps it true (P1, P2): frames of another version
 * are dropped, a hole in seq asks for a snapshot, a lost line resumes, and a
 * view the server no longer has is opened afresh. Shows nothing itself; the
 * grid and the page listen to its events.
 */
import type {
  AsOf,
  Column,
  Halted,
  Key,
  Patch,
  Progress,
  Reject,
  ServerMessage,
  Snapshot,
  Spec,
  Stale,
  Welcome,
  Window,
} from "../protocol/messages.ts";
import { PROTOCOL } from "../protocol/messages.ts";
import { applyPatch, fromSnapshot, Misfit, type Applied, type WindowModel } from "../protocol/model.ts";
import { Connection, type ConnectionListener, type Socket } from "./connection.ts";
import { Events } from "./events.ts";
import { stateOf, type ConnectionState } from "./liveness.ts";

const VIEW_ID = "v1";
/** Enough rows for a tall screen and what lies just below it. */
export const WINDOW_FIRST: Window = { from: 0, to: 128 };
/** A request for another window is repeated if nothing came of it. */
const WINDOW_RETRY_MS = 2_000;
/** A change answered sooner than this is not worth greying the grid for. */
const CHANGE_GRACE_MS = 300;

export interface Beat {
  readonly state: ConnectionState;
  readonly asOf: AsOf | null;
  /** How old the newest source time is; null before the first. */
  readonly ageMs: number | null;
  readonly rttMs: number | null;
  readonly lagMs: number;
  /** A specification was sent whose result has not come. */
  readonly awaiting: boolean;
  /** Why the server lets data stand still, if it does. */
  readonly halted: Halted | null;
}

export interface SessionEvents {
  opened: { schema: readonly Column[]; strategy: string };
  snapshot: { model: WindowModel; schema: readonly Column[] };
  patch: Applied;
  progress: Progress;
  stale: Stale;
  reject: Reject;
  beat: Beat;
}

/** Source times this far from the clock are a replay's, whose age says nothing. */
const REPLAY_BEYOND_MS = 24 * 3600 * 1000;

export class Session implements ConnectionListener {
  readonly events = new Events<SessionEvents>();
  readonly #connection: Connection;
  #welcome: Welcome | null = null;
  /** The server has answered the hello of this socket. */
  #welcomed = false;

  #spec: Spec | null = null;
  #window: Window = WINDOW_FIRST;
  #sentWindow: Window | null = null;
  #sentWindowAtMs: number | null = null;
  /** Highest version given out; versions are never used twice. */
  #version = 0;
  /** Version whose frames count. */
  #shownVersion = 0;
  /** Version of the last `opened`, to fall back on when a change is refused. */
  #acceptedVersion: number | null = null;
  /** The server holds the view, as far as we know. */
  #held = false;
  #specSent = false;
  #specSentAtMs = 0;

  #schema: readonly Column[] = [];
  #model: WindowModel | null = null;
  /** Patches are dropped until a snapshot has come. */
  #needsSnapshot = true;
  #inSync = false;
  #resuming = false;

  #asOf: AsOf | null = null;
  #asOfAtMs = 0;
  #lagMs = 0;
  #halted: Halted | null = null;
  /** When that was heard, and how long it had lasted by the server's clock. */
  #haltedAtMs = 0;
  #haltedForMs = 0;
  #staleSources = new Map<string, { sinceMs: number; atMs: number }>();

  constructor(
    dial: () => Socket,
    private readonly clientId: string,
    random?: () => number,
  ) {
    this.#connection = new Connection(this, dial, random);
  }

  start(): void {
    this.#connection.start();
  }

  stop(): void {
    this.#connection.stop();
  }

  get model(): WindowModel | null {
    return this.#model;
  }

  get schema(): readonly Column[] {
    return this.#schema;
  }

  /** Shows another specification, in the same window. */
  setSpec(spec: Spec): void {
    this.#spec = spec;
    this.#shownVersion = ++this.#version;
    this.#specSent = false;
    this.#needsSnapshot = true;
    this.#specSentAtMs = Date.now();
    this.#sendSpec();
  }

  /** The specification to open the view with should it be lost; shows nothing new. */
  remember(spec: Spec): void {
    this.#spec = spec;
  }

  setWindow(window: Window): void {
    this.#window = window;
    this.#sendWindow();
  }

  /** True while a window was asked for and its snapshot is still to come. */
  get windowPending(): boolean {
    return this.#sentWindowAtMs !== null;
  }

  expand(key: Key): void {
    this.#connection.send({ type: "expand", viewId: VIEW_ID, key });
  }

  collapse(key: Key): void {
    this.#connection.send({ type: "collapse", viewId: VIEW_ID, key });
  }

  onUp(): void {
    const resumable = this.#welcome !== null && this.#held && this.#model !== null;
    this.#resuming = resumable;
    this.#connection.send({
      type: "hello",
      protocol: PROTOCOL,
      clientId: this.clientId,
      ...(resumable && {
        resume: {
          sessionId: this.#welcome!.sessionId,
          token: this.#welcome!.token,
          views: [
            {
              viewId: VIEW_ID,
              viewVersion: this.#model!.viewVersion,
              seq: this.#model!.seq,
            },
          ],
        },
      }),
    });
    if (!resumable) this.#held = false;
    if (!resumable || !this.#specSent) {
      this.#specSent = false;
      this.#sendSpec();
    }
  }

  onDown(): void {
    this.#welcomed = false;
    this.#inSync = false;
    this.#sentWindow = null;
    this.#sentWindowAtMs = null;
    this.#staleSources.clear();
    this.#halted = null;
    // What was on its way may or may not have arrived, so it goes out once more
    // under a version that cannot have been used.
    if (this.#spec !== null && this.#shownVersion !== this.#acceptedVersion) {
      this.#shownVersion = ++this.#version;
      this.#specSent = false;
    }
    this.onBeat(Date.now());
  }

  onBadFrame(error: Error): void {
    console.warn(`frame dropped: ${error.message}`);
  }

  onMessage(message: ServerMessage): void {
    switch (message.type) {
      case "welcome":
        return this.#onWelcome(message);
      case "opened":
        if (message.viewId !== VIEW_ID || message.viewVersion !== this.#shownVersion) return;
        this.#held = true;
        this.#acceptedVersion = message.viewVersion;
        this.#schema = message.schema;
        return this.events.emit("opened", message);
      case "snapshot":
        return this.#onSnapshot(message);
      case "patch":
        return this.#onPatch(message);
      case "gap":
        if (message.viewId === VIEW_ID) this.#needsSnapshot = true;
        return;
      case "heartbeat":
        this.#lagMs = message.lagMs;
        this.#onHalted(message.halted ?? null, message.t);
        if (message.asOf !== null) this.#advance(message.asOf);
        // The server works through a socket in order: had the resumed view been
        // gone or changed, that would have been said before this answer.
        if (this.#resuming && this.#welcomed && !this.#needsSnapshot) this.#settle();
        return;
      case "stale":
        if (message.sinceMs <= 0) this.#staleSources.delete(message.source);
        else this.#staleSources.set(message.source, { sinceMs: message.sinceMs, atMs: Date.now() });
        return this.events.emit("stale", message);
      case "progress":
        return this.events.emit("progress", message);
      case "reject":
        return this.#onReject(message);
      case "bye":
        return;
    }
  }

  onBeat(nowMs: number): void {
    if (this.#sentWindowAtMs !== null && nowMs - this.#sentWindowAtMs > WINDOW_RETRY_MS)
      this.#requestWindow();
    const stale = [...this.#staleSources.values()];
    const changing = this.#needsSnapshot && nowMs - this.#specSentAtMs > CHANGE_GRACE_MS;
    const state = stateOf({
      connected: this.#connection.isOpen && this.#welcomed,
      inSync: this.#inSync && !changing,
      silentMs: this.#connection.silentMs(nowMs),
      lagMs: this.#lagMs,
      sourceStaleMs: Math.max(
        0,
        this.#halted === null ? 0 : this.#haltedForMs + nowMs - this.#haltedAtMs,
        ...stale.map((s) => s.sinceMs + nowMs - s.atMs),
      ),
    });
    this.events.emit("beat", {
      state,
      asOf: this.#asOf,
      ageMs: this.#ageMs(nowMs),
      rttMs: this.#connection.clock.rttMs,
      lagMs: this.#lagMs,
      awaiting: this.#needsSnapshot,
      halted: this.#halted,
    });
  }

  #onHalted(halted: Halted | null, serverMs: number): void {
    const changed = halted?.since !== this.#halted?.since;
    this.#halted = halted;
    if (!changed) return;
    this.#haltedAtMs = Date.now();
    // The answer to a ping has this page's clock: wrong by as much as the clocks differ, and only that.
    this.#haltedForMs = halted === null ? 0 : Math.max(0, serverMs - Date.parse(halted.since));
    this.onBeat(Date.now());
  }

  #onWelcome(welcome: Welcome): void {
    const other = this.#welcome !== null && this.#welcome.sessionId !== welcome.sessionId;
    this.#welcome = welcome;
    this.#welcomed = true;
    if (this.#resuming && other) this.#reopen();
  }

  #onSnapshot(snapshot: Snapshot): void {
    if (!this.#isShown(snapshot)) return;
    this.#model = fromSnapshot(snapshot);
    this.#needsSnapshot = false;
    this.#sentWindowAtMs = null;
    this.#advance(snapshot.asOf);
    this.#settle();
    this.events.emit("snapshot", { model: this.#model, schema: this.#schema });
    this.#sendWindow();
  }

  #onPatch(patch: Patch): void {
    if (!this.#isShown(patch) || this.#needsSnapshot) return;
    const model = this.#model!;
    if (patch.seq !== model.seq + 1) return this.#askSnapshot();
    let applied: Applied;
    try {
      applied = applyPatch(model, patch);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      return this.#askSnapshot();
    }
    this.#model = applied.model;
    this.#advance(patch.asOf);
    this.#settle();
    this.events.emit("patch", applied);
  }

  /** Acknowledges the frame and says whether it is of the version shown. */
  #isShown({ viewId, viewVersion, seq }: Snapshot | Patch): boolean {
    if (viewId !== VIEW_ID) return false;
    // Also for a frame that is dropped: the server waits for it all the same.
    this.#connection.send({ type: "ack", viewId, seq });
    return viewVersion === this.#shownVersion;
  }

  #onReject(reject: Reject): void {
    const ours = reject.viewId === VIEW_ID;
    if (ours && reject.code === "VIEW_GONE") {
      const settled = this.#acceptedVersion === this.#shownVersion;
      const gone =
        this.#resuming ||
        reject.viewVersion === this.#shownVersion ||
        (reject.viewVersion === null && settled);
      if (gone) this.#reopen();
      return;
    }
    if (ours && reject.viewVersion === this.#shownVersion) {
      if (this.#acceptedVersion === null || !this.#held) {
        this.#held = false;
      } else {
        // The server still shows the version before; so do we, from a snapshot.
        this.#shownVersion = this.#acceptedVersion;
        this.#askSnapshot();
      }
    }
    this.events.emit("reject", reject);
  }

  #reopen(): void {
    this.#resuming = false;
    this.#held = false;
    this.#acceptedVersion = null;
    this.#needsSnapshot = true;
    this.#inSync = false;
    this.#shownVersion = ++this.#version;
    this.#specSent = false;
    this.#sendSpec();
  }

  #settle(): void {
    this.#resuming = false;
    if (!this.#inSync && this.#welcomed) {
      this.#inSync = true;
      this.onBeat(Date.now());
      this.#sendWindow();
    }
  }

  #askSnapshot(): void {
    this.#needsSnapshot = true;
    this.#specSentAtMs = Date.now();
    this.#requestWindow();
  }

  #sendSpec(): void {
    if (this.#spec === null || this.#specSent || !this.#connection.isOpen) return;
    this.#specSent = true;
    this.#specSentAtMs = Date.now();
    const head = { viewId: VIEW_ID, viewVersion: this.#version, spec: this.#spec };
    if (this.#held || this.#resuming) {
      this.#connection.send({ type: "change", ...head });
    } else {
      this.#held = true;
      this.#sentWindow = this.#window;
      this.#connection.send({ type: "open", ...head, window: this.#window });
    }
  }

  #sendWindow(): void {
    if (!this.#inSync || this.#needsSnapshot || this.windowPending) return;
    const { from, to } = this.#window;
    if (this.#sentWindow !== null && this.#sentWindow.from === from && this.#sentWindow.to === to) return;
    this.#requestWindow();
  }

  #requestWindow(): void {
    if (!this.#connection.isOpen) return;
    this.#sentWindow = this.#window;
    this.#sentWindowAtMs = Date.now();
    this.#connection.send({ type: "window", viewId: VIEW_ID, ...this.#window });
  }

  #advance(asOf: AsOf): void {
    if (this.#asOf !== null && asOf.epoch === this.#asOf.epoch) return;
    this.#asOf = asOf;
    this.#asOfAtMs = Date.now();
  }

  #ageMs(nowMs: number): number | null {
    if (this.#asOf === null) return null;
    const bySource = this.#connection.clock.now(nowMs) - Date.parse(this.#asOf.time);
    const byArrival = nowMs - this.#asOfAtMs;
    return Math.abs(bySource) > REPLAY_BEYOND_MS ? byArrival : Math.max(0, bySource);
  }
}
