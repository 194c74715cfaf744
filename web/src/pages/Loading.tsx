/** What stands in the grid's place until there is a whole result to show. */
import { duration } from "../ui/duration.ts";
import { amount, amountsOf, overall, type Amounts } from "./progress.ts";
import { usePage } from "./store.ts";

export function Loading() {
  const progress = usePage((state) => state.progress);
  const httpError = usePage((state) => state.httpError);
  const catalog = usePage((state) => state.catalog);
  const view = usePage((state) => state.layout.view);
  const connected = usePage((state) => state.beat !== null && state.beat.state !== "DISCONNECTED");
  const reject = usePage((state) => state.reject);
  const unknown = catalog !== null && !catalog.views.some(({ name }) => name === view);
  const load = overall(progress);
  return (
    <div className="loading" role="status" data-testid="loading">
      <p>
        {reject !== null
          ? "The server refused this view; choose another."
          : unknown
            ? `This server has no view named “${view}”.`
            : catalog === null && httpError !== null
              ? `The catalogue cannot be read: ${httpError}`
              : !connected
                ? "Connecting…"
                : load === null
                  ? "Waiting for the result…"
                  : "Loading sources…"}
      </p>
      {load !== null && <Line name="All" amounts={load} testid="loading-all" />}
      {Object.entries(progress).map(([source, told]) => (
        <Line key={source} name={source} amounts={amountsOf(told)} />
      ))}
    </div>
  );
}

function Line({ name, amounts, testid }: { name: string; amounts: Amounts; testid?: string }) {
  const { done, total, unit, share, perSecond, leftMs } = amounts;
  return (
    <label data-testid={testid} className={testid === undefined ? undefined : "all"}>
      <span>{name}</span>
      <progress max={Math.max(1, total)} value={done} />
      <span className="share">{Math.floor(share * 100)} %</span>
      <span className="muted">
        {amount(done, unit)} of {amount(total, unit)}
        {unit === "rows" && " rows"}
        {share < 1 && perSecond !== null && ` · ${amount(perSecond, unit)}/s`}
        {share < 1 && leftMs !== null && ` · ${duration(leftMs)} left`}
      </span>
    </label>
  );
}
