/**
 * Round-trip time, and the server's clock as seen from here.
 *
 * A heartbeat whose `t` is that of an outstanding ping is its answer and gives
 * the round trip; any other carries the server's own time, and the smallest
 * difference seen is the one least delayed on its way.
 */
const PLAUSIBLE_OFFSET_MS = 24 * 3600 * 1000;

export class ServerClock {
  #sent = new Map<number, number>();
  #offsetMs: number | null = null;
  rttMs: number | null = null;

  pinged(t: number, atMs: number): void {
    this.#sent.set(t, atMs);
  }

  heard(t: number, atMs: number): void {
    const sentAt = this.#sent.get(t);
    if (sentAt !== undefined) {
      this.rttMs = atMs - sentAt;
      for (const key of this.#sent.keys()) if (key <= t) this.#sent.delete(key);
      return;
    }
    const offset = t - atMs;
    if (Math.abs(offset) > PLAUSIBLE_OFFSET_MS) return;
    if (this.#offsetMs === null || offset > this.#offsetMs) this.#offsetMs = offset;
  }

  /** The server's time, in ms since 1970, when it is `atMs` here. */
  now(atMs: number): number {
    return atMs + (this.#offsetMs ?? 0);
  }

  reset(): void {
    this.#sent.clear();
    this.rttMs = null;
  }
}
