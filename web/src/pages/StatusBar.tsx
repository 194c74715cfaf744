/** The line under the grid: how much, as of when, how old, how fast. */
import { duration } from "../ui/duration.ts";
import { usePage } from "./store.ts";

export function StatusBar() {
  const size = usePage((state) => state.size);
  const beat = usePage((state) => state.beat);
  const cash = usePage((state) => state.layout.view === "cash_only");
  const staleSources = usePage((state) => state.staleSources);
  const strategy = usePage((state) => state.strategy);
  const asOf = beat?.asOf ?? null;
  return (
    <footer className="status-bar">
      <Fact name="Rows" value={size === null ? "–" : size.toLocaleString("en")} />
      <Fact name="Epoch" value={asOf === null ? "–" : asOf.epoch.toLocaleString("en")} testid="epoch" />
      <Fact name="As of" value={asOf === null ? "–" : instant(asOf.time)} title={asOf?.time} testid="as-of" />
      <Fact
        name="Age"
        value={beat?.ageMs == null ? "–" : duration(beat.ageMs)}
        title="Since the newest source time shown; in a replay, since it last moved"
        testid="age"
      />
      <Fact
        name="Round trip"
        value={beat?.rttMs == null ? "–" : duration(beat.rttMs)}
        title="From this page to the server and back"
        testid="latency"
      />
      <Fact
        name="Lag"
        value={beat === null || asOf === null ? "–" : duration(beat.lagMs)}
        title="How far behind its sources the engine says it is"
        testid="lag"
      />
      {Object.entries(staleSources).map(([source, sinceMs]) => (
        <span key={source} className="warn">
          {source} quiet for {duration(sinceMs)}
        </span>
      ))}
      <span className="spring" />
      {cash && (
        <span className="legend">
          <i className="overdrawn" aria-hidden="true" /> overdrawn
        </span>
      )}
      <span className="legend">
        <i className="mark q-stale" /> stale
      </span>
      <span className="legend">
        <i className="mark q-partial" /> partial
      </span>
      <span className="legend">
        <i className="mark q-missing" /> missing
      </span>
      {strategy !== "" && <Fact name="Maintained" value={strategy} />}
    </footer>
  );
}

function Fact(props: { name: string; value: string; title?: string | undefined; testid?: string }) {
  return (
    <span className="fact" title={props.title}>
      {props.name} <b data-testid={props.testid}>{props.value}</b>
    </span>
  );
}

/** `2026-03-02T14:30:00.100Z` → `2026-03-02 14:30:00`, UTC as sent. */
const instant = (time: string): string => time.slice(0, 19).replace("T", " ");
