/** Connection state, never by colour alone. */
import type { ConnectionState } from "../sync/liveness.ts";

const EXPLAINED: Readonly<Record<ConnectionState, string>> = {
  LIVE: "Data is live",
  LAGGING: "More than 2 s behind: the numbers may no longer be true",
  STALE: "More than 5 s behind: do not trust the numbers",
  DISCONNECTED: "No connection to the server; trying again",
};

/** What is not on screen yet, if anything: a result on its way, or one that was refused. */
export type Pending = "LOADING" | "REFUSED" | null;

export function Connection({ state, pending }: { state: ConnectionState; pending: Pending }) {
  const busy = state === "DISCONNECTED" ? null : pending;
  return (
    <span
      className="connection"
      role="status"
      data-testid="connection"
      data-state={state}
      data-pending={busy ?? undefined}
      title={
        busy === null
          ? EXPLAINED[state]
          : busy === "LOADING"
            ? "Connected; the result is on its way"
            : "Connected; the server refused this view"
      }
    >
      <span className="dot" aria-hidden="true" />
      {busy ?? state}
    </span>
  );
}
