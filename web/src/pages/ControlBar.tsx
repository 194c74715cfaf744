/** What to show: accounts, grouping, exposures and the rest, for the chosen view. */
import { useMemo } from "react";
import { Button } from "react-aria-components";
import { titleOf } from "../grid/columns.ts";
import type { Exposure } from "../protocol/messages.ts";
import { GroupBy } from "../ui/GroupBy.tsx";
import { PickMany } from "../ui/PickMany.tsx";
import { OnOff, PickOne, Toggles } from "../ui/controls.tsx";
import { groupingOf, type Layout } from "./layout.ts";
import { expandTo } from "./live.ts";
import { changeLayout, currentView, usePage } from "./store.ts";

const EXPOSURE_NAMES = [
  { id: "SOD", name: "SOD" },
  { id: "CURRENT", name: "Current" },
  { id: "EXPECTED", name: "Expected" },
];

const set = (change: Partial<Layout>): void => changeLayout((layout) => ({ ...layout, ...change }));

export function ControlBar() {
  const layout = usePage((state) => state.layout);
  const catalog = usePage((state) => state.catalog);
  const schema = usePage((state) => state.schema);
  const view = usePage(currentView);

  const accounts = useMemo(
    () =>
      catalog?.accounts.map(({ id, name, strategy }) => ({
        id,
        name: name || id,
        detail: [name ? id : "", strategy].filter(Boolean).join(" · "),
      })) ?? [],
    [catalog],
  );
  const portfolios = useMemo(
    () => catalog?.portfolios.map((id) => ({ id, name: id === "" ? "(unsleeved)" : id, detail: "" })) ?? [],
    [catalog],
  );
  const columns = useMemo(
    () =>
      view === undefined || view.measures.length === 0
        ? schema.map(({ name }) => ({ id: name, name: titleOf(name), detail: "" }))
        : view.measures
            .filter(
              ({ basis }) =>
                basis === null || !view.exposures || layout.exposures.includes(basis as Exposure),
            )
            .map(({ name, title }) => ({ id: name, name: title, detail: "" })),
    [view, schema, layout.exposures],
  );
  if (catalog === null || view === undefined) return <div className="control-bar" />;
  const grouping = groupingOf(layout, view);
  return (
    <div className="control-bar" role="toolbar" aria-label="What to show">
      <PickMany
        label="Accounts"
        items={accounts}
        chosen={layout.accounts}
        onChange={(accounts) => set({ accounts })}
      />
      {view.portfolios && (
        <PickMany
          label="Portfolios"
          items={portfolios}
          chosen={layout.portfolios}
          onChange={(portfolios) => set({ portfolios })}
        />
      )}
      {view.kind === "grouped" && (
        <GroupBy
          fields={view.groupBy.map((id) => ({ id, name: titleOf(id) }))}
          chosen={grouping}
          onChange={(groupBy) => set({ groupBy })}
        />
      )}
      {view.exposures && (
        <Toggles
          label="Exposures"
          options={EXPOSURE_NAMES}
          chosen={layout.exposures}
          onChange={(exposures) => set({ exposures: exposures as Exposure[] })}
        />
      )}
      {/* Cash-Only is in the currencies of its rows. */}
      {view.name !== "cash_only" && (
        <PickOne
          label="Currency"
          options={catalog.currencies.map((id) => ({ id, name: id }))}
          chosen={layout.currency}
          onChange={(currency) => set({ currency })}
        />
      )}
      {/* Cash-Only has nothing else, and no order is on cash. */}
      {view.name !== "cash_only" && view.name !== "orders" && (
        <OnOff
          label="Exclude cash"
          on={layout.excludeCash}
          onChange={(excludeCash) => set({ excludeCash })}
        />
      )}
      <span className="spring" />
      {grouping.length > 1 && <Levels depth={grouping.length} />}
      <PickMany
        label="Columns"
        items={columns}
        chosen={layout.columns ?? "all"}
        onChange={(chosen) => set({ columns: chosen === "all" ? null : chosen })}
      />
    </div>
  );
}

function Levels({ depth }: { depth: number }) {
  const expanded = usePage((state) => state.layout.expanded);
  const levels = Array.from({ length: depth }, (_, i) => i + 1);
  const shown = expanded === "all" ? depth : Math.min(expanded, depth);
  return (
    <span className="levels-bar" role="group" aria-label="Expand to level">
      <span className="control-label">Levels</span>
      {levels.map((level) => (
        <Button
          key={level}
          className="icon"
          data-on={shown === level || undefined}
          aria-label={`Expand to level ${level}`}
          onPress={() => expandTo(level)}
        >
          {level}
        </Button>
      ))}
    </span>
  );
}
