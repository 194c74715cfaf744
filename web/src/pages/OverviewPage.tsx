/** The page: choices on top, the grid in the middle, facts below. */
import { useCallback, useEffect } from "react";
import { Button } from "react-aria-components";
import { displayColumns, titleOf } from "../grid/columns.ts";
import { Grid } from "../grid/Grid.tsx";
import { ROW_HEADER } from "../grid/header.ts";
import type { GridLayout } from "../grid/gridView.ts";
import type { Column } from "../protocol/messages.ts";
import { Connection } from "../ui/Connection.tsx";
import { Tabs } from "../ui/controls.tsx";
import { BusinessDate } from "./BusinessDate.tsx";
import { ControlBar } from "./ControlBar.tsx";
import { Halt } from "./Halt.tsx";
import { fromQuery, groupingOf, nextSort, withView } from "./layout.ts";
import { collapse, expand, session, startLive } from "./live.ts";
import { Loading } from "./Loading.tsx";
import { StatusBar } from "./StatusBar.tsx";
import { changeLayout, currentView, setTheme, setWidth, usePage, type Theme } from "./store.ts";

const actions = {
  expand,
  collapse,
  sort: (column: string | null) =>
    changeLayout((layout) => ({ ...layout, sort: nextSort(layout.sort, column) })),
};

export function OverviewPage() {
  useEffect(startLive, []);
  useEffect(() => {
    const back = () => usePage.setState({ layout: fromQuery(location.search), reject: null });
    addEventListener("popstate", back);
    return () => removeEventListener("popstate", back);
  }, []);

  const catalog = usePage((state) => state.catalog);
  const layout = usePage((state) => state.layout);
  const widths = usePage((state) => state.widths);
  const shown = usePage((state) => state.size !== null);

  const layoutOf = useCallback((schema: readonly Column[]): GridLayout => {
    const state = usePage.getState();
    const view = currentView(state);
    const grouping = view === undefined ? [] : groupingOf(state.layout, view);
    const rowHeader =
      view?.kind !== "rows" ? "group" : schema.some(({ type }) => type === "text") ? "number" : "key";
    return {
      view: state.layout.view,
      columns: displayColumns(schema, view, state.layout.columns, state.widths),
      rowTitle: rowHeader === "group" ? grouping.map(titleOf).join(" › ") || "All" : "Row",
      grouping,
      // A dragged width is meant for names; numbers have their own.
      rowHeaderWidthPx: rowHeader === "number" ? undefined : state.widths[ROW_HEADER],
      sort: state.layout.sort,
      currency: state.layout.currency,
      baseCurrencies: new Map(
        state.catalog?.accounts.flatMap(({ id, baseCurrency }) =>
          baseCurrency === null ? [] : [[id, baseCurrency]],
        ),
      ),
      rowHeader,
    };
  }, []);
  // Everything else that shapes the layout comes with a snapshot of its own.
  const layoutKey = JSON.stringify([widths, catalog !== null]);

  return (
    <>
      <header>
        <div className="title-bar">
          <h1>Tickview</h1>
          <Tabs
            label="View"
            options={catalog?.views.map(({ name, title }) => ({ id: name, name: title })) ?? []}
            chosen={layout.view}
            onChange={(name) => {
              const view = catalog?.views.find((other) => other.name === name);
              if (view !== undefined) changeLayout((before) => withView(before, view));
            }}
          />
          <span className="spring" />
          <BusinessDate />
          <ConnectionState />
          <ThemeToggle />
        </div>
        <ControlBar />
      </header>
      <div className="notices">
        <Halt />
        <Refusal />
      </div>
      <main>
        <Grid
          session={session}
          layoutOf={layoutOf}
          layoutKey={layoutKey}
          actions={actions}
          onResize={setWidth}
        />
        {!shown && <Loading />}
      </main>
      <StatusBar />
    </>
  );
}

function ConnectionState() {
  const state = usePage(({ beat }) => beat?.state ?? "DISCONNECTED");
  const pending = usePage(({ beat, size, reject }) =>
    size !== null && beat?.awaiting === false ? null : reject === null ? "LOADING" : "REFUSED",
  );
  return <Connection state={state} pending={pending} />;
}

function Refusal() {
  const reject = usePage((state) => state.reject);
  const shown = usePage((state) => state.size !== null);
  if (reject === null) return null;
  return (
    <div className="refusal" role="alert" data-testid="reject">
      <b>{reject.code}</b> {reject.message}
      {shown && <span className="muted"> The grid shows the last view the server accepted.</span>}
      <Button className="icon" aria-label="Dismiss" onPress={() => usePage.setState({ reject: null })}>
        ×
      </Button>
    </div>
  );
}

const NEXT_THEME: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };
const THEME_SIGN: Readonly<Record<Theme, string>> = { system: "◐", light: "☀", dark: "☾" };

function ThemeToggle() {
  const theme = usePage((state) => state.theme);
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  return (
    <Button
      className="icon"
      aria-label={`Theme: ${theme}. Switch to ${NEXT_THEME[theme]}`}
      onPress={() => setTheme(NEXT_THEME[theme])}
    >
      {THEME_SIGN[theme]}
    </Button>
  );
}
