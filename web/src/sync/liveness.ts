/**
 * How alive the data on screen is, from what the connection knows (rule P8).
 *
 * The worst sign decides. A server that stops answering, an engine that says it
 * is behind and a source that went quiet all mean the same to a reader: the
 * number may no longer be true.
 */

export type ConnectionState = "LIVE" | "LAGGING" | "STALE" | "DISCONNECTED";

export const LAGGING_AFTER_MS = 2_000;
export const STALE_AFTER_MS = 5_000;
export const DEAD_AFTER_MS = 15_000;
/** Silence is broken by a ping well before it counts as a lag, and answered in between. */
export const PING_AFTER_SILENCE_MS = 1_000;

export interface Vitals {
  /** The socket is open and the server has welcomed us. */
  readonly connected: boolean;
  /** The rows shown are those of the server at its newest frame. */
  readonly inSync: boolean;
  /** Since the last frame of any kind. */
  readonly silentMs: number;
  /** How far behind the engine says it is. */
  readonly lagMs: number;
  /** The longest any source has been quiet beyond its limit. */
  readonly sourceStaleMs: number;
}

export function stateOf(vitals: Vitals): ConnectionState {
  if (!vitals.connected) return "DISCONNECTED";
  const behindMs = Math.max(vitals.silentMs, vitals.lagMs, vitals.sourceStaleMs);
  if (!vitals.inSync || behindMs > STALE_AFTER_MS) return "STALE";
  return behindMs > LAGGING_AFTER_MS ? "LAGGING" : "LIVE";
}
