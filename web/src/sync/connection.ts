/**
 * One WebSocket that comes back by itself.
 *
 * Knows frames and time, not views: it parses, keeps the silence short with
 * pings, declares the line dead after 15 s and reconnects with growing delays.
 */
import type { ClientMessage, ServerMessage } from "../protocol/messages.ts";
import { SUBPROTOCOL } from "../protocol/messages.ts";
import { BadFrame, parseServer, serialise } from "../protocol/parse.ts";
import { backoffMs } from "./backoff.ts";
import { DEAD_AFTER_MS, PING_AFTER_SILENCE_MS } from "./liveness.ts";
import { ServerClock } from "./serverClock.ts";

export const BEAT_MS = 250;

/** The part of a browser's WebSocket that is used here. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  send(text: string): void;
  close(): void;
}

export interface ConnectionListener {
  /** The socket opened; what is sent now goes first. */
  onUp(): void;
  onMessage(message: ServerMessage): void;
  onBadFrame(error: BadFrame): void;
  onDown(): void;
  /** Four times a second, whether connected or not. */
  onBeat(nowMs: number): void;
}

export class Connection {
  readonly clock = new ServerClock();
  #socket: Socket | null = null;
  #open = false;
  #attempt = 0;
  #heartbeatMs = 5_000;
  #lastHeardMs = 0;
  #lastPingMs = 0;
  #retryAfterMs = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly listener: ConnectionListener,
    private readonly dial: () => Socket,
    private readonly random: () => number = Math.random,
  ) {}

  start(): void {
    this.#beat ??= setInterval(() => this.#onBeat(), BEAT_MS);
    this.#connect();
  }

  stop(): void {
    clearInterval(this.#beat);
    clearTimeout(this.#retry);
    this.#beat = undefined;
    this.#release();
  }

  get isOpen(): boolean {
    return this.#open;
  }

  silentMs(nowMs: number): number {
    return Math.max(0, nowMs - this.#lastHeardMs);
  }

  send(message: ClientMessage): void {
    if (this.#open) this.#socket!.send(serialise(message));
  }

  #connect(): void {
    this.clock.reset();
    const socket = this.dial();
    this.#socket = socket;
    // A dial that never completes is as dead as a line that fell silent.
    this.#lastHeardMs = Date.now();
    socket.onopen = () => {
      this.#open = true;
      this.#lastHeardMs = Date.now();
      this.listener.onUp();
      this.#ping(Date.now());
    };
    socket.onmessage = ({ data }) => this.#onText(data);
    socket.onclose = () => this.#onClose();
  }

  #onText(data: unknown): void {
    this.#lastHeardMs = Date.now();
    let message: ServerMessage;
    try {
      if (typeof data !== "string") throw new BadFrame("a binary frame was not asked for");
      message = parseServer(data);
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.listener.onBadFrame(error);
      return;
    }
    if (message.type === "welcome") {
      this.#attempt = 0;
      this.#heartbeatMs = message.heartbeatMs;
    } else if (message.type === "heartbeat") {
      this.clock.heard(message.t, Date.now());
    } else if (message.type === "bye") {
      this.#retryAfterMs = message.retryAfterMs;
    }
    this.listener.onMessage(message);
    // A hidden tab's timers may run once a minute; its messages are never held back.
    const now = Date.now();
    if (this.#open && now - this.#lastPingMs >= this.#heartbeatMs) this.#ping(now);
  }

  #onClose(): void {
    this.#release();
    this.listener.onDown();
    const delay = Math.max(this.#retryAfterMs, backoffMs(this.#attempt++, this.random));
    this.#retryAfterMs = 0;
    if (this.#beat !== undefined) this.#retry = setTimeout(() => this.#connect(), delay);
  }

  /** Lets the socket go without hearing from it again. */
  #release(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#open = false;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #onBeat(): void {
    const now = Date.now();
    if (this.#socket !== null) {
      if (this.silentMs(now) >= DEAD_AFTER_MS) this.#onClose();
      else if (this.#open) {
        const quiet = this.silentMs(now) >= PING_AFTER_SILENCE_MS;
        const sinceMs = now - this.#lastPingMs;
        if (sinceMs >= this.#heartbeatMs || (quiet && sinceMs >= PING_AFTER_SILENCE_MS)) this.#ping(now);
      }
    }
    this.listener.onBeat(now);
  }

  #ping(nowMs: number): void {
    this.#lastPingMs = nowMs;
    this.clock.pinged(nowMs, nowMs);
    this.send({ type: "ping", t: nowMs });
  }
}

/** A browser socket to the page's own server. */
export function dialPage(): Socket {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(`${scheme}//${location.host}/ws`, SUBPROTOCOL) as unknown as Socket;
}
