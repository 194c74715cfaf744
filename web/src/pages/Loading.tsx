/** What stands in the grid's place until there is a whole result to show. */
import { usePage } from "./store.ts";

export function Loading() {
  const progress = usePage((state) => state.progress);
  const httpError = usePage((state) => state.httpError);
  const catalog = usePage((state) => state.catalog);
  const view = usePage((state) => state.layout.view);
  const connected = usePage((state) => state.beat !== null && state.beat.state !== "DISCONNECTED");
  const reject = usePage((state) => state.reject);
  const unknown = catalog !== null && !catalog.views.some(({ name }) => name === view);
  const sources = Object.entries(progress);
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
                : sources.length === 0
                  ? "Waiting for the result…"
                  : "Loading sources…"}
      </p>
      {sources.map(([source, { done, total }]) => (
        <label key={source}>
          <span>{source}</span>
          <progress max={Math.max(1, total)} value={done} />
          <span className="muted">
            {done.toLocaleString("en")} / {total.toLocaleString("en")}
          </span>
        </label>
      ))}
    </div>
  );
}
