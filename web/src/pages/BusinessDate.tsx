/** The business date, and how far the next one has come. */
import { usePage } from "./store.ts";

export function BusinessDate() {
  const date = usePage((state) => state.status?.businessDate ?? state.catalog?.businessDate ?? null);
  const rollover = usePage((state) =>
    state.status === null ? (state.catalog?.rollover ?? null) : state.status.rollover,
  );
  return (
    <span className="business-date">
      <span className="control-label">Business date</span>
      <b data-testid="business-date">{date ?? "–"}</b>
      {rollover !== null && (
        <span
          className="rollover"
          data-testid="rollover"
          title={`The date moves to ${rollover.to} once all its holdings are here`}
        >
          → {rollover.to}
          <progress
            aria-label={`Holdings of ${rollover.to}`}
            max={Math.max(1, rollover.expected)}
            value={rollover.arrived}
          />
          {rollover.arrived.toLocaleString("en")}/{rollover.expected.toLocaleString("en")}
        </span>
      )}
    </span>
  );
}
