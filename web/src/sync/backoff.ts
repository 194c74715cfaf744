/**
 * Delay before the n-th attempt in a row to reconnect, n from 0.
 *
 * Doubles from a quarter of a second to ten seconds. Half of it is random, so
 * that a thousand tabs do not return in one instant after a restart.
 */
export const BACKOFF_FIRST_MS = 250;
export const BACKOFF_MAX_MS = 10_000;

export function backoffMs(attempt: number, random: () => number): number {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 16));
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}
